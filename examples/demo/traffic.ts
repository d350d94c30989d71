// The client in its host, as the main program sees it: start a load, look how it is getting on, stop it.
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Load, Order, Tally } from './messages';

export class Traffic {
  readonly #client: ChildProcess;
  readonly #tallies = new Map<number, Tally>();

  constructor(client: ChildProcess) {
    this.#client = client;
    client.on('message', (tally: Tally) => {
      this.#tallies.set(tally.id, tally);
    });
  }

  start(load: Omit<Load, 'id'>): number {
    const id = this.#tallies.size;
    this.#tallies.set(id, { id, sent: 0, failed: 0, answers: {} });
    this.#order({ start: { ...load, id } });
    return id;
  }

  /** Begins no more requests; those that are open go on. */
  stop(id: number): void {
    this.#order({ stop: id });
  }

  /** Stops a load; resolves when its last request is answered or has failed. */
  async finish(id: number): Promise<Tally> {
    this.stop(id);
    // One report may be under way that knows nothing of the order yet.
    await sleep(300);
    while (openRequests(this.tally(id)) > 0) await sleep(100);
    return this.tally(id);
  }

  tally(id: number): Tally {
    const tally = this.#tallies.get(id);
    if (tally === undefined) throw new Error(`there is no load ${id}`);
    return tally;
  }

  /** Of all loads so far. */
  get sent(): number {
    return [...this.#tallies.values()].reduce((sum, { sent }) => sum + sent, 0);
  }

  get failed(): number {
    return [...this.#tallies.values()].reduce((sum, { failed }) => sum + failed, 0);
  }

  #order(order: Order): void {
    if (!this.#client.connected) throw new Error('the client of the demo has ended');
    this.#client.send(order);
  }
}

export function openRequests({ sent, failed, answers }: Tally): number {
  return sent - failed - answered(answers);
}

export function answered(answers: Tally['answers']): number {
  return Object.values(answers).reduce((sum, count) => sum + count, 0);
}
