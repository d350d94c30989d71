// What the tests of reconciling stand on: time that passes as soon as everybody waits for it, states pushed by hand, and a
// kernel that fails when it is told to.
import { setImmediate as breathe } from 'node:timers/promises';
import { explain } from '../lib/explain';
import type { Backend } from '../lib/backend';
import type { VirtualServer } from '../lib/model';
import type { Clock } from '../lib/reconcile/clock';
import { Loop } from '../lib/reconcile/loop';
import { toFullOptions } from '../lib/reconcile/options';
import type { ReconcileOptions, Round } from '../lib/reconcile';

const IDLE = 12;

export class FakeClock implements Clock {
  time = 0;
  readonly now = (): number => this.time;
  readonly random = (): number => 1;
  readonly wait = async (milliseconds: number, woken: Promise<void>): Promise<void> => {
    const state = { awake: false };
    void woken.then(() => (state.awake = true));
    for (let i = 0; i < IDLE && !state.awake; i++) await breathe();
    if (state.awake) return;
    // Without an end there is nothing to wait for but a wake.
    if (milliseconds === Infinity) await woken;
    else this.time += milliseconds;
  };
}

/** States, one after the other, as they are pushed. */
export class States implements AsyncIterable<readonly VirtualServer[]> {
  readonly #waiting: (readonly VirtualServer[])[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: () => void = () => undefined;

  push(state: readonly VirtualServer[]): this {
    this.#waiting.push(state);
    this.#wake();
    return this;
  }
  end(error?: Error): this {
    this.#ended = true;
    this.#error = error;
    this.#wake();
    return this;
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly VirtualServer[], void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#error !== undefined) throw this.#error;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

export function start(
  states: AsyncIterable<readonly VirtualServer[]>,
  backend: Backend,
  options: ReconcileOptions = {},
  clock = new FakeClock(),
): Loop {
  return new Loop(states, backend, toFullOptions(options, clock), clock);
}

/** Every round to the end. */
export async function roundsOf(loop: AsyncIterable<Round>): Promise<Round[]> {
  const rounds: Round[] = [];
  for await (const round of loop) rounds.push(round);
  return rounds;
}

/** Fails when `fails` says so: the whole call, or single changes. */
export function faulty(
  backend: Backend,
  fails: {
    readonly read?: () => boolean;
    readonly apply?: () => boolean;
    readonly change?: (id: number) => boolean;
  },
): Backend {
  const EIO = 5;
  let changes = 0;
  return {
    async snapshot() {
      if (fails.read?.() === true) throw explain(EIO, { operation: 'snapshot' });
      return backend.snapshot();
    },
    async apply(list, options) {
      if (fails.apply?.() === true) throw explain(EIO, { operation: 'apply' });
      const outcomes = [];
      for (const change of list) {
        if (fails.change?.(changes++) === true) {
          const error = explain(EIO, { operation: change.op, service: change.service });
          outcomes.push({ change, status: 'failed' as const, error });
        } else outcomes.push(...(await backend.apply([change], options)));
      }
      return outcomes;
    },
  };
}
