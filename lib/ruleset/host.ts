// The rules of a host in the families that are asked for: read, compared with what they should be, written, taken back.
import { IpvsError } from '../errors';
import type { Family } from '../model';
import { systemSysctls, type Sysctls } from '../node/observe';
import { systemTools, type Tools } from '../node/tools';
import type { Variant } from '../node/variant';
import { inTurns, type Work } from '../turns';
import {
  Comparison,
  difference,
  differenceLines,
  sameTables,
  type TableDifference,
  type Wanted,
} from './difference';
import { hasRules, readFamily, writeFamily, type FoundFamily } from './family';
import type { Place } from './options';

/** What is to be done in a family. */
export interface FamilyChange {
  readonly found: FoundFamily;
  readonly differences: readonly TableDifference[];
}

/** The families that could be read, and why the others could not. */
export interface FoundRules {
  readonly found: readonly FoundFamily[];
  readonly unread: ReadonlyMap<Family, IpvsError>;
  readonly warnings: readonly string[];
}

const NOTHING: Wanted = { tables: new Map(), jumps: [] };

/** What the rule of the chain that marks our place says. */
const MARK = /-m comment --comment "ipvs: ([^"]*)"/;

export class Host {
  readonly #comparisons = new Map<Family, Comparison>();

  constructor(readonly place: Place) {}

  tools(signal?: AbortSignal): Tools {
    return systemTools({ netns: this.place.netns, signal });
  }

  sysctls(tools: Tools): Sysctls {
    return systemSysctls(this.place.netns, tools);
  }

  /** Rejects when no family can be read. */
  async read(tools: Tools, place: Place = this.place): Promise<FoundRules> {
    const { families } = place;
    const results = await Promise.allSettled(
      families.map((family) => readFamily(tools, family, place)),
    );
    const found: FoundFamily[] = [];
    const unread = new Map<Family, IpvsError>();
    for (const [i, result] of results.entries()) {
      if (result.status === 'fulfilled') found.push(result.value);
      else if (result.reason instanceof IpvsError) {
        unread.set(families[i] as Family, result.reason);
      } else throw result.reason;
    }
    const [first] = unread.values();
    if (found.length === 0 && first !== undefined) throw first;
    if (place.variant === undefined) await agree(tools, found, place);
    return { found, unread, warnings: found.flatMap(({ warning }) => warning ?? []) };
  }

  /** What makes the rules of a family those wanted. */
  *change(found: FoundFamily, wanted: Wanted): Work<FamilyChange> {
    const { family, tables } = found;
    let comparison = this.#comparisons.get(family);
    if (comparison === undefined) {
      comparison = new Comparison();
      this.#comparisons.set(family, comparison);
    }
    const differences = yield* difference(wanted, tables, this.place.isOurs, comparison);
    return { found, differences };
  }

  /** Resolves with the change as it was done: the other variant may have taken it. */
  async write(tools: Tools, change: FamilyChange): Promise<FamilyChange> {
    const { found, differences } = change;
    if (differences.length === 0) return change;
    const variant = await writeFamily(tools, found, differences, this.place);
    return { differences, found: { ...found, variant } };
  }

  /** What takes everything of ours away, in both variants unless one was named. */
  async removals(tools: Tools): Promise<readonly FamilyChange[]> {
    const { variant } = this.place;
    const variants: readonly Variant[] = variant === undefined ? ['nft', 'legacy'] : [variant];
    const changes: FamilyChange[] = [];
    const failures: unknown[] = [];
    for (const each of variants) {
      try {
        const { found } = await this.read(tools, { ...this.place, variant: each });
        for (const one of found) changes.push(await inTurns(this.change(one, NOTHING)));
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === variants.length) throw failures[0];
    return changes.filter(({ differences }) => differences.length > 0);
  }
}

/** Whether the same was read, rule for rule. */
export function* isSame(one: FoundRules, other: FoundRules): Work<boolean> {
  if (one.unread.size !== other.unread.size || one.found.length !== other.found.length)
    return false;
  for (const [i, each] of one.found.entries()) {
    const now = other.found[i];
    const isAlike =
      now?.family === each.family &&
      now.variant === each.variant &&
      now.warning === each.warning &&
      (yield* sameTables(each.tables, now.tables));
    if (!isAlike) return false;
  }
  return true;
}

// A family without a rule anywhere goes with the other, as whoever begins to use it will.
async function agree(tools: Tools, found: FoundFamily[], place: Place): Promise<void> {
  const [decided] = found.filter(hasRules);
  if (decided === undefined) return;
  const { variant } = decided;
  for (const [i, one] of found.entries()) {
    if (one.variant === variant || hasRules(one)) continue;
    found[i] = await readFamily(tools, one.family, { ...place, variant }).catch(() => one);
  }
}

/** What is said of whose our chains are, such as `virtual servers`; undefined where they are not there. */
export function ownerOf({ tables }: FoundFamily, prefix: string): string | undefined {
  const [rule = ''] = tables.get('nat')?.get(`${prefix}-CANARY`) ?? [];
  return MARK.exec(rule)?.[1];
}

/** The chain that says whose our chains are. Nothing leads to it. */
export function ownerChain(prefix: string, owner: string): readonly [string, readonly string[]] {
  const chain = `${prefix}-CANARY`;
  return [chain, [`-A ${chain} -m comment --comment "ipvs: ${owner}"`]];
}

/** Throws where our chains serve something else, which would be lost. */
export function mustBeOwner(found: readonly FoundFamily[], prefix: string, owner: string): void {
  for (const one of found) {
    const other = ownerOf(one, prefix);
    if (other === undefined || other.startsWith(owner)) continue;
    throw new IpvsError(
      `iptables: the chains ${prefix}-* (${one.family}) are those of ${other.replace(/,.*/, '')}, not of ${owner}: use another prefix, or take them away first: ipvs iptables cleanup --prefix ${prefix}`,
      { code: 'EEXIST', operation: 'iptables' },
    );
  }
}

/** What is to be done to a host's rules, or was done. @public */
export interface IptablesReport {
  /** One line a family that changes, such as `ipv4 (nft): 12 chains written, 1 removed`. */
  readonly summary: readonly string[];
  /** `+` what comes, `~` what is edited, `-` what goes; rules under the chain they are in. Empty: nothing to do. */
  readonly lines: readonly string[];
  /** What cannot be done, or needs a look. */
  readonly problems: readonly string[];
}

export function* reportOf(
  changes: readonly FamilyChange[],
  problems: readonly string[],
  settings: readonly string[] = [],
): Work<IptablesReport> {
  const real = changes.filter(({ differences }) => differences.length > 0);
  const lines: string[][] = [];
  for (const { found, differences } of real) {
    lines.push([`# ${found.family} (${found.variant})`], yield* differenceLines(differences));
  }
  return {
    summary: [...real.map(summaryOf), ...settings],
    lines: [...lines.flat(), ...settings],
    problems,
  };
}

function summaryOf({ found: { family, variant }, differences }: FamilyChange): string {
  const count = (name: 'write' | 'remove' | 'jumps' | 'strays'): number =>
    differences.reduce((sum, each) => sum + each[name].length, 0);
  const said = [
    [count('write'), 'chains written'],
    [count('remove'), 'chains removed'],
    [count('jumps'), 'ways in added'],
    [count('strays'), 'ways in removed'],
  ] as const;
  const words = said.flatMap(([number, what]) =>
    number === 0 ? [] : [`${number} ${number === 1 ? what.replace(/s(?= )/, '') : what}`],
  );
  return `${family} (${variant}): ${words.join(', ')}`;
}
