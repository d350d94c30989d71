// An operation is a generator: it yields calls to be made over the border, and pauses, and returns the result. Both
// clients run the same operations: one awaits each call, the other makes it on the spot.
import { setImmediate as breathe } from 'node:timers/promises';
import type { NativeHandle, Op } from './native';

/** A call over the border, a reply that has been read and is no more needed, or a moment for others to use the thread. */
export type Step =
  { readonly op: Op; readonly request: Uint8Array } | { readonly release: ArrayBuffer } | 'pause';

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
    if ('release' in step.value) {
      handle.release(step.value.release);
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
    if ('release' in step.value) {
      handle.release(step.value.release);
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
