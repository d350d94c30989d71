// Destinations that leave while their service stays: they take no new connections, and go when their old ones have gone or
// their time is up. Since when each of them drains is on record, as applying is one call and draining takes minutes.
import type { Backend } from '../backend';
import type { Ipvs } from '../client';
import { destinationId, serviceId } from '../id';
import type { Change, DestinationKey, ServiceKey, VirtualServer } from '../model';
import type { Draining, LeavingDestination } from '../plan';

/** A destination that drains. */
export interface Drain {
  readonly service: ServiceKey;
  readonly destination: DestinationKey;
  /** Since when, in milliseconds since the machine started: they outlive a process, and connections no restart. */
  readonly since: number;
}

/** Milliseconds since the machine started. */
export function uptime(): number {
  return Math.floor(Number(process.hrtime.bigint() / 1_000_000n));
}

/** What draining is decided by. */
export interface DrainInput {
  readonly wanted: readonly VirtualServer[];
  /** Marks of services that carry UDP or SCTP. */
  readonly endless: ReadonlySet<number>;
  readonly before: readonly Drain[];
  /** Longest time a destination drains, in milliseconds. */
  readonly limit: number;
  readonly now: number;
}

/**
 * Whether a destination that leaves may wait for its connections; for `drain` of a plan. Those of UDP and SCTP may not, as
 * the kernel sees no end of their connections, nor those of a service that leaves too, as its address goes with it.
 */
export function mayDrain({ wanted, endless, before, limit, now }: DrainInput) {
  // Made when one is asked about: mostly none leaves.
  let stays: ReadonlySet<string> | undefined;
  const since = sinceOf(before);
  return (service: ServiceKey, destination: LeavingDestination): boolean => {
    const ends = 'fwmark' in service ? !endless.has(service.fwmark) : service.protocol === 'tcp';
    stays ??= new Set(wanted.map((server) => serviceId(server)));
    if (!ends || !stays.has(serviceId(service))) return false;
    return now - Math.min(since.get(drainId({ service, destination })) ?? now, now) < limit;
  };
}

/** What drains after a plan, those from before with their old time. */
export function drainsOf(
  draining: readonly Draining[],
  { before, now }: Pick<DrainInput, 'before' | 'now'>,
): readonly Drain[] {
  const since = sinceOf(before);
  const drains = draining.map(({ service, destination }) => {
    const began = since.get(drainId({ service, destination })) ?? now;
    // A time to come is of before the machine was started.
    return { service, destination, since: Math.min(began, now) };
  });
  return sameDrains(drains, before) ? before : drains;
}

function sameDrains(one: readonly Drain[], other: readonly Drain[]): boolean {
  if (one.length !== other.length) return false;
  const since = sinceOf(other);
  return one.every((drain) => since.get(drainId(drain)) === drain.since);
}

function sinceOf(drains: readonly Drain[]): Map<string, number> {
  return new Map(drains.map((drain) => [drainId(drain), drain.since]));
}

/** Tells one from another. */
export function drainId({ service, destination }: Pick<Drain, 'service' | 'destination'>): string {
  return `${serviceId(service)} ${destinationId({ address: destination.address, port: destination.port })}`;
}

/** What draining asks of a client. */
export type DrainBackend = Pick<Backend, 'apply'> & Pick<Ipvs, 'destinations'>;

/** What came of looking at destinations that drain. */
export interface Swept {
  /** Those that go on, with the connections they have. */
  readonly left: readonly (Drain & { readonly connections: number })[];
  /** Those that were deleted now. */
  readonly gone: readonly Drain[];
}

/**
 * Deletes those that are empty or out of time. One that has a weight again is somebody's, who wants it: it is left alone,
 * and drains no more.
 */
export async function sweep(
  ipvs: DrainBackend,
  drains: readonly Drain[],
  { limit, now }: Pick<DrainInput, 'limit' | 'now'>,
): Promise<Swept> {
  const left: Swept['left'][number][] = [];
  const gone: Drain[] = [];
  for (const group of byService(drains).values()) {
    const found = await destinationsOf(ipvs, group);
    for (const drain of group) {
      const there = found.get(destinationId(drain.destination));
      if (there === undefined || there.weight !== 0) continue;
      const connections = there.activeConnections + there.inactiveConnections;
      if (connections === 0 || now - drain.since >= limit) gone.push(drain);
      else left.push({ ...drain, connections });
    }
  }
  const changes = gone.map(({ service, destination }): Change => ({
    op: 'deleteDestination',
    service,
    destination,
  }));
  const outcomes = await ipvs.apply(changes);
  const failed = outcomes.find(({ error }) => error !== undefined && !isGone(error.code));
  if (failed?.error !== undefined) throw failed.error;
  return { left, gone };
}

function byService(drains: readonly Drain[]): Map<string, Drain[]> {
  const groups = new Map<string, Drain[]>();
  for (const drain of drains) {
    const id = serviceId(drain.service);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [drain]);
    else group.push(drain);
  }
  return groups;
}

async function destinationsOf(ipvs: DrainBackend, [first]: readonly Drain[]) {
  if (first === undefined) return new Map<string, never>();
  try {
    const found = await ipvs.destinations(first.service);
    return new Map(found.map((each) => [destinationId(each), each]));
  } catch (error) {
    if (isGone((error as { code?: string }).code)) return new Map<string, never>();
    throw error;
  }
}

function isGone(code: string | undefined): boolean {
  return code === 'ESRCH' || code === 'ENOENT';
}
