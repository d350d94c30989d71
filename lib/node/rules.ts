// iptables rules as text: which chains of the kernel are ours, whether they are as a program wants them, and what
// `iptables-restore --noflush` must be told so that they become so.
import { createHash } from 'node:crypto';
import type { Jump } from '../kube/types';
import { atOnce, PIECE, type Work } from '../turns';

/** What `iptables-save` prints of one table, without counters. */
export interface SavedTable {
  readonly chains: readonly string[];
  /** `-A …` lines in their order. */
  readonly rules: readonly string[];
}
export type Saved = ReadonlyMap<string, SavedTable>;

/** Reads what `iptables-save` prints. */
export function parseSaved(text: string): Saved {
  return atOnce(parsing(text));
}

/** The same as work to be done in turns: a large cluster has some hundred thousand lines. */
export function* parsing(text: string): Work<Saved> {
  const tables = new Map<string, { chains: string[]; rules: string[] }>();
  let table: { chains: string[]; rules: string[] } | undefined;
  let lines = 0;
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end);
    start = end + 1;
    if (++lines % PIECE === 0) yield;
    if (line.startsWith('*')) {
      table = { chains: [], rules: [] };
      tables.set(line.slice(1).trim(), table);
    } else if (line.startsWith(':')) {
      table?.chains.push(line.slice(1, line.indexOf(' ')));
    } else if (line.startsWith('-A ')) {
      table?.rules.push(line);
    }
  }
  return tables;
}

/** The chains that a restore text declares, a table: those it replaces whole. */
export function chainsOf(rules: string): Map<string, Set<string>> {
  const chains = new Map<string, Set<string>>();
  for (const [table, saved] of parseSaved(rules)) chains.set(table, new Set(saved.chains));
  return chains;
}

/** The chain a rule stands in, and the one it leads to. */
function ends(rule: string): { from: string; to: string | undefined } {
  const from = /^-[AI] (\S+)/.exec(rule)?.[1] ?? '';
  return { from, to: / -[jg] (\S+)(?: |$)/.exec(rule)?.[1] };
}

/** Which of the jumps the kernel does not have. */
export function missingJumps(jumps: readonly Jump[], saved: Saved): Jump[] {
  return jumps.filter(({ table, from, to }) => {
    const rules = saved.get(table)?.rules ?? [];
    return !rules.some((rule) => {
      const found = ends(rule);
      return found.from === from && found.to === to;
    });
  });
}

/**
 * A fingerprint of what the kernel has in those chains. Two that are equal mean that nobody touched them: the kernel
 * writes rules in its own words, so they are compared with what it said right after they were written.
 */
export function fingerprint(
  chains: ReadonlyMap<string, ReadonlySet<string>>,
  saved: Saved,
): string {
  const hash = createHash('sha256');
  for (const table of [...chains.keys()].sort()) {
    const names = chains.get(table) ?? new Set();
    const found = saved.get(table);
    hash.update(`*${table}\n`);
    for (const name of found?.chains.filter((chain) => names.has(chain)).sort() ?? [])
      hash.update(`:${name}\n`);
    const byChain = new Map<string, string[]>();
    for (const rule of found?.rules ?? []) {
      const { from } = ends(rule);
      if (!names.has(from)) continue;
      const list = byChain.get(from);
      if (list === undefined) byChain.set(from, [rule]);
      else list.push(rule);
    }
    for (const name of [...byChain.keys()].sort())
      for (const rule of byChain.get(name) ?? []) hash.update(`${rule}\n`);
  }
  return hash.digest('hex');
}

/** The restore text with the jumps that are missing, each put first in its chain. */
export function withJumps(rules: string, jumps: readonly Jump[]): string {
  const waiting = new Map<string, string[]>();
  for (const jump of jumps) {
    const line = `-I ${jump.from} 1 -m comment --comment "${jump.comment}" -j ${jump.to}`;
    const lines = waiting.get(jump.table);
    if (lines === undefined) waiting.set(jump.table, [line]);
    else lines.push(line);
  }
  const out: string[] = [];
  let table = '';
  for (const line of rules.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    if (line === 'COMMIT') {
      out.push(...(waiting.get(table) ?? []));
      waiting.delete(table);
    }
    out.push(line);
  }
  for (const [name, lines] of waiting) out.push(`*${name}`, ...lines, 'COMMIT', '');
  return out.join('\n');
}

/**
 * What removes our chains and every rule that leads to one of them; empty when there is nothing to remove.
 */
export function removal(chains: ReadonlyMap<string, ReadonlySet<string>>, saved: Saved): string {
  const out: string[] = [];
  for (const [table, names] of chains) {
    const found = saved.get(table);
    const present = found?.chains.filter((chain) => names.has(chain)) ?? [];
    if (found === undefined || present.length === 0) continue;
    out.push(`*${table}`);
    // Naming a chain empties it, so that none is referred to by the others when they are deleted.
    for (const chain of present) out.push(`:${chain} - [0:0]`);
    for (const rule of found.rules) {
      const { from, to } = ends(rule);
      if (!names.has(from) && to !== undefined && names.has(to))
        out.push(rule.replace(/^-A/, '-D'));
    }
    for (const chain of present) out.push(`-X ${chain}`);
    out.push('COMMIT', '');
  }
  return out.join('\n');
}
