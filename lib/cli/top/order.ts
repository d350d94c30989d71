// Which service is on top.
import type { DestinationStatus, Stats, VirtualServerStatus } from '../../model';
import { inOrder } from '../../order';

export const SORTS = ['connections', 'packets', 'bytes', 'active', 'inactive', 'name'] as const;
export type Sort = (typeof SORTS)[number];

export interface Ordering {
  readonly sort: Sort;
  /** The least first; names from the end. */
  readonly reverse: boolean;
}

/** The live connections of a service: the kernel counts them for destinations alone. */
export function live({ destinations }: VirtualServerStatus): Live {
  let activeConnections = 0;
  let inactiveConnections = 0;
  for (const destination of destinations) {
    activeConnections += destination.activeConnections;
    inactiveConnections += destination.inactiveConnections;
  }
  return { activeConnections, inactiveConnections };
}

type Live = Pick<DestinationStatus, 'activeConnections' | 'inactiveConnections'>;

/** Services in order, and the destinations of each; those that are equal, by name. */
export function ordered(
  servers: readonly VirtualServerStatus[],
  { sort, reverse }: Ordering,
): VirtualServerStatus[] {
  const named = inOrder(servers).map((server) => ({
    ...server,
    destinations: arrange(server.destinations, sort, reverse, (one) => one),
  }));
  return arrange(named, sort, reverse, live);
}

function arrange<T extends { readonly stats: Stats }>(
  items: readonly T[],
  sort: Sort,
  reverse: boolean,
  connections: (item: T) => Live,
): T[] {
  if (sort === 'name') return reverse ? [...items].reverse() : [...items];
  return items
    .map((item) => ({ item, weight: VALUES[sort](item.stats, connections(item)) }))
    .sort((a, b) => (reverse ? a.weight - b.weight : b.weight - a.weight))
    .map(({ item }) => item);
}

const VALUES: Readonly<Record<Exclude<Sort, 'name'>, (stats: Stats, live: Live) => number>> = {
  connections: ({ perSecond }) => perSecond.connections,
  packets: ({ perSecond }) => perSecond.packetsIn + perSecond.packetsOut,
  bytes: ({ perSecond }) => perSecond.bytesIn + perSecond.bytesOut,
  active: (_stats, { activeConnections }) => activeConnections,
  inactive: (_stats, { inactiveConnections }) => inactiveConnections,
};
