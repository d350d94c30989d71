// What `ipset restore` must be told so that the kernel's sets become as wanted.
import type { Family } from '../model';
import type { Work } from '../turns';

/** A set as a program wants it. */
export interface WantedSet {
  /** Such as `hash:ip,port` or `bitmap:port`. */
  readonly type: string;
  readonly family: Family;
  /** What follows the type in `ipset create`. */
  readonly create: string;
  readonly entries: readonly string[];
}

/** A set as the kernel has it. */
export interface ActualSet {
  readonly type: string;
  /** Undefined for sets that hold no addresses, such as bitmap:port. */
  readonly family: Family | undefined;
  /** The most entries it takes; undefined where its type knows no such limit. */
  readonly limit: number | undefined;
  /** Each with its options, such as `skbmark 0x4000`; in the words of `ipset save`. */
  readonly entries: ReadonlyMap<string, string>;
}

/** Lines for `ipset restore`, in two steps, so that nothing is taken away before what needs the new is in place. */
export interface SetPlan {
  /** Creates sets and adds entries. */
  readonly grow: readonly string[];
  /** Deletes entries. */
  readonly shrink: readonly string[];
  /** Sets that exist under a wanted name but are something else; nothing is done about them. */
  readonly problems: readonly string[];
}

// The kernel's limit on names: IPSET_MAXNAMELEN less the terminator.
const NAME_LENGTH = 31;

/**
 * What makes the kernel's sets as wanted, as work to be done in turns. Sets that are not wanted are left alone.
 */
export function* planningSets(
  wanted: ReadonlyMap<string, WantedSet>,
  actual: ReadonlyMap<string, ActualSet>,
): Work<SetPlan> {
  const plan = { grow: [] as string[], shrink: [] as string[], problems: [] as string[] };
  for (const [name, set] of wanted) {
    const now = actual.get(name);
    const entries = entriesOf(set);
    if (now === undefined) {
      plan.grow.push(createLine(name, set, entries.size));
      for (const [entry, options] of entries) plan.grow.push(addLine(name, entry, options));
    } else if (now.type !== set.type || (now.family ?? set.family) !== set.family) {
      plan.problems.push(
        `the ip set ${name} is a ${describe(now)}, not the ${describe(set)} it must be: see who made it, then destroy it: ipset destroy ${name}`,
      );
    } else if (now.limit !== undefined && entries.size > now.limit) {
      plan.grow.push(...replace(name, set, entries));
    } else {
      difference(name, entries, now.entries, plan);
    }
    yield;
  }
  return plan;
}

type Entries = ReadonlyMap<string, string>;

// Options are no part of what tells two entries apart: adding one that is there gives it other options, and deleting one
// takes none.
function difference(
  name: string,
  entries: Entries,
  now: Entries,
  plan: { grow: string[]; shrink: string[] },
): void {
  for (const [entry, options] of entries)
    if (now.get(entry) !== options) plan.grow.push(addLine(name, entry, options));
  for (const entry of now.keys()) if (!entries.has(entry)) plan.shrink.push(`del ${name} ${entry}`);
}

// The limit of a set cannot be raised; but a larger one can take its place, while rules refer to it.
function replace(name: string, set: WantedSet, entries: Entries): string[] {
  const larger = `${name.slice(0, NAME_LENGTH - 4)}-new`;
  return [
    createLine(larger, set, entries.size),
    `flush ${larger}`,
    ...[...entries].map(([entry, options]) => addLine(larger, entry, options)),
    `swap ${larger} ${name}`,
    `destroy ${larger}`,
  ];
}

function addLine(name: string, entry: string, options: string): string {
  return options === '' ? `add ${name} ${entry}` : `add ${name} ${entry} ${options}`;
}

function createLine(name: string, set: WantedSet, size: number): string {
  // Room to grow, so that a set that is full is not made anew at each entry.
  const create = set.create.replace(/maxelem (\d+)/, (limit, most: string) =>
    size <= Number(most) ? limit : `maxelem ${2 ** Math.ceil(Math.log2(size * 1.5))}`,
  );
  return `create ${name} ${set.type} ${create}`;
}

/** As `ipset save` prints them: the prefix of a single address is left out. */
function entriesOf({ type, entries }: WantedSet): Map<string, string> {
  const hasPrefixes = type.includes('net');
  const found = new Map<string, string>();
  for (const text of entries) {
    const space = text.indexOf(' ');
    const entry = space === -1 ? text : text.slice(0, space);
    found.set(
      hasPrefixes ? entry.replace(SINGLE, '') : entry,
      space === -1 ? '' : text.slice(space + 1),
    );
  }
  return found;
}

const SINGLE = /(?<=[.][^,]*)\/32$|(?<=:[^,]*)\/128$/;

function describe(set: Pick<ActualSet, 'type' | 'family'>): string {
  return set.family === undefined || set.type.startsWith('bitmap:')
    ? `set of type ${set.type}`
    : `set of type ${set.type} for ${set.family === 'ipv6' ? 'IPv6' : 'IPv4'}`;
}
