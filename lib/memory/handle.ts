// A handle on the kernel in memory, with the manners of the addon's: calls run one at a time in the order they were made,
// closing waits for the one under way and calls off the rest.
import { constants } from 'node:os';
import type { NativeHandle, Op } from '../native';
import { Records } from '../records';
import { Refusal, type Kernel } from './kernel';

const { EBADF, ECANCELED } = constants.errno;

interface Job {
  /** What `cancel` names it by; 0 for calls that cannot be called off. */
  readonly ticket: number;
  readonly run: () => void;
  readonly reject: (error: Error) => void;
}

export class MemoryHandle implements NativeHandle {
  readonly #kernel: Kernel;
  readonly #queue: Job[] = [];
  /** The call under way, while it can still be called off. */
  #current: Job | undefined;
  #working: Promise<void> | undefined;
  #closed = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  call(op: Op, request: Uint8Array): Promise<ArrayBuffer> {
    const records = copy(request);
    return this.#push(0, () => this.#run(op, records));
  }

  callSync(op: Op, request: Uint8Array): ArrayBuffer {
    if (this.#closed) throw failure('closed', EBADF);
    return this.#run(op, copy(request));
  }

  release(): void {
    // The collector will find it.
  }

  connections(query: Uint8Array, ticket: number): Promise<ArrayBuffer[]> {
    const own = query.slice();
    return this.#push(ticket, () => this.#connections(own));
  }

  connectionsSync(query: Uint8Array): ArrayBuffer[] {
    if (this.#closed) throw failure('closed', EBADF);
    return this.#connections(query);
  }

  cancel(ticket: number): void {
    if (this.#current?.ticket === ticket) this.#callOff();
    const index = this.#queue.findIndex((job) => job.ticket === ticket);
    if (index >= 0) this.#queue.splice(index, 1)[0]?.reject(failure('close', ECANCELED));
  }

  async close(): Promise<void> {
    this.closeSync();
    await this.#working;
  }

  closeSync(): void {
    this.#closed = true;
    if (this.#current !== undefined && this.#current.ticket !== 0) this.#callOff();
    for (const { reject } of this.#queue.splice(0)) reject(failure('closed', ECANCELED));
  }

  #push<T>(ticket: number, answer: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(failure('closed', EBADF));
        return;
      }
      const run = (): void => {
        resolve(answer());
      };
      this.#queue.push({ ticket, run, reject });
      this.#working ??= this.#work();
    });
  }

  #wasCalledOff(): boolean {
    return this.#current === undefined;
  }

  #callOff(): void {
    this.#current?.reject(failure('connections', ECANCELED));
    this.#current = undefined;
  }

  // Microtasks only: the timers of a test may be fake, and then nobody would wake us.
  async #work(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      this.#current = job;
      await Promise.resolve();
      if (this.#wasCalledOff()) continue;
      this.#current = undefined;
      try {
        job.run();
      } catch (error) {
        job.reject(error as Error);
      }
    }
    this.#working = undefined;
  }

  #connections(query: Uint8Array): ArrayBuffer[] {
    return this.#kernel.connections.read(query, failure);
  }

  #run(op: Op, request: Records): ArrayBuffer {
    try {
      return this.#kernel.call(op, request);
    } catch (error) {
      throw error instanceof Refusal ? failure('request', error.errno) : error;
    }
  }
}

// Callers use their buffers again; and records are read from the start of a buffer.
function copy(request: Uint8Array): Records {
  return new Records(request.slice().buffer);
}

function failure(op: string, errno: number): Error {
  return Object.assign(new Error(`${op}: error ${errno}`), { op, errno });
}
