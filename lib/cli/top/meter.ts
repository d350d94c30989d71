// Rates from counters. The kernel renews its counters every two seconds and averages its own rates over some eight; the
// difference of two snapshots a few of its turns apart is exact and follows sooner.
import { destinationId, serviceId } from '../../id';
import type { Rates, Stats, VirtualServerStatus } from '../../model';

/** Milliseconds between the snapshots compared: two turns of the kernel, as one would now and then count none or two. */
export const WINDOW = 4000;
/** Snapshots nearer to each other than this need not both be kept. */
const SPACING = WINDOW / 4;

interface Sample {
  readonly at: number;
  readonly stats: Stats;
}

/** Remembers the counters of a few seconds. */
export class Meter {
  #kept = new Map<string, readonly Sample[]>();

  /**
   * The same servers, `perSecond` measured here. A counter that was not seen a window ago, or was set to zero since, has
   * the kernel's own average until it was. What is not there any more is forgotten.
   */
  measure(servers: readonly VirtualServerStatus[], at: number): VirtualServerStatus[] {
    const before = this.#kept;
    const kept = (this.#kept = new Map<string, readonly Sample[]>());
    const read = (id: string, stats: Stats): Stats => {
      const samples = remember(before.get(id) ?? [], { at, stats });
      kept.set(id, samples);
      const [oldest] = samples;
      if (oldest === undefined || at - oldest.at < WINDOW) return stats;
      return { ...stats, perSecond: ratesBetween(oldest, { at, stats }) };
    };
    return servers.map((server) => {
      const id = serviceId(server);
      return {
        ...server,
        stats: read(id, server.stats),
        destinations: server.destinations.map((destination) => ({
          ...destination,
          stats: read(`${id} ${destinationId(destination)}`, destination.stats),
        })),
      };
    });
  }
}

/** What passed between two samples, a second. */
export function ratesBetween(from: Sample, to: Sample): Rates {
  const seconds = (to.at - from.at) / 1000;
  const rate = (counter: Counter): number =>
    Number(counter(to.stats) - counter(from.stats)) / seconds;
  return {
    connections: rate(COUNTERS.connections),
    packetsIn: rate(COUNTERS.packetsIn),
    packetsOut: rate(COUNTERS.packetsOut),
    bytesIn: rate(COUNTERS.bytesIn),
    bytesOut: rate(COUNTERS.bytesOut),
  };
}

type Counter = (stats: Stats) => bigint;

const COUNTERS: Readonly<Record<keyof Rates, Counter>> = {
  connections: ({ connections }) => connections,
  packetsIn: ({ packets }) => packets.in,
  packetsOut: ({ packets }) => packets.out,
  bytesIn: ({ bytes }) => bytes.in,
  bytesOut: ({ bytes }) => bytes.out,
};

// The first of them is the youngest that is a window old, once there is one.
function remember(samples: readonly Sample[], next: Sample): readonly Sample[] {
  const last = samples.at(-1);
  if (last === undefined || wentBack(last.stats, next.stats)) return [next];
  // One that comes too soon is compared, and not kept.
  const all = next.at - last.at < SPACING ? samples : [...samples, next];
  const first = all.findLastIndex(({ at }) => next.at - at >= WINDOW);
  return first > 0 ? all.slice(first) : all;
}

// Counters only grow: one that does not was set to zero, or is another's.
function wentBack(from: Stats, to: Stats): boolean {
  return Object.values(COUNTERS).some((counter) => counter(to) < counter(from));
}
