// A plan applied where others write too: what another program did first is no failure, if it can still be made what the
// plan wants. And what a service would lose waits until what it gains is there.
import { ApplyError, type ApplyOptions, type Outcome } from './apply';
import type { Backend } from './backend';
import { IpvsError } from './errors';
import { ipvsError } from './explain';
import { destinationId, serviceId } from './id';
import type { Change } from './model';
import { ChangePlan, type Plan } from './plan';
import type { Step } from './plan/text';

/**
 * How a change was done although another program had changed the same thing: it was there already and was `set`, it had
 * gone and was `added` again, or what was to go was `gone`.
 * @public
 */
export type Convergence = 'set' | 'added' | 'gone';

/** What became of one change of a plan. @public */
export type AppliedOutcome = Outcome & { readonly converged?: Convergence };

/** What became of a plan. @public */
export interface Applied {
  /** One for each change of the plan, in its order. */
  readonly outcomes: readonly AppliedOutcome[];
  /** What the plan had no change for, as it was there when it was made, and had to be added again. */
  readonly restored: readonly AppliedOutcome[];
  /** Whether every change was done. */
  readonly complete: boolean;
}

/** How to apply a plan. @public */
export type ApplyPlanOptions = Pick<ApplyOptions, 'signal' | 'progress'>;

/** A change on its way, and the step of the plan it does; none when it restores something. */
interface Job {
  readonly index: number | undefined;
  readonly change: Change;
  readonly converged?: Convergence;
}
interface Failure extends Job {
  readonly error: IpvsError;
}

/** How often the same change is tried again, with another program at it all the time. */
const ROUNDS = 4;

/**
 * Does the changes of a plan in one trip; in two where a service both gains and loses, as nothing is taken from a service
 * whose gains failed. Refused changes do not reject: see the outcomes. Broken off half-way, rejects with an ApplyError.
 * @public
 */
export async function applyPlan(
  backend: Backend,
  plan: Plan,
  options: ApplyPlanOptions = {},
): Promise<Applied> {
  if (!(plan instanceof ChangePlan)) {
    const words = 'not a plan: give what plan() returns';
    throw ipvsError('ERR_IPVS_INVALID', words, { operation: 'applyPlan' });
  }
  return new Application(backend, plan, options).run();
}

class Application {
  readonly #backend: Backend;
  readonly #plan: ChangePlan;
  readonly #options: ApplyPlanOptions;
  readonly #outcomes: (AppliedOutcome | undefined)[];
  readonly #restored: AppliedOutcome[] = [];
  /** Changes of trips that are over. */
  #behind = 0;

  constructor(backend: Backend, plan: ChangePlan, options: ApplyPlanOptions) {
    this.#backend = backend;
    this.#plan = plan;
    this.#options = options;
    this.#outcomes = new Array<undefined>(plan.changes.length).fill(undefined);
  }

  async run(): Promise<Applied> {
    const [first, second] = tripsOf(this.#plan.steps);
    await this.#trip(first);
    if (second.length > 0) {
      const failed = new Set<string>();
      for (const index of first) {
        if (this.#outcomes[index]?.status !== 'done') failed.add(idOf(this.#change(index)));
      }
      await this.#trip(second.filter((index) => !failed.has(idOf(this.#change(index)))));
    }
    const outcomes = this.#all();
    const isDone = ({ status }: AppliedOutcome): boolean => status === 'done';
    const complete = outcomes.every(isDone) && this.#restored.every(isDone);
    return { outcomes, restored: this.#restored, complete };
  }

  async #trip(indices: readonly number[]): Promise<void> {
    const jobs = indices.map((index): Job => ({ index, change: this.#change(index) }));
    let failures = await this.#send(jobs, this.#options.progress);
    this.#behind += jobs.length;
    if (failures.length === 0) return;
    const lost = this.#lostServices(failures);
    await this.#withdraw(indices, lost);
    failures = failures.filter((failure) => {
      const hopeless = lost.has(idOf(failure.change));
      if (hopeless) this.#record(failure, failed(failure));
      return !hopeless;
    });
    for (let round = 0; round < ROUNDS && failures.length > 0; round++) {
      failures = await this.#send(this.#remedies(failures));
    }
    for (const failure of failures) this.#record(failure, failed(failure));
  }

  /** Sends changes and records what was done; what was refused comes back. */
  async #send(jobs: readonly Job[], progress?: ApplyOptions['progress']): Promise<Failure[]> {
    if (jobs.length === 0) return [];
    const { signal } = this.#options;
    const failures: Failure[] = [];
    const behind = this.#behind;
    const total = this.#plan.changes.length;
    let outcomes: readonly Outcome[];
    try {
      outcomes = await this.#backend.apply(
        jobs.map(({ change }) => change),
        {
          ...(signal === undefined ? {} : { signal }),
          ...(progress === undefined
            ? {}
            : {
                progress: ({ done }) => {
                  progress({ done: behind + done, total });
                },
              }),
        },
      );
    } catch (error) {
      throw error instanceof IpvsError ? this.#brokenOff(error, jobs) : error;
    }
    for (const [i, job] of jobs.entries()) {
      const outcome = outcomes[i];
      if (outcome?.status === 'failed') failures.push({ ...job, error: outcome.error });
      else if (outcome?.status === 'done') this.#record(job, { status: 'done' });
    }
    return failures;
  }

  #brokenOff(error: IpvsError, jobs: readonly Job[]): ApplyError {
    const known = error instanceof ApplyError ? error.outcomes : [];
    for (const [i, job] of jobs.entries()) {
      const outcome = known[i];
      if (outcome?.status === 'done') this.#record(job, { status: 'done' });
      if (outcome?.status === 'failed') this.#record(job, outcome);
    }
    const outcomes = this.#all();
    const done = outcomes.filter(({ status }) => status === 'done').length;
    const { code, errno, operation } = error;
    return new ApplyError(
      `${error.message}; of the plan, ${done} of ${outcomes.length} changes were done`,
      { code, errno, operation, cause: error },
      outcomes,
    );
  }

  /** Services that could not be added, and whose destinations cannot be therefore. */
  #lostServices(failures: readonly Failure[]): ReadonlyMap<string, IpvsError> {
    const lost = new Map<string, IpvsError>();
    for (const { change, error } of failures) {
      if (change.op !== 'addService') continue;
      const taken = error.code === 'EEXIST';
      if (!taken || !this.#plan.mayEdit(change.service)) lost.set(idOf(change), error);
    }
    return lost;
  }

  // Somebody else has added the service meanwhile, and it is not ours to edit: nor to add destinations to.
  async #withdraw(indices: readonly number[], lost: ReadonlyMap<string, IpvsError>): Promise<void> {
    if (lost.size === 0) return;
    const back: Change[] = [];
    for (const index of indices) {
      const change = this.#change(index);
      const error = lost.get(idOf(change));
      if (error === undefined || this.#outcomes[index]?.status !== 'done') continue;
      if (change.op !== 'addDestination') continue;
      back.push({ ...change, op: 'deleteDestination' });
      this.#record({ index, change }, { status: 'failed', error });
    }
    if (back.length > 0) await this.#backend.apply(back);
  }

  /** What to do instead of what was refused. What cannot be helped is recorded as failed. */
  #remedies(failures: readonly Failure[]): Job[] {
    const jobs: Job[] = [];
    /** By service, those that are no more. */
    const missing = new Map<string, Failure[]>();
    for (const failure of failures) {
      const { index, change } = failure;
      const { code } = failure.error;
      const set = asSet(change);
      const leaves =
        isDeletion(change) || (index !== undefined && this.#plan.steps[index]?.drains === true);
      if (leaves && (code === 'ENOENT' || code === 'ESRCH')) {
        this.#record(failure, { status: 'done', converged: 'gone' });
      } else if (code === 'EEXIST' && set !== undefined) {
        jobs.push({ index, change: set, converged: 'set' });
      } else if (code === 'ENOENT' && change.op === 'setDestination') {
        jobs.push({ index, change: { ...change, op: 'addDestination' }, converged: 'added' });
      } else if (code === 'ESRCH') {
        const id = idOf(change);
        missing.set(id, [...(missing.get(id) ?? []), failure]);
      } else {
        this.#record(failure, failed(failure));
      }
    }
    return jobs.concat([...missing.values()].flatMap((group) => this.#rebuild(group)));
  }

  /** Adds a service again that somebody has deleted, with everything it shall have. */
  #rebuild(group: readonly Failure[]): Job[] {
    const waiting = new Map(group.map((failure) => [targetOf(failure.change), failure]));
    const steps = group[0] && this.#plan.fromNothing(group[0].change.service);
    const jobs = (steps ?? []).map(({ change }): Job => {
      const index = waiting.get(targetOf(change))?.index;
      waiting.delete(targetOf(change));
      return { index, change, converged: 'added' };
    });
    for (const failure of waiting.values()) this.#record(failure, failed(failure));
    return jobs;
  }

  #record(
    { index, change, converged }: Job,
    outcome:
      | { readonly status: 'done'; readonly converged?: Convergence }
      | { readonly status: 'failed'; readonly error: IpvsError },
  ): void {
    const how = outcome.status === 'done' && converged !== undefined ? { converged } : {};
    if (index === undefined) this.#restored.push({ change, ...how, ...outcome });
    else this.#outcomes[index] = { change: this.#change(index), ...how, ...outcome };
  }

  #change(index: number): Change {
    return this.#plan.changes[index] as Change;
  }

  #all(): AppliedOutcome[] {
    return this.#plan.changes.map(
      (change, i) => this.#outcomes[i] ?? { change, status: 'not tried' },
    );
  }
}

/** Indices of the steps that go first, and of those that wait for them to succeed. */
function tripsOf(steps: readonly Step[]): [number[], number[]] {
  const first: number[] = [];
  const second: number[] = [];
  const gaining = new Set<string>();
  const loses = steps.findIndex(({ effect }) => effect === 'loss');
  for (const [i, { change, effect }] of steps.entries()) {
    if (loses < 0 || i < loses) {
      if (loses >= 0 && effect === 'gain' && change.op !== 'addService') gaining.add(idOf(change));
      first.push(i);
    } else {
      (gaining.has(idOf(change)) ? second : first).push(i);
    }
  }
  return [first, second];
}

function idOf({ service }: Change): string {
  return serviceId(service);
}

/** What a change is about, within its service. */
function targetOf(change: Change): string {
  return 'destination' in change ? destinationId(change.destination) : '';
}

function isDeletion({ op }: Change): boolean {
  return op === 'deleteService' || op === 'deleteDestination';
}

/** An addition of what is there already; undefined for what is none. */
function asSet(change: Change): Change | undefined {
  if (change.op === 'addService') return { ...change, op: 'setService' };
  return change.op === 'addDestination' ? { ...change, op: 'setDestination' } : undefined;
}

function failed({ error }: Failure): { readonly status: 'failed'; readonly error: IpvsError } {
  return { status: 'failed', error };
}
