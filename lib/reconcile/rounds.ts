// Rounds on their way to whoever looks at them. The loop never waits for a slow reader: the oldest rounds are dropped, and
// the next one says how many.
import type { Round } from '../reconcile';

const KEPT = 64;

export class Rounds {
  readonly #waiting: Omit<Round, 'missed'>[] = [];
  #missed = 0;
  #ended = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  push(round: Omit<Round, 'missed'>): void {
    this.#waiting.push(round);
    if (this.#waiting.length > KEPT) {
      this.#waiting.shift();
      this.#missed++;
    }
    this.#wake?.();
  }

  end(error?: unknown): void {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  /** The next round; undefined after the last. Throws what the loop ended with. */
  async next(): Promise<Round | undefined> {
    while (this.#waiting.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const round = this.#waiting.shift();
    if (round === undefined) {
      if (this.#error !== undefined) throw this.#error as Error;
      return undefined;
    }
    const missed = this.#missed;
    this.#missed = 0;
    return { ...round, missed };
  }
}
