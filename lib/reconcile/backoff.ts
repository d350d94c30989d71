// Who failed, and when to try again: twice as long after each failure in a row.
import type { Clock } from './clock';

export interface Retry {
  readonly min: number;
  readonly max: number;
}

export class Backoff {
  readonly #retry: Retry;
  readonly #clock: Clock;
  readonly #failed = new Map<string, { readonly times: number; readonly until: number }>();

  constructor(retry: Retry, clock: Clock) {
    this.#retry = retry;
    this.#clock = clock;
  }

  get size(): number {
    return this.#failed.size;
  }

  /** When the first of them is to be tried again. */
  get next(): number {
    let first = Infinity;
    for (const { until } of this.#failed.values()) first = Math.min(first, until);
    return first;
  }

  failed(id: string): void {
    const times = (this.#failed.get(id)?.times ?? 0) + 1;
    const delay = Math.min(this.#retry.max, this.#retry.min * 2 ** (times - 1));
    const until = this.#clock.now() + delay * (0.5 + this.#clock.random() / 2);
    this.#failed.set(id, { times, until });
  }

  worked(id: string): void {
    this.#failed.delete(id);
  }

  isWaiting(id: string): boolean {
    const until = this.#failed.get(id)?.until;
    return until !== undefined && until > this.#clock.now();
  }

  /** When this one is to be tried again; in the past when it has not failed. */
  untilOf(id: string): number {
    return this.#failed.get(id)?.until ?? -Infinity;
  }

  ids(): string[] {
    return [...this.#failed.keys()];
  }
}
