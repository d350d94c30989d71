// Long work on the JavaScript thread, a piece at a time: others get their turn in between.
import { setImmediate as breathe } from 'node:timers/promises';
import { IpvsError } from './errors';

/** Longest stretch of work before others get a turn, in milliseconds. */
const TURN = 4;
/** Units of work between two looks at the clock, at first and at most; a look is a system call on some machines. */
const LOOK = 64;
const RARE_LOOK = 1024;

/** Tells a loop when its turn is over. */
export class Turn {
  #look = LOOK;
  #left = LOOK;
  /** When it began, or a little after; unknown before the first look, so that little work never looks at all. */
  #start: number | undefined;
  #looked = 0;

  /** Whether to yield a pause now; counts one unit of work, all of them being of one kind. */
  over(): boolean {
    if (--this.#left > 0) return false;
    const now = performance.now();
    if (this.#start === undefined) return this.#begin(now);
    const lap = now - this.#looked;
    // As rarely as the units are quick: no lap should take a good part of a turn.
    if (lap < TURN / 16) this.#look = Math.min(this.#look * 2, RARE_LOOK);
    else if (lap > TURN / 4) this.#look = Math.max(this.#look >> 2, 1);
    this.#left = this.#look;
    this.#looked = now;
    return now - this.#start > TURN;
  }

  /** The same, after units of any kind: looks at the clock each time. Only after `next`. */
  isLate(): boolean {
    return performance.now() - (this.#start ?? 0) > TURN;
  }

  /** Call after the pause, and at the start of work whose first units may be slow. */
  next(): void {
    this.#begin(performance.now());
  }

  #begin(now: number): false {
    this.#left = this.#look;
    this.#start = this.#looked = now;
    return false;
  }
}

/** Work that yields wherever it may be left for a while: after a fraction of a millisecond at most. */
export type Work<T> = Generator<undefined, T, undefined>;

/** How many quick units of work, such as a line or a comparison, make a piece after which work yields. */
export const PIECE = 128;

/** The items, with a pause in the work after each that is worth one, as `yield* eachOf(items, work)`. */
export function* eachOf<T>(items: Iterable<T>, work: (item: T, i: number) => void): Work<void> {
  let i = 0;
  for (const item of items) {
    work(item, i++);
    yield;
  }
}

/** The same for items that are quick. */
export function* eachQuick<T>(items: Iterable<T>, work: (item: T, i: number) => void): Work<void> {
  let i = 0;
  for (const item of items) {
    work(item, i++);
    if (i % PIECE === 0) yield;
  }
}

/** Does the work to its end on this thread. */
export function atOnce<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Does the work, with turns for others by the clock. Rejects with IpvsError `ABORT_ERR` when the signal comes between two. */
export async function inTurns<T>(work: Work<T>, signal?: AbortSignal): Promise<T> {
  const turn = new Turn();
  turn.next();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (!turn.isLate()) continue;
    await breathe();
    if (signal?.aborted === true) {
      const cause: unknown = signal.reason;
      const details = { code: 'ABORT_ERR', operation: 'iptables', cause };
      throw new IpvsError('aborted by its signal', details);
    }
    turn.next();
  }
}
