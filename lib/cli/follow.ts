// A state file as the states it says, one after the other. Whoever writes it may write in place, put another in its place, or
// move the directory's links around, as Kubernetes does: so its directory is watched, and it is looked at every now and then.
import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { readState, type State } from '../state';

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** Told once of each thing that keeps the file from being read; then of nothing until it can be, or it is another. */
  readonly onProblem: (error: Error) => void;
  /** Milliseconds between two looks when nothing is heard. @defaultValue `1_000` */
  readonly poll?: number;
}

/** Time for whoever writes in place to finish, in milliseconds. */
const SETTLE = 50;

/** Yields `first`, then each state that the file says from then on. The last good one counts while it says none. */
export async function* follow(
  file: string,
  first: State,
  { signal, onProblem, poll = 1_000 }: FollowOptions,
): AsyncGenerator<State, void> {
  const ear = new Ear(path.dirname(file), signal);
  try {
    let seen = '';
    let text = JSON.stringify(first);
    let problem = '';
    yield first;
    while (!signal.aborted) {
      const mark = await markOf(file);
      if (mark !== seen) {
        seen = mark;
        try {
          const state = await readState(file);
          problem = '';
          const now = JSON.stringify(state);
          if (now !== text) {
            text = now;
            yield state;
            continue;
          }
        } catch (error) {
          const { message } = error as Error;
          if (message !== problem) onProblem(error as Error);
          problem = message;
        }
      }
      if (await ear.listen(poll)) await ear.wait(SETTLE);
    }
  } finally {
    ear.close();
  }
}

/** What changes when the file does; it says nothing of how. */
async function markOf(file: string): Promise<string> {
  try {
    const { ino, dev, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [ino, dev, size, mtimeNs, ctimeNs].join();
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/** Hears of changes in a directory, where the system tells of them. */
class Ear {
  #watcher: FSWatcher | undefined;
  readonly #signal: AbortSignal;
  #heard = false;
  #wake: () => void = () => undefined;

  constructor(directory: string, signal: AbortSignal) {
    this.#signal = signal;
    try {
      this.#watcher = watch(directory, { persistent: false });
      this.#watcher.on('change', () => {
        this.#heard = true;
        this.#wake();
      });
      // Looking every now and then is enough.
      this.#watcher.on('error', () => {
        this.close();
      });
    } catch {
      this.#watcher = undefined;
    }
  }

  /** Resolves with true when something was heard, with false after so many milliseconds. */
  async listen(milliseconds: number): Promise<boolean> {
    if (!this.#heard) await this.wait(milliseconds);
    const heard = this.#heard;
    this.#heard = false;
    return heard;
  }

  /** Until something is heard, time is up, or it is to end. */
  wait(milliseconds: number): Promise<void> {
    if (this.#signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#wake = done;
      this.#signal.addEventListener('abort', done);
    });
  }

  close(): void {
    this.#watcher?.close();
  }
}
