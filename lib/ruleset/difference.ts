// Our chains as they are to be, less what the kernel has: what iptables-restore must be told, and the same for people.
import type { IptablesJump } from '../iptables/types';
import type { Saved } from '../node/rules';
import { eachOf, eachQuick, type Work } from '../turns';
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
export function* grouped(saved: Saved): Work<Map<string, Map<string, readonly string[]>>> {
  const tables = new Map<string, Map<string, readonly string[]>>();
  for (const [table, { chains, rules }] of saved) {
    const byChain = new Map<string, string[]>();
    yield* eachQuick(chains, (chain) => byChain.set(chain, []));
    yield* eachQuick(rules, (rule) => {
      byChain.get(rule.slice(3, rule.indexOf(' ', 3)))?.push(rule);
    });
    tables.set(table, byChain);
  }
  return tables;
}

/** Whether two readings are the same, chain for chain and rule for rule. */
export function* sameTables(one: Tables, other: Tables): Work<boolean> {
  if (one.size !== other.size) return false;
  for (const [table, chains] of one) {
    const now = other.get(table);
    if (now?.size !== chains.size) return false;
    for (const [chain, rules] of chains) {
      const found = now.get(chain);
      if (found === undefined || !(yield* sameLines(rules, found))) return false;
    }
  }
  return true;
}

/** Whether two lists of rules are the same, word for word. */
export function* sameLines(one: readonly string[], other: readonly string[]): Work<boolean> {
  if (one === other) return true;
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) {
    if (one[i] !== other[i]) return false;
    if (i % SOME === 0) yield;
  }
  return true;
}
/** Rules that are compared in a few microseconds. */
const SOME = 64;

/** Tells chains that are as wanted. Keeps what it has compared, as the kernel says the same of the same rules. */
export class Comparison {
  #known = new Map<
    string,
    { readonly wanted: readonly string[]; readonly found: readonly string[] }
  >();

  *same(
    table: string,
    chain: string,
    wanted: readonly string[],
    found: readonly string[],
  ): Work<boolean> {
    if (wanted.length !== found.length) return false;
    const key = `${table} ${chain}`;
    const known = this.#known.get(key);
    const isKnown =
      known !== undefined &&
      (yield* sameLines(known.wanted, wanted)) &&
      (yield* sameLines(known.found, found));
    const same = isKnown || (yield* sameForms(wanted, found));
    if (same) this.#known.set(key, { wanted, found });
    else this.#known.delete(key);
    return same;
  }
}

function* sameForms(wanted: readonly string[], found: readonly string[]): Work<boolean> {
  for (const [i, rule] of wanted.entries()) {
    const other = found[i] ?? '';
    if (rule !== other && formOf(rule) !== formOf(other)) return false;
    if (i % FEW === 0) yield;
  }
  return true;
}
/** Rules that are read in a fraction of a millisecond. */
const FEW = 8;

/** What makes the kernel's rules those wanted; tables with nothing to do are left out. */
export function* difference(
  wanted: Wanted,
  actual: Tables,
  isOurs: (table: string, chain: string) => boolean,
  comparison: Comparison,
): Work<TableDifference[]> {
  const differences: TableDifference[] = [];
  for (const table of TABLES) {
    const goal = wanted.tables.get(table) ?? new Map<string, readonly string[]>();
    const found = actual.get(table) ?? new Map<string, readonly string[]>();
    const write: TableDifference['write'][number][] = [];
    for (const [chain, rules] of goal) {
      const before = found.get(chain);
      const same = before !== undefined && (yield* comparison.same(table, chain, rules, before));
      if (!same) write.push({ chain, rules, before });
      yield;
    }
    const remove: TableDifference['remove'][number][] = [];
    yield* eachQuick(found, ([chain, before]) => {
      if (isOurs(table, chain) && !goal.has(chain)) remove.push({ chain, before });
    });
    const ways = wanted.jumps.filter((jump) => jump.table === table);
    const { jumps, strays } = yield* differenceOfJumps(ways, found, {
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

function* differenceOfJumps(
  wanted: readonly IptablesJump[],
  found: Chains,
  { isOurs, stays }: Readonly<Record<'isOurs' | 'stays', (chain: string) => boolean>>,
): Work<{ jumps: string[]; strays: string[] }> {
  const missing = new Map(
    wanted.map(ruleOf).map((rule) => [`${ends(rule).from} ${formOf(rule)}`, rule]),
  );
  const strays: string[] = [];
  for (const [chain, rules] of found) {
    yield;
    if (isOurs(chain)) continue;
    yield* eachQuick(rules, (rule) => {
      if (!isOurs(ends(rule).to)) return;
      if (missing.delete(`${chain} ${formOf(rule)}`)) return;
      // Each way in once. Chains of others may lead to ours as they like, while ours are there.
      if (BUILT_IN.has(chain) || !stays(ends(rule).to)) strays.push(rule);
    });
  }
  return { jumps: [...missing.values()], strays };
}

function ruleOf({ from, to, match, comment }: IptablesJump): string {
  const said = comment === '' ? '' : ` -m comment --comment "${comment}"`;
  return `-A ${from}${match === '' ? '' : ` ${match}`}${said} -j ${to}`;
}

/** Input of `iptables-restore --noflush`. Empty when there is nothing to do. */
export function* restoreText(differences: readonly TableDifference[]): Work<string> {
  const pieces = new Pieces();
  const add = (line: string): void => {
    pieces.add(line);
  };
  for (const { table, write, remove, jumps, strays } of differences) {
    add(`*${table}`);
    // Naming a chain empties it, so that nothing refers to those that go.
    for (const chains of [write, remove])
      yield* eachQuick<{ readonly chain: string }>(chains, ({ chain }) => {
        add(`:${chain} - [0:0]`);
      });
    for (const rule of strays) add(rule.replace(/^-A/, '-D'));
    for (const { rules } of write) {
      yield* eachQuick(rules, add);
      yield;
    }
    for (const rule of jumps) add(rule.replace(/^-A (\S+)/, '-I $1 1'));
    yield* eachQuick(remove, ({ chain }) => {
      add(`-X ${chain}`);
    });
    add('COMMIT');
  }
  return pieces.text();
}

/** Lines of a long text, joined as they come, so that what is left for the end are some hundred large pieces. */
class Pieces {
  readonly #done: string[] = [];
  #lines: string[] = [];

  add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length === 1024) this.#join();
  }

  text(): string {
    this.#join();
    return this.#done.join('');
  }

  #join(): void {
    if (this.#lines.length > 0) this.#done.push(`${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }
}

/** One line a rule, under the chain it is in: `+` what comes, `-` what goes. What stays is not shown. */
export function* differenceLines(differences: readonly TableDifference[]): Work<string[]> {
  const lines: string[] = [];
  for (const { table, write, remove, jumps, strays } of differences) {
    for (const { chain, rules, before } of write) {
      lines.push(`${before === undefined ? '+' : '~'} ${table} ${chain}`);
      yield* ruleLines(lines, before ?? [], rules);
    }
    for (const { chain, before } of remove) {
      lines.push(`- ${table} ${chain}`);
      yield* ruleLines(lines, before, []);
    }
    lines.push(...strays.map((rule) => `- ${table} ${rule.slice(3)}`));
    lines.push(...jumps.map((rule) => `+ ${table} ${rule.slice(3)}`));
  }
  return lines;
}

// What both have, in the same order, stays: a longest common subsequence would be shorter now and then, and slower.
function* ruleLines(
  lines: string[],
  before: readonly string[],
  after: readonly string[],
): Work<void> {
  const forms: string[] = [];
  yield* eachOf(before, (rule) => {
    forms.push(formOf(rule));
  });
  let at = 0;
  yield* eachOf(after, (rule) => {
    const found = before.length === 0 ? -1 : forms.indexOf(formOf(rule), at);
    if (found < 0) {
      lines.push(`  + ${inChain(rule)}`);
      return;
    }
    for (; at < found; at++) lines.push(`  - ${inChain(before[at] ?? '')}`);
    at = found + 1;
  });
  for (const gone of before.slice(at)) lines.push(`  - ${inChain(gone)}`);
}

function inChain(rule: string): string {
  return rule.replace(/^-A \S+ ?/, '');
}
