// The destinations that drain during one call: swept once, or watched until the last of them is gone.
import { setTimeout as sleep } from 'node:timers/promises';
import { destinationId, serviceId } from '../id';
import { sweep, uptime, type Drain, type DrainBackend, type Swept } from './drains';

/** How often destinations are looked at while somebody waits, in milliseconds. */
const EVERY = 1000;

export interface DrainageOptions {
  readonly drains: readonly Drain[];
  /** Longest time each of them drains, in milliseconds. */
  readonly limit: number;
  /** Whether somebody waits until they are gone. */
  readonly wait: boolean;
  readonly signal: AbortSignal | undefined;
}

export class Drainage {
  readonly #ipvs: DrainBackend;
  readonly #options: DrainageOptions;
  readonly #gone: Drain[] = [];
  #left: readonly Drain[];

  constructor(ipvs: DrainBackend, options: DrainageOptions) {
    this.#ipvs = ipvs;
    this.#options = options;
    this.#left = options.drains;
  }

  /** Those that go on. */
  get left(): readonly Drain[] {
    return this.#left.map(({ service, destination, since }) => ({ service, destination, since }));
  }

  /** One line for each that was deleted. */
  get lines(): string[] {
    return this.#gone.map(
      ({ service, destination }) => `- ${serviceId(service)} ${destinationId(destination)}`,
    );
  }

  get waits(): boolean {
    return this.#options.wait && this.#options.drains.length > 0;
  }

  /** Looks at each once. */
  async sweep(): Promise<void> {
    const { limit } = this.#options;
    const { left, gone }: Swept = await sweep(this.#ipvs, this.#left, { limit, now: uptime() });
    this.#left = left;
    this.#gone.push(...gone);
  }

  /** Resolves when none is left. `changed` is told about each that goes, before the next look. */
  async wait(changed: () => Promise<void>): Promise<void> {
    const { limit, signal } = this.#options;
    while (this.#left.length > 0) {
      const first = Math.min(...this.#left.map(({ since }) => since)) + limit - uptime();
      await sleep(Math.max(0, Math.min(EVERY, first)), undefined, { signal });
      const before = this.#left.length;
      await this.sweep();
      if (this.#left.length !== before) await changed();
    }
  }
}
