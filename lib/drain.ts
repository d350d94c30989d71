// Draining: a destination that is no longer wanted takes no new connections, and goes when its old ones have gone or its
// time is up. A state machine without timers: a plan asks it about each destination that leaves, at every pass.
import { InvalidInput, IpvsError, show } from './errors';
import { destinationId, serviceId } from './id';
import type { Destination, DestinationKey, ServiceKey } from './model';
import type { Draining, LeavingDestination } from './plan';
import { onlyNames } from './settings';

/** How destinations that leave are drained. @public */
export interface DrainOptions {
  /**
   * Longest wait for the connections of one destination, in milliseconds, from when this process first saw it leave.
   * @defaultValue `300_000`
   */
  readonly timeout?: number;
  /**
   * Which destinations drain; the others go at once.
   * @defaultValue those of TCP and fwmark services: of UDP and SCTP connections the kernel sees no end worth waiting for
   */
  readonly only?: (service: ServiceKey, destination: Destination) => boolean;
}

const TIMEOUT = 300_000;
/** How often connections of draining destinations are looked at, in milliseconds. */
export const DRAIN_POLL = 1_000;

/** Remembers since when destinations drain. A weight of 0 in the kernel is the rest of the memory, and survives us. */
export class Drains {
  readonly #timeout: number;
  readonly #only: (service: ServiceKey, destination: Destination) => boolean;
  readonly #now: () => number;
  #since = new Map<string, number>();
  #asked = new Map<string, number>();
  #first = true;

  constructor(options: DrainOptions, now: () => number) {
    const { timeout, only } = toFullDrain(options);
    this.#timeout = timeout;
    this.#only = only;
    this.#now = now;
  }

  /** How many drain. */
  get size(): number {
    return this.#since.size;
  }

  /** When the first of them runs out of time; undefined when none drains. */
  get nextDeadline(): number | undefined {
    return this.#deadline((a, b) => a < b);
  }

  /** When the last of them does. */
  get lastDeadline(): number | undefined {
    return this.#deadline((a, b) => a > b);
  }

  // There may be more of them than a call takes arguments.
  #deadline(isBefore: (a: number, b: number) => boolean): number | undefined {
    let found: number | undefined;
    for (const since of this.#since.values()) {
      if (found === undefined || isBefore(since, found)) found = since;
    }
    return found === undefined ? undefined : found + this.#timeout;
  }

  /** Whether a destination that leaves may wait; for `drain` of a plan. */
  readonly waits = (service: ServiceKey, destination: LeavingDestination): boolean => {
    if (!this.#only(service, destination)) return false;
    const id = idOf(service, destination);
    const now = this.#now();
    const since = this.#since.get(id) ?? now;
    this.#asked.set(id, since);
    return now - since < this.#timeout;
  };

  /**
   * Whether the weight 0 of a destination that is wanted comes from draining and must not be kept. Before the first pass
   * is over nobody knows, and a server that gets no connections though it is wanted is the worse mistake.
   */
  isRevived(service: ServiceKey, destination: Destination): boolean {
    if (destination.weight !== 0) return false;
    return this.#first || this.#since.has(idOf(service, destination));
  }

  /** Call when a pass was planned: what it was not asked about leaves no more, but for services left out of the plan. */
  settle(draining: readonly Draining[], isLeftOut: (id: string) => boolean): void {
    const next = new Map<string, number>();
    for (const [id, since] of this.#since) {
      if (isLeftOut(id.slice(0, id.indexOf(' ')))) next.set(id, since);
    }
    for (const { service, destination } of draining) {
      const id = idOf(service, destination);
      next.set(id, this.#asked.get(id) ?? this.#now());
    }
    this.#since = next;
    this.#asked = new Map();
  }

  /** Call when a pass was done. */
  passed(): void {
    this.#first = false;
  }
}

function toFullDrain(options: DrainOptions): Required<DrainOptions> {
  try {
    onlyNames('drain', { ...options }, ['timeout', 'only']);
    const { timeout = TIMEOUT, only = hasEnds } = options;
    if (typeof timeout !== 'number' || !(timeout >= 0)) {
      throw new InvalidInput(`drain: timeout: ${show(timeout)} is no time: give milliseconds`);
    }
    if (typeof only !== 'function') {
      throw new InvalidInput(`drain: only: ${show(only)} is not a function`);
    }
    return { timeout, only };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new IpvsError(`reconcile: ${error.problem}`, {
      code: 'ERR_IPVS_INVALID',
      operation: 'reconcile',
      cause: error,
    });
  }
}

function hasEnds(service: ServiceKey): boolean {
  return 'fwmark' in service || service.protocol === 'tcp';
}

function idOf(service: ServiceKey, { address, port }: DestinationKey): string {
  return `${serviceId(service)} ${destinationId({ address, port })}`;
}
