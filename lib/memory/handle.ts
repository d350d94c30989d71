// A handle on the kernel in memory, with the manners of the addon's: calls run one at a time in the order they were made,
// closing waits for the one under way and calls off the rest.
import { constants } from 'node:os';
import type { NativeHandle, Op } from '../native';
import { Records } from '../records';
import { Refusal, type Kernel } from './kernel';

const { EBADF, ECANCELED } = constants.errno;

interface Job {
  readonly op: Op;
  readonly request: Records;
  readonly resolve: (reply: ArrayBuffer) => void;
  readonly reject: (error: Error) => void;
}

export class MemoryHandle implements NativeHandle {
  readonly #kernel: Kernel;
  readonly #queue: Job[] = [];
  #working: Promise<void> | undefined;
  #closed = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  call(op: Op, request: Uint8Array): Promise<ArrayBuffer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(failure('closed', EBADF));
        return;
      }
      this.#queue.push({ op, request: copy(request), resolve, reject });
      this.#working ??= this.#work();
    });
  }

  callSync(op: Op, request: Uint8Array): ArrayBuffer {
    if (this.#closed) throw failure('closed', EBADF);
    return this.#run(op, copy(request));
  }

  async close(): Promise<void> {
    this.closeSync();
    await this.#working;
  }

  closeSync(): void {
    this.#closed = true;
    for (const { reject } of this.#queue.splice(0)) reject(failure('closed', ECANCELED));
  }

  // Microtasks only: the timers of a test may be fake, and then nobody would wake us.
  async #work(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      await Promise.resolve();
      try {
        job.resolve(this.#run(job.op, job.request));
      } catch (error) {
        job.reject(error as Error);
      }
    }
    this.#working = undefined;
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
