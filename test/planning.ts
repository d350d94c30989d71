// A table that changes are done to, one at a time and in plain sight: what a plan promises is about every state it passes.
import fc from 'fast-check';
import { destinationId, serviceId } from '../lib/id';
import type { Change, Destination, Service, VirtualServer } from '../lib/model';
import { inOrder } from '../lib/order';
import { anyState } from './arbitraries';

interface Entry {
  readonly service: Service;
  readonly destinations: ReadonlyMap<string, Destination>;
}
export type Table = ReadonlyMap<string, Entry>;

export function tableOf(servers: readonly VirtualServer[]): Table {
  return new Map(
    servers.map(({ destinations, ...service }) => [
      serviceId(service),
      { service, destinations: new Map(destinations.map((one) => [destinationId(one), one])) },
    ]),
  );
}

/** The table after one change; throws where the kernel would refuse. */
export function after(table: Table, change: Change): Table {
  const next = new Map(table);
  const id = serviceId(change.service);
  const entry = next.get(id);
  if (change.op === 'addService') {
    if (entry !== undefined) throw new Error(`${id}: EEXIST`);
    return next.set(id, { service: change.service, destinations: new Map() });
  }
  if (entry === undefined) throw new Error(`${id}: ESRCH`);
  if (change.op === 'setService') return next.set(id, { ...entry, service: change.service });
  if (change.op === 'deleteService') {
    next.delete(id);
    return next;
  }
  if (!('destination' in change)) throw new Error(`no change: ${JSON.stringify(change)}`);
  const { op, destination } = change;
  const destinations = new Map(entry.destinations);
  const to = destinationId(destination);
  if (destinations.has(to) === (op === 'addDestination')) {
    throw new Error(`${id} ${to}: ${op === 'addDestination' ? 'EEXIST' : 'ENOENT'}`);
  }
  if (op === 'deleteDestination') destinations.delete(to);
  else destinations.set(to, destination);
  return next.set(id, { ...entry, destinations });
}

/** Every table from the first to the last. */
export function* passes(table: Table, changes: Iterable<Change>): Generator<Table> {
  yield table;
  for (const change of changes) {
    table = after(table, change);
    yield table;
  }
}

/** How many destinations take new connections. */
export function available(table: Table, id: string): number {
  const destinations = [...(table.get(id)?.destinations.values() ?? [])];
  return destinations.filter(({ weight }) => weight !== 0).length;
}

const KNOWN_TO_THE_KERNEL = new Set([
  'stats',
  'activeConnections',
  'inactiveConnections',
  'persistentConnections',
]);

/** What was read, in an order of its own and without what only the kernel knows. */
export function settled(servers: readonly VirtualServer[]): unknown {
  const settings = (status: object): object =>
    Object.fromEntries(Object.entries(status).filter(([name]) => !KNOWN_TO_THE_KERNEL.has(name)));
  return inOrder(servers).map((server) => ({
    ...settings(server),
    destinations: server.destinations.map(settings),
  }));
}

/** A state to get to and one to start from, and an order that neither came in. */
export const anyTask = fc.record({
  desired: anyState,
  actual: anyState,
  seed: fc.integer(),
});

/** The same things in another order. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed >>> 0;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  return items
    .map((item) => ({ item, rank: next() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

export function shuffledState(
  servers: readonly VirtualServer[],
  seed: number,
): readonly VirtualServer[] {
  return shuffled(
    servers.map((server) => ({ ...server, destinations: shuffled(server.destinations, seed) })),
    seed,
  );
}
