// What to restore when a map has changed. Chains of a port are written whole, as kube-proxy does. Those of all ports would
// be as long as there are ports, so single rules go in and out of them: each carries the name of its port, and so is
// told from every other.
import type { ServicePort } from '../kube/types';
import { checkPort, checkShape, isOfOther, portsOf } from './check';
import { comparePorts, FamilyRules, inOrder, restore, type Table } from './family';
import type { Family } from '../model';
import type { Top } from './fixed';
import type { Settings } from './options';
import { countOf, type Chain, type Head } from './part';
import { samePort } from './same';

/** More single rules than these in one chain, and it is written whole: each takes a walk along the chain. */
const MANY = 256;

export interface FamilyUpdate {
  readonly after: FamilyRules;
  /** Empty: nothing to restore. */
  readonly text: string;
  readonly full: boolean;
}

/** The rules of the ports, and how to come there from those before. Throws InvalidInput. */
export function updateOf(
  before: FamilyRules,
  ports: readonly ServicePort[],
  settings: Settings,
): FamilyUpdate {
  const { own, turns } = compare(before.ports, ports, settings.family);
  let endpoints = before.endpoints;
  for (const { was, now } of turns) {
    if (now !== undefined) checkPort(now);
    endpoints += (now === undefined ? 0 : countOf(now)) - (was === undefined ? 0 : countOf(was));
  }
  const after = new FamilyRules(settings, own, endpoints);
  const alike = JSON.stringify(settings) === JSON.stringify(before.settings);
  if (!alike || after.large !== before.large) {
    return { after, text: after.text(before.names()), full: true };
  }
  if (turns.length === 0) {
    after.heads = before.heads;
    return { after, text: '', full: false };
  }
  return { after, text: textOf(before, after, turns), full: false };
}

/** A port that is not as it was. */
interface Turn {
  readonly was: ServicePort | undefined;
  readonly now: ServicePort | undefined;
  /** Where it was among the ports before. */
  readonly from: number;
  /** Where it is among those now; one that is gone: where it would be. */
  readonly to: number;
}

interface Comparison {
  readonly own: readonly ServicePort[];
  readonly turns: readonly Turn[];
}

/**
 * Which ports of a family are not as they were: one walk, as both lists rise. Those that are the very objects that were
 * there before are not looked into, not even for their order.
 */
function compare(
  before: readonly ServicePort[],
  ports: readonly ServicePort[],
  family: Family,
): Comparison {
  const own: ServicePort[] = [];
  const turns: Turn[] = [];
  let from = 0;
  const turn = (was: ServicePort | undefined, now: ServicePort | undefined): void => {
    turns.push({ was, now, from, to: own.length });
  };
  for (const port of ports) {
    let was = before[from];
    if (port !== was) {
      if (isOfOther(port, family)) continue;
      checkShape(port);
      if (was === undefined || !sameName(was, port)) {
        const last = own.at(-1);
        if (last !== undefined && comparePorts(last, port) >= 0) {
          return compare(before, inOrder(portsOf(ports, family)), family);
        }
        for (; was !== undefined && comparePorts(was, port) < 0; was = before[++from]) {
          turn(was, undefined);
        }
      }
      if (was === undefined || !sameName(was, port)) {
        turn(undefined, port);
        own.push(port);
        continue;
      }
      if (!samePort(was, port)) turn(was, port);
    }
    own.push(port);
    from++;
  }
  for (; from < before.length; from++) turn(before[from], undefined);
  return { own, turns };
}

function sameName(a: ServicePort, b: ServicePort): boolean {
  return a.name === b.name && a.protocol === b.protocol;
}

function textOf(before: FamilyRules, after: FamilyRules, turns: readonly Turn[]): string {
  const nothing: Chains = { emptied: [], rules: [], removed: [] };
  const heads: Head[] = [];
  const nat: Chains = { emptied: [], rules: [], removed: [] };
  let at = 0;
  for (const { was, now, from, to } of turns) {
    const part = now && after.partOf(now);
    // Those between the last turn and this one are as they were.
    while (heads.length < to) heads.push(before.heads[at++] as Head);
    if (was !== undefined) at = from + 1;
    if (part !== undefined) heads.push(part.head);
    compareChains((was && before.partOf(was).chains) ?? [], part?.chains ?? [], nat);
  }
  while (at < before.ports.length) heads.push(before.heads[at++] as Head);
  after.heads = heads;
  const filter = tableOf('filter', nothing, before, after, turns);
  return filter + tableOf('nat', nat, before, after, turns);
}

/** Chains to be emptied or made, rules, chains to be removed. */
interface Chains {
  readonly emptied: string[];
  readonly rules: string[];
  readonly removed: string[];
}

function compareChains(was: readonly Chain[], now: readonly Chain[], into: Chains): void {
  const left = new Map(was.map(({ name, rules }) => [name, rules]));
  for (const { name, rules } of now) {
    if (left.get(name) !== rules) {
      into.emptied.push(name);
      into.rules.push(rules);
    }
    left.delete(name);
  }
  for (const name of left.keys()) {
    into.emptied.push(name);
    into.removed.push(name);
  }
}

function tableOf(
  table: Table,
  own: Chains,
  before: FamilyRules,
  after: FamilyRules,
  turns: readonly Turn[],
): string {
  const emptied: string[] = [];
  let rules = '';
  for (const [chain, top] of after.tops(table)) {
    if (top.which === undefined) continue;
    const edits = editsOf(chain, top.which, before, after, turns);
    if (edits === 'whole') {
      emptied.push(chain);
      rules += after.rulesOfTop(top);
    } else rules += edits;
  }
  rules += own.rules.join('');
  const all = [...emptied, ...own.emptied];
  return rules === '' && all.length === 0 ? '' : restore(table, all, rules, own.removed);
}

// First what goes, then what comes, by its place among those that are there by then.
function editsOf(
  chain: string,
  which: NonNullable<Top['which']>,
  before: FamilyRules,
  after: FamilyRules,
  turns: readonly Turn[],
): string {
  const gone: string[] = [];
  const come: string[] = [];
  let port = 0;
  let place = 1;
  for (const { was, now, from, to } of turns) {
    const old = was && before.heads[from]?.[which];
    const next = now && after.heads[to]?.[which];
    if ((old ?? '') === (next ?? '')) continue;
    for (; port < to; port++) place += lineCount(after.heads[port]?.[which] ?? '');
    const { left, right, shared } = difference(linesOf(old), linesOf(next));
    if (new Set(left).size < left.length) return 'whole';
    for (const line of left) gone.push(`-D${line.slice(2)}\n`);
    right.forEach((line, i) => {
      come.push(`-I ${chain} ${place + shared + i}${line.slice(3 + chain.length)}\n`);
    });
    if (gone.length + come.length > MANY) return 'whole';
  }
  return gone.join('') + come.join('');
}

/** What is left of two lists without what they begin and end with alike. */
function difference(
  a: readonly string[],
  b: readonly string[],
): {
  readonly left: readonly string[];
  readonly right: readonly string[];
  readonly shared: number;
} {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  const most = Math.min(a.length, b.length) - start;
  while (end < most && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return {
    left: a.slice(start, a.length - end),
    right: b.slice(start, b.length - end),
    shared: start,
  };
}

function linesOf(text: string | undefined): readonly string[] {
  return text === undefined || text === '' ? [] : text.slice(0, -1).split('\n');
}

function lineCount(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}
