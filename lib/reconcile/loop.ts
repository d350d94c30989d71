// The loop: one pass at a time, each for the newest desired state there is by then.
import { ApplyError } from '../apply';
import type { Backend } from '../backend';
import { applyPlan, type AppliedOutcome } from '../converge';
import { DRAIN_POLL } from '../drain';
import { IpvsError } from '../errors';
import { serviceId } from '../id';
import type { ServiceKey, VirtualServer } from '../model';
import { plan, type Plan } from '../plan';
import type { Health, Reconciliation, Round } from '../reconcile';
import { Backoff } from './backoff';
import type { Clock } from './clock';
import { isTooMuch, lossOf, takesAway } from './loss';
import type { FullOptions } from './options';
import { Rounds } from './rounds';

/** The whole pass, among the services that failed. */
const EVERYTHING = '';

interface State {
  readonly revision: number;
  readonly servers: readonly VirtualServer[];
}

interface Planned {
  readonly servers: readonly VirtualServer[];
  /** Services left alone for now. */
  readonly held: ReadonlySet<string>;
  readonly plan: Plan;
}

type Pass = Pick<Round, 'plan' | 'outcomes' | 'error'> & { readonly held: number };

export class Loop implements Reconciliation {
  readonly #desired: AsyncIterable<readonly VirtualServer[]>;
  readonly #backend: Backend;
  readonly #options: FullOptions;
  readonly #clock: Clock;
  readonly #rounds = new Rounds();
  readonly #backoff: Backoff;
  #started = false;
  #stopped = false;
  #wake: () => void = () => undefined;
  /** The newest state, and the newest that made sense. */
  #newest: State | undefined;
  #good: State | undefined;
  #invalid: Error | undefined;
  #ended = false;
  #failure: unknown;
  #due = Infinity;
  #known: { servers: readonly VirtualServer[]; state: State; plan: Plan } | undefined;
  #health: Health = { healthy: false, revision: 0, pending: 0 };

  constructor(
    desired: AsyncIterable<readonly VirtualServer[]>,
    backend: Backend,
    options: FullOptions,
    clock: Clock,
  ) {
    this.#desired = desired;
    this.#backend = backend;
    this.#options = options;
    this.#clock = clock;
    this.#backoff = new Backoff(options.retry, clock);
  }

  get health(): Health {
    return this.#health;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Round, void> {
    if (this.#started) throw new Error('reconcile: it can be iterated only once');
    this.#started = true;
    const running = this.#run();
    try {
      for (let round; (round = await this.#rounds.next()) !== undefined;) yield round;
    } finally {
      this.#stop();
      await running;
    }
  }

  readonly #stop = (): void => {
    this.#stopped = true;
    this.#wake();
  };

  async #run(): Promise<void> {
    const { signal } = this.#options;
    signal?.addEventListener('abort', this.#stop);
    if (signal?.aborted === true) this.#stop();
    const iterator = this.#desired[Symbol.asyncIterator]();
    const following = this.#follow(iterator);
    try {
      while (!this.#isOver()) {
        await this.#sleep();
        if (this.#isOver()) break;
        if (this.#clock.now() >= this.#due) await this.#pass();
      }
      this.#rounds.end(this.#failure);
    } catch (error) {
      this.#rounds.end(error);
    } finally {
      signal?.removeEventListener('abort', this.#stop);
      // A generator that waits for its next state cannot be told to stop before it has it, so nobody waits for that.
      if (!this.#ended) void Promise.resolve(iterator.return?.()).catch(() => undefined);
      else await following;
    }
  }

  /** Takes states as they come; those that come during a pass replace one another. */
  async #follow(iterator: AsyncIterator<readonly VirtualServer[]>): Promise<void> {
    let revision = 0;
    try {
      for (let next; (next = await iterator.next()).done !== true && !this.#stopped;) {
        this.#newest = { revision: ++revision, servers: next.value };
        this.#due = Math.max(this.#clock.now(), this.#blockedUntil());
        this.#wake();
      }
    } catch (error) {
      this.#failure = error;
    }
    this.#ended = true;
    this.#wake();
  }

  #isOver(): boolean {
    if (this.#stopped || (this.#failure !== undefined && this.#ended)) return true;
    if (!this.#ended) return false;
    if (this.#newest === undefined) return true;
    const { healthy, pending } = this.#health;
    const isSettled = this.#good === this.#newest && this.#seen === this.#newest;
    if (!isSettled) return this.#invalid !== undefined && this.#seen === this.#newest;
    return this.#options.dryRun || this.#refused || (healthy && pending === 0);
  }
  /** What the last pass was for. */
  #seen: State | undefined;
  #refused = false;

  async #sleep(): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    // States and ends that came since the last pass have nobody to wake.
    const left = this.#due - this.#clock.now();
    if (left <= 0 || this.#isOver()) return;
    await this.#clock.wait(left, woken);
  }

  async #pass(): Promise<void> {
    const start = this.#clock.now();
    const state = this.#newest;
    if (state === undefined) return;
    this.#due = start + this.#options.resync;
    const pass = await this.#try(state);
    const { drains } = this.#options;
    const undone = pass.outcomes.filter(({ status }) => status !== 'done').length;
    const pending = undone + pass.held + pass.plan.draining.length;
    const error = pass.error ?? this.#invalid;
    const revision = (this.#good ?? state).revision;
    const lastError = error ?? failureOf(pass.outcomes) ?? this.#health.lastError;
    const healthy = error === undefined && undone === 0 && pass.held === 0;
    this.#health = {
      healthy,
      revision: healthy ? revision : this.#health.revision,
      pending,
      ...(lastError === undefined ? {} : { lastError }),
    };
    this.#seen = state;
    const now = this.#clock.now();
    if (pass.plan.draining.length > 0) {
      const deadline = Math.max(drains?.nextDeadline ?? Infinity, now + 1);
      this.#due = Math.min(this.#due, now + DRAIN_POLL, deadline);
    }
    // What came meanwhile has made it due already, and stays so.
    if (this.#newest !== state) this.#due = now;
    this.#due = Math.max(Math.min(this.#due, this.#backoff.next), this.#blockedUntil());
    this.#rounds.push({
      revision,
      plan: pass.plan,
      outcomes: pass.outcomes,
      pending,
      duration: now - start,
      ...(error === undefined ? {} : { error }),
    });
  }

  /** After a pass that failed as a whole, nothing is tried before its time. */
  #blockedUntil(): number {
    return this.#backoff.untilOf(EVERYTHING);
  }

  async #try(state: State): Promise<Pass> {
    let made: Plan = plan([], []);
    this.#refused = false;
    try {
      const { servers, held, plan: next } = await this.#plan(state);
      made = next;
      const notTried = made.changes.map((change) => ({ change, status: 'not tried' as const }));
      const target = this.#good ?? state;
      const loss = takesAway(made) && lossOf(target.servers, servers, this.#options.plan.owns);
      if (loss !== false && isTooMuch(loss, this.#options.maxLoss)) {
        this.#refused = true;
        this.#backoff.worked(EVERYTHING);
        const error = tooMuch(loss.lost, loss.owned);
        return { plan: made, outcomes: notTried, held: held.size, error };
      }
      const outcomes = this.#options.dryRun ? notTried : await this.#apply(made, held);
      this.#backoff.worked(EVERYTHING);
      return { plan: made, outcomes, held: held.size };
    } catch (error) {
      if (error instanceof ApplyError) {
        return { plan: made, outcomes: error.outcomes, held: 0, error: this.#failed(error) };
      }
      return { plan: made, outcomes: [], held: 0, error: this.#failed(error) };
    }
  }

  #failed(error: unknown): Error {
    this.#backoff.failed(EVERYTHING);
    return error instanceof Error ? error : new Error(String(error));
  }

  async #plan(state: State): Promise<Planned> {
    const servers = await (this.#backend.servers?.() ?? this.#backend.snapshot());
    const held = this.#heldServices(state);
    const isHeld = (server: ServiceKey): boolean => held.has(serviceId(server));
    const rest = held.size === 0 ? servers : servers.filter((server) => !isNamed(server, isHeld));
    let made = this.#recall(servers, state, held.size);
    made ??= this.#planFor(state, rest, isHeld, held.size);
    this.#options.drains?.settle(made.draining, (id) => held.has(id));
    if (Object.isFrozen(servers) && held.size === 0 && this.#good === state) {
      this.#known = { servers, state, plan: made };
    }
    return { servers, held, plan: made };
  }

  /** The plan of last time, when nothing at all is different; it had nothing to do, or it would be. */
  #recall(servers: readonly VirtualServer[], state: State, held: number): Plan | undefined {
    const known = this.#known;
    if (known?.servers !== servers || known.state !== state || held > 0) return undefined;
    return known.plan.empty && known.plan.draining.length === 0 ? known.plan : undefined;
  }

  #planFor(
    state: State,
    actual: readonly VirtualServer[],
    isHeld: (server: ServiceKey) => boolean,
    held: number,
  ): Plan {
    const planned = ({ servers }: State): Plan =>
      plan(
        held === 0 ? servers : servers.filter((server) => !isNamed(server, isHeld)),
        actual,
        this.#options.plan,
      );
    if (this.#seen !== state || this.#invalid === undefined) {
      try {
        const made = planned(state);
        this.#good = state;
        this.#invalid = undefined;
        return made;
      } catch (error) {
        if (!(error instanceof IpvsError)) throw error;
        this.#invalid = error;
      }
    }
    if (this.#good === undefined) return plan([], []);
    return planned(this.#good);
  }

  /** Services that failed and whose time has not come, unless something else is wanted of them now. */
  #heldServices(state: State): ReadonlySet<string> {
    if (this.#seen !== undefined && this.#seen !== state) this.#forgive(this.#seen, state);
    return new Set(
      this.#backoff.ids().filter((id) => id !== EVERYTHING && this.#backoff.isWaiting(id)),
    );
  }

  #forgive(before: State, state: State): void {
    for (const id of this.#backoff.ids()) {
      if (id !== EVERYTHING && textOf(before, id) !== textOf(state, id)) this.#backoff.worked(id);
    }
  }

  async #apply(made: Plan, held: ReadonlySet<string>): Promise<readonly AppliedOutcome[]> {
    const { signal } = this.#options;
    const bad = new Set<string>();
    let outcomes: readonly AppliedOutcome[] = [];
    if (!made.empty) {
      const applied = await applyPlan(this.#backend, made, signal === undefined ? {} : { signal });
      outcomes = [...applied.outcomes, ...applied.restored];
      for (const { change, status } of outcomes) {
        if (status !== 'done') bad.add(serviceId(change.service));
      }
    }
    this.#options.drains?.passed();
    for (const id of this.#backoff.ids()) {
      if (!bad.has(id) && !held.has(id)) this.#backoff.worked(id);
    }
    for (const id of bad) this.#backoff.failed(id);
    return outcomes;
  }
}

/** Whether a server that may be anything is one of those. */
function isNamed(server: VirtualServer, is: (server: ServiceKey) => boolean): boolean {
  try {
    return is(server);
  } catch {
    return false;
  }
}

function textOf({ servers }: State, id: string): string {
  return JSON.stringify(
    servers.find((server) => isNamed(server, (key) => serviceId(key) === id)) ?? null,
  );
}

function failureOf(outcomes: readonly AppliedOutcome[]): Error | undefined {
  return outcomes.find(({ error }) => error !== undefined)?.error;
}

function tooMuch(lost: number, owned: number): Error {
  return new IpvsError(
    `reconcile: this would delete or empty ${lost} of our ${owned} services: if that is meant, raise maxLoss`,
    { code: 'ERR_IPVS_REFUSED', operation: 'reconcile' },
  );
}
