// The floor (floor/floor.c) as a process that stays: it takes orders one at a time and answers each with its own timing.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { FLOOR } from './places';

export interface Answer {
  readonly milliseconds: number;
  /** Changes or rows; of `spawn` the most memory that the command had, in KiB. */
  readonly count: number;
}

export class Floor {
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #gone: Promise<never>;

  /** `table` is a file in ipvsadm's save format. */
  constructor(table: string) {
    const child = spawn(FLOOR, [table], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout });
    this.#gone = once(child, 'close').then((): never => {
      throw new Error('the floor has ended');
    });
    // Only an order cares.
    this.#gone.catch(() => undefined);
  }

  /** Adds the table, at most `most` changes a datagram. */
  add(netns: string, most?: number): Promise<Answer> {
    return this.#order(most === undefined ? `add ${netns}` : `add ${netns} ${most}`);
  }

  /** Adds the table, asking for one answer a datagram. */
  fence(netns: string): Promise<Answer> {
    return this.#order(`fence ${netns}`);
  }

  /** Sets the weight of so many destinations, spread evenly over the table; `fence` asks for one answer a datagram. */
  edit(netns: string, count: number, weight: number, fence = false): Promise<Answer> {
    return this.#order(`edit ${netns} ${count} ${weight}${fence ? ' fence' : ''}`);
  }

  read(netns: string): Promise<Answer> {
    return this.#order(`read ${netns}`);
  }

  /** Dumps netfilter's flows, and drops them. */
  flows(netns: string): Promise<Answer> {
    return this.#order(`flows ${netns}`);
  }

  /** Runs a command in the namespace, timed from fork to end. */
  spawn(netns: string, input: string, command: readonly string[]): Promise<Answer> {
    return this.#order(`spawn ${netns} ${input} ${command.join(' ')}`);
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'close');
    this.#process.stdin?.end();
    await ended;
  }

  async #order(text: string): Promise<Answer> {
    const answer = once(this.#lines, 'line') as Promise<[string]>;
    this.#process.stdin?.write(`${text}\n`);
    const [line] = await Promise.race([answer, this.#gone]);
    const [seconds = NaN, count = NaN] = line.split(' ').map(Number);
    return { milliseconds: seconds * 1000, count };
  }
}
