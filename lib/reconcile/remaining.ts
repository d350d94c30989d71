// What drains, followed to its end: for who plans once and then only waits. It deletes what is idle or out of time, and
// nothing else: what another program gives a weight again, or adds, is no longer this one's to take away.
import { ApplyError } from '../apply';
import type { Backend } from '../backend';
import { applyPlan, type AppliedOutcome } from '../converge';
import { DRAIN_POLL, type Drains } from '../drain';
import { destinationId, serviceId } from '../id';
import type { Destination, Service, ServiceKey, VirtualServer } from '../model';
import { plan, type Draining, type LeavingDestination } from '../plan';
import type { Clock } from './clock';

export interface RemainingOptions {
  readonly drains: Drains;
  /** Whether a service goes with the last of its destinations. */
  readonly leaves: (service: ServiceKey) => boolean;
  readonly signal: AbortSignal;
  /** Called after each look. */
  readonly looked?: (remaining: Remaining) => void;
}

/** A service of which something drains. */
interface Rest {
  readonly key: ServiceKey;
  readonly leaves: boolean;
  /** Its destinations that drain, by id. */
  readonly destinations: Map<string, Draining>;
}

/** A service as it was found, as far as it is looked at here. */
interface Seen {
  readonly rest: Rest;
  readonly draining: readonly Destination[];
  /** Whether it has destinations that do not drain. */
  readonly hasOthers: boolean;
}

export class Remaining {
  readonly #backend: Backend;
  readonly #options: RemainingOptions;
  readonly #clock: Clock;
  readonly #rest = new Map<string, Rest>();
  readonly #outcomes: AppliedOutcome[] = [];
  readonly #revived: Draining[] = [];
  readonly #cut: Draining[] = [];

  /** `draining` is what a plan has just begun to drain. */
  constructor(
    backend: Backend,
    draining: readonly Draining[],
    options: RemainingOptions,
    clock: Clock,
  ) {
    this.#backend = backend;
    this.#options = options;
    this.#clock = clock;
    for (const one of draining) {
      const id = serviceId(one.service);
      const leaves = options.leaves(one.service);
      const rest = this.#rest.get(id) ?? { key: one.service, leaves, destinations: new Map() };
      rest.destinations.set(destinationId(one.destination), one);
      this.#rest.set(id, rest);
    }
  }

  /** What still drains. */
  get draining(): readonly Draining[] {
    return [...this.#rest.values()].flatMap(({ destinations }) => [...destinations.values()]);
  }
  /** What became of the deletions. */
  get outcomes(): readonly AppliedOutcome[] {
    return this.#outcomes;
  }
  /** Those that another program gave a weight again: they stay. */
  get revived(): readonly Draining[] {
    return this.#revived;
  }
  /** Those whose time was up with connections left. */
  get cut(): readonly Draining[] {
    return this.#cut;
  }
  /** Milliseconds until the last of them goes, come what may. */
  get left(): number {
    return Math.max(0, (this.#options.drains.lastDeadline ?? 0) - this.#clock.now());
  }

  /** Resolves when nothing drains any more, or the signal says so. Rejects where the kernel cannot be asked. */
  async follow(): Promise<void> {
    const { signal, drains, looked } = this.#options;
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
    });
    for (;;) {
      if (signal.aborted) return;
      await this.#look();
      looked?.(this);
      if (this.#rest.size === 0) return;
      const deadline = (drains.nextDeadline ?? Infinity) - this.#clock.now();
      await this.#clock.wait(Math.max(1, Math.min(DRAIN_POLL, deadline)), aborted);
    }
  }

  async #look(): Promise<void> {
    const servers = await (this.#backend.servers?.() ?? this.#backend.snapshot());
    const seen = this.#find(servers);
    // Only what drains is shown to the plan, so it can delete nothing else; and of its services only the names.
    const actual = seen.map(({ rest, draining }) => ({ ...named(rest), destinations: draining }));
    const stays = seen.filter(({ rest, hasOthers }) => !rest.leaves || hasOthers);
    const desired = stays.map(({ rest }) => ({ ...named(rest), destinations: [] }));
    const { drains, signal } = this.#options;
    const steps = plan(desired, actual, { owns: () => true, drain: drains.waits });
    drains.settle(steps.draining, () => false);
    if (steps.empty) return;
    try {
      const { outcomes } = await applyPlan(this.#backend, steps, { signal });
      this.#take(outcomes);
    } catch (error) {
      if (error instanceof ApplyError) this.#take(error.outcomes);
      if (!signal.aborted) throw error;
    }
  }

  /** What is still there of what drained, and lets go of the rest. */
  #find(servers: readonly VirtualServer[]): Seen[] {
    const found = new Map<string, VirtualServer>();
    for (const server of servers) {
      const id = idOf(server);
      if (id !== undefined && this.#rest.has(id) && !found.has(id)) found.set(id, server);
    }
    const seen: Seen[] = [];
    for (const [id, rest] of this.#rest) {
      const server = found.get(id);
      const one = server === undefined ? undefined : this.#inspect(rest, server);
      if (one === undefined) this.#rest.delete(id);
      else seen.push(one);
    }
    return seen;
  }

  /** Undefined where there is nothing more to do. */
  #inspect(rest: Rest, server: VirtualServer): Seen | undefined {
    const there = new Map<string, Destination>();
    for (const one of server.destinations) {
      const id = destinationId(one);
      if (!there.has(id)) there.set(id, one);
    }
    const draining: Destination[] = [];
    for (const [id, one] of rest.destinations) {
      const found = there.get(id);
      if (found?.weight === 0) {
        draining.push(found);
        rest.destinations.set(id, { ...one, connections: connectionsOf(found) });
      } else {
        rest.destinations.delete(id);
        if (found !== undefined) this.#revived.push(one);
      }
    }
    const hasOthers = there.size > draining.length;
    if (draining.length === 0 && (hasOthers || !rest.leaves)) return undefined;
    return { rest, draining, hasOthers };
  }

  #take(outcomes: readonly AppliedOutcome[]): void {
    for (const outcome of outcomes) {
      const { change, status } = outcome;
      if (status === 'not tried') continue;
      this.#outcomes.push(outcome);
      const id = serviceId(change.service);
      const rest = this.#rest.get(id);
      if (rest === undefined) continue;
      // With the service go its destinations. What cannot be deleted now is not tried again and again.
      const name = 'destination' in change ? destinationId(change.destination) : undefined;
      for (const one of name === undefined ? [...rest.destinations.keys()] : [name]) {
        const draining = rest.destinations.get(one);
        rest.destinations.delete(one);
        if (status !== 'done' || draining === undefined) continue;
        if (draining.connections !== undefined && draining.connections > 0)
          this.#cut.push(draining);
      }
      if (name === undefined || (rest.destinations.size === 0 && !rest.leaves)) {
        this.#rest.delete(id);
      }
    }
  }
}

// Port 0 is no service's without persistence; what is the same on both sides is not changed.
function named({ key }: Rest): Service {
  return { ...key, persistence: { timeout: 1 } };
}

/** Undefined for what no change could name. */
function idOf(server: VirtualServer): string | undefined {
  try {
    return serviceId(server);
  } catch {
    return undefined;
  }
}

function connectionsOf(found: LeavingDestination): number | undefined {
  const { activeConnections, inactiveConnections } = found;
  if (activeConnections === undefined || inactiveConnections === undefined) return undefined;
  return activeConnections + inactiveConnections;
}
