// The floor (floor/floor.c) as a process that stays: it takes orders one at a time and answers each with its own timing.
import { Answering } from './answering';
import { FLOOR } from './places';

export interface Answer {
  readonly milliseconds: number;
  /** Changes or rows; of `spawn` the most memory that the command had, in KiB. */
  readonly count: number;
}

export class Floor {
  readonly #process: Answering;

  /** `table` is a file in ipvsadm's save format. */
  constructor(table: string) {
    this.#process = new Answering(FLOOR, [table]);
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

  close(): Promise<void> {
    return this.#process.close();
  }

  async #order(text: string): Promise<Answer> {
    const line = await this.#process.order(text);
    const [seconds = NaN, count = NaN] = line.split(' ').map(Number);
    return { milliseconds: seconds * 1000, count };
  }
}
