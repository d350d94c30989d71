// An operation is a generator: it yields calls to be made over the border, and pauses, and returns the result. Both
// clients run the same operations: one awaits each call, the other makes it on the spot.
import { setImmediate as breathe } from 'node:timers/promises';
import type { NativeHandle, Op } from './native';

/** A call over the border, or a moment for others to use the thread. */
export type Step = { readonly op: Op; readonly request: Uint8Array } | 'pause';

/** Yields steps, is sent replies, returns the result. */
export type Operation<T> = Generator<Step, T, ArrayBuffer>;

const NOTHING = new ArrayBuffer(0);
export const NO_REQUEST = new Uint8Array(0);

/** Runs an operation, giving up the thread at every step. */
export async function runAsync<T>(handle: NativeHandle, operation: Operation<T>): Promise<T> {
  let step = operation.next();
  while (step.done !== true) {
    if (step.value === 'pause') {
      await breathe();
      step = operation.next(NOTHING);
      continue;
    }
    let reply: ArrayBuffer;
    try {
      reply = await handle.call(step.value.op, step.value.request);
    } catch (error) {
      step = operation.throw(error);
      continue;
    }
    step = operation.next(reply);
  }
  return step.value;
}

/** Runs an operation to its end on this thread. */
export function runSync<T>(handle: NativeHandle, operation: Operation<T>): T {
  let step = operation.next();
  while (step.done !== true) {
    if (step.value === 'pause') {
      step = operation.next(NOTHING);
      continue;
    }
    let reply: ArrayBuffer;
    try {
      reply = handle.callSync(step.value.op, step.value.request);
    } catch (error) {
      step = operation.throw(error);
      continue;
    }
    step = operation.next(reply);
  }
  return step.value;
}

/** Longest stretch of work on the JavaScript thread before others get a turn, in milliseconds. */
const TURN = 4;
/** Units of work between two looks at the clock, at first and at most; a look is a system call on some machines. */
const LOOK = 64;
const RARE_LOOK = 1024;

/** Tells a loop when its turn is over. */
export class Turn {
  #look = LOOK;
  #left = LOOK;
  #start = performance.now();
  #looked = this.#start;

  /** Whether to yield a pause now; counts one unit of work. */
  over(): boolean {
    if (--this.#left > 0) return false;
    const now = performance.now();
    const lap = now - this.#looked;
    // As rarely as the units are quick: no lap should take a good part of a turn.
    if (lap < TURN / 16) this.#look = Math.min(this.#look * 2, RARE_LOOK);
    else if (lap > TURN / 4) this.#look = Math.max(this.#look >> 2, 1);
    this.#left = this.#look;
    this.#looked = now;
    return now - this.#start > TURN;
  }

  /** Call after the pause. */
  next(): void {
    this.#left = this.#look;
    this.#start = this.#looked = performance.now();
  }
}
