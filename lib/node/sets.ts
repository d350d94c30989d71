// ip sets as text: what `ipset save` prints, and what `ipset restore` must be told so that the sets become as wanted.
import type { Family } from '../model';

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
  readonly entries: ReadonlySet<string>;
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

/** Reads what `ipset save` prints. Lines that it does not print are passed over. */
export function parseSets(text: string): Map<string, ActualSet> {
  const sets = new Map<string, ActualSet & { entries: Set<string> }>();
  for (const line of text.split('\n')) {
    const [verb, name, what, ...options] = line.split(' ');
    if (name === undefined || what === undefined) continue;
    if (verb === 'create') sets.set(name, readCreate(what, options));
    if (verb === 'add') sets.get(name)?.entries.add(canonicalEntry(what));
  }
  return sets;
}

function readCreate(type: string, options: readonly string[]) {
  const option = (key: string) => {
    const at = options.indexOf(key);
    return at === -1 ? undefined : options[at + 1];
  };
  const family = option('family');
  const limit = option('maxelem');
  return {
    type,
    family:
      family === undefined ? undefined : family === 'inet6' ? ('ipv6' as const) : ('ipv4' as const),
    limit: limit === undefined ? undefined : Number(limit),
    entries: new Set<string>(),
  };
}

/** What makes the kernel's sets as wanted. Sets that are not wanted are left alone. */
export function planSets(
  wanted: ReadonlyMap<string, WantedSet>,
  actual: ReadonlyMap<string, ActualSet>,
): SetPlan {
  const plan = { grow: [] as string[], shrink: [] as string[], problems: [] as string[] };
  for (const [name, set] of wanted) {
    const now = actual.get(name);
    const entries = new Set(set.entries.map(canonicalEntry));
    if (now === undefined) {
      plan.grow.push(createLine(name, set, entries.size));
      for (const entry of entries) plan.grow.push(`add ${name} ${entry}`);
    } else if (now.type !== set.type || (now.family ?? set.family) !== set.family) {
      plan.problems.push(
        `the ip set ${name} is a ${describe(now)}, not the ${describe(set)} it must be: see who made it, then destroy it: ipset destroy ${name}`,
      );
    } else if (now.limit !== undefined && entries.size > now.limit) {
      plan.grow.push(...replace(name, set, entries));
    } else {
      difference(name, entries, now.entries, plan);
    }
  }
  return plan;
}

function difference(
  name: string,
  entries: ReadonlySet<string>,
  now: ReadonlySet<string>,
  plan: { grow: string[]; shrink: string[] },
): void {
  for (const entry of entries) if (!now.has(entry)) plan.grow.push(`add ${name} ${entry}`);
  for (const entry of now) if (!entries.has(entry)) plan.shrink.push(`del ${name} ${entry}`);
}

// The limit of a set cannot be raised; but a larger one can take its place, while rules refer to it.
function replace(name: string, set: WantedSet, entries: ReadonlySet<string>): string[] {
  const larger = `${name.slice(0, NAME_LENGTH - 4)}-new`;
  return [
    createLine(larger, set, entries.size),
    `flush ${larger}`,
    ...[...entries].map((entry) => `add ${larger} ${entry}`),
    `swap ${larger} ${name}`,
    `destroy ${larger}`,
  ];
}

function createLine(name: string, set: WantedSet, size: number): string {
  // Room to grow, so that a set that is full is not made anew at each entry.
  const create = set.create.replace(/maxelem (\d+)/, (limit, most: string) =>
    size <= Number(most) ? limit : `maxelem ${2 ** Math.ceil(Math.log2(size * 1.5))}`,
  );
  return `create ${name} ${set.type} ${create}`;
}

/** As `ipset save` prints it: the prefix of a single address is left out. */
function canonicalEntry(entry: string): string {
  return entry.replace(/(?<=[.][^,]*)\/32$|(?<=:[^,]*)\/128$/, '');
}

function describe(set: Pick<ActualSet, 'type' | 'family'>): string {
  return set.family === undefined || set.type.startsWith('bitmap:')
    ? `set of type ${set.type}`
    : `set of type ${set.type} for ${set.family === 'ipv6' ? 'IPv6' : 'IPv4'}`;
}
