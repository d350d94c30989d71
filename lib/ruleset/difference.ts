// Our chains as they are to be, less what the kernel has: what iptables-restore must be told, and the same for people.
import type { IptablesJump } from '../iptables/types';
import type { Saved } from '../node/rules';
import { ends, formOf } from './form';

/** Rules by chain, `-A` lines. */
export type Chains = ReadonlyMap<string, readonly string[]>;
/** Chains by table. */
export type Tables = ReadonlyMap<string, Chains>;

/** What a family shall have. Nothing at all: no chain of ours, no way in. */
export interface Wanted {
  readonly tables: Tables;
  readonly jumps: readonly IptablesJump[];
}

/** What is to be done in one table. */
export interface TableDifference {
  readonly table: string;
  /** Chains that are written whole, with what the kernel has in them now; undefined where it has no such chain. */
  readonly write: readonly {
    readonly chain: string;
    readonly rules: readonly string[];
    readonly before: readonly string[] | undefined;
  }[];
  readonly remove: readonly { readonly chain: string; readonly before: readonly string[] }[];
  /** Rules of built-in chains that lead to ours: missing, and in the way. */
  readonly jumps: readonly string[];
  readonly strays: readonly string[];
}

const FIXED = {
  nat: ['SERVICES', 'NODEPORTS', 'POSTROUTING', 'MARK-MASQ', 'CANARY'],
  filter: ['SERVICES', 'EXTERNAL-SERVICES', 'FORWARD', 'NODEPORTS', 'PROXY-FIREWALL', 'FIREWALL'],
} as const;
export const TABLES = ['filter', 'nat'] as const;

/** Whether a chain is one of those that begin with the prefix and that we write. */
export function ownership(prefix: string): (table: string, chain: string) => boolean {
  const fixed = new Map(
    TABLES.map((table) => [
      table as string,
      new Set(FIXED[table].map((name) => `${prefix}-${name}`)),
    ]),
  );
  const hashed = new RegExp(`^${prefix}-(?:SVC|SVL|SEP|EXT|FW|VS)-[A-Z2-7]{16}$`);
  return (table, chain) =>
    fixed.get(table)?.has(chain) === true || (table === 'nat' && hashed.test(chain));
}

/** Rules by their chains; the chains of others too. */
export function grouped(saved: Saved): Tables {
  const tables = new Map<string, Map<string, string[]>>();
  for (const [table, { chains, rules }] of saved) {
    const byChain = new Map<string, string[]>(chains.map((chain) => [chain, []]));
    for (const rule of rules) byChain.get(rule.slice(3, rule.indexOf(' ', 3)))?.push(rule);
    tables.set(table, byChain);
  }
  return tables;
}

/** Whether two readings are the same, chain for chain and rule for rule. */
export function sameTables(one: Tables, other: Tables): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([table, chains]) => {
    const now = other.get(table);
    if (now?.size !== chains.size) return false;
    return [...chains].every(([chain, rules]) => {
      const found = now.get(chain);
      return found?.length === rules.length && rules.every((rule, i) => rule === found[i]);
    });
  });
}

/** Tells chains that are as wanted. Keeps what it has compared, as the kernel says the same of the same rules. */
export class Comparison {
  #known = new Map<string, { readonly wanted: string; readonly found: string }>();

  same(table: string, chain: string, wanted: readonly string[], found: readonly string[]): boolean {
    if (wanted.length !== found.length) return false;
    const key = `${table} ${chain}`;
    const texts = { wanted: wanted.join('\n'), found: found.join('\n') };
    const known = this.#known.get(key);
    if (known?.wanted === texts.wanted && known.found === texts.found) return true;
    const same = wanted.every((rule, i) => {
      const other = found[i] ?? '';
      return rule === other || formOf(rule) === formOf(other);
    });
    if (same) this.#known.set(key, texts);
    else this.#known.delete(key);
    return same;
  }
}

/** What makes the kernel's rules those wanted; tables with nothing to do are left out. */
export function difference(
  wanted: Wanted,
  actual: Tables,
  isOurs: (table: string, chain: string) => boolean,
  comparison: Comparison,
): TableDifference[] {
  const differences: TableDifference[] = [];
  for (const table of TABLES) {
    const goal = wanted.tables.get(table) ?? new Map<string, readonly string[]>();
    const found = actual.get(table) ?? new Map<string, readonly string[]>();
    const write = [...goal].flatMap(([chain, rules]) => {
      const before = found.get(chain);
      const same = before !== undefined && comparison.same(table, chain, rules, before);
      return same ? [] : [{ chain, rules, before }];
    });
    const remove = [...found].flatMap(([chain, before]) =>
      isOurs(table, chain) && !goal.has(chain) ? [{ chain, before }] : [],
    );
    const ways = wanted.jumps.filter((jump) => jump.table === table);
    const { jumps, strays } = differenceOfJumps(ways, found, {
      isOurs: (chain) => isOurs(table, chain),
      stays: (chain) => goal.has(chain),
    });
    if ([write, remove, jumps, strays].some((list) => list.length > 0)) {
      differences.push({ table, write, remove, jumps, strays });
    }
  }
  return differences;
}

const BUILT_IN = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']);

function differenceOfJumps(
  wanted: readonly IptablesJump[],
  found: Chains,
  { isOurs, stays }: Readonly<Record<'isOurs' | 'stays', (chain: string) => boolean>>,
): { jumps: string[]; strays: string[] } {
  const missing = new Map(
    wanted.map(ruleOf).map((rule) => [`${ends(rule).from} ${formOf(rule)}`, rule]),
  );
  const strays: string[] = [];
  for (const [chain, rules] of found) {
    if (isOurs(chain)) continue;
    for (const rule of rules) {
      if (!isOurs(ends(rule).to)) continue;
      if (missing.delete(`${chain} ${formOf(rule)}`)) continue;
      // Each way in once. Chains of others may lead to ours as they like, while ours are there.
      if (BUILT_IN.has(chain) || !stays(ends(rule).to)) strays.push(rule);
    }
  }
  return { jumps: [...missing.values()], strays };
}

function ruleOf({ from, to, match, comment }: IptablesJump): string {
  const said = comment === '' ? '' : ` -m comment --comment "${comment}"`;
  return `-A ${from}${match === '' ? '' : ` ${match}`}${said} -j ${to}`;
}

/** Input of `iptables-restore --noflush`. Empty when there is nothing to do. */
export function restoreText(differences: readonly TableDifference[]): string {
  const lines: string[] = [];
  for (const { table, write, remove, jumps, strays } of differences) {
    lines.push(`*${table}`);
    // Naming a chain empties it, so that nothing refers to those that go.
    for (const { chain } of [...write, ...remove]) lines.push(`:${chain} - [0:0]`);
    for (const rule of strays) lines.push(rule.replace(/^-A/, '-D'));
    for (const { rules } of write) for (const rule of rules) lines.push(rule);
    for (const rule of jumps) lines.push(rule.replace(/^-A (\S+)/, '-I $1 1'));
    for (const { chain } of remove) lines.push(`-X ${chain}`);
    lines.push('COMMIT');
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** One line a rule, under the chain it is in: `+` what comes, `-` what goes. What stays is not shown. */
export function differenceLines(differences: readonly TableDifference[]): string[] {
  const lines: string[] = [];
  for (const { table, write, remove, jumps, strays } of differences) {
    for (const { chain, rules, before } of write) {
      lines.push(`${before === undefined ? '+' : '~'} ${table} ${chain}`);
      lines.push(...ruleLines(before ?? [], rules));
    }
    for (const { chain, before } of remove) {
      lines.push(`- ${table} ${chain}`, ...ruleLines(before, []));
    }
    lines.push(...strays.map((rule) => `- ${table} ${rule.slice(3)}`));
    lines.push(...jumps.map((rule) => `+ ${table} ${rule.slice(3)}`));
  }
  return lines;
}

// What both have, in the same order, stays: a longest common subsequence would be shorter now and then, and slower.
function ruleLines(before: readonly string[], after: readonly string[]): string[] {
  const lines: string[] = [];
  const forms = before.map(formOf);
  let at = 0;
  for (const rule of after) {
    const found = forms.indexOf(formOf(rule), at);
    if (found < 0) {
      lines.push(`  + ${inChain(rule)}`);
      continue;
    }
    for (const gone of before.slice(at, found)) lines.push(`  - ${inChain(gone)}`);
    at = found + 1;
  }
  for (const gone of before.slice(at)) lines.push(`  - ${inChain(gone)}`);
  return lines;
}

function inChain(rule: string): string {
  return rule.replace(/^-A \S+ ?/, '');
}
