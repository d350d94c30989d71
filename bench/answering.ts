// A process that answers each line it is given with a line.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';

export class Answering {
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #gone: Promise<never>;

  constructor(command: string, args: readonly string[] = []) {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout });
    this.#gone = once(child, 'close').then((): never => {
      throw new Error(`${command} has ended`);
    });
    // Only an order cares.
    this.#gone.catch(() => undefined);
  }

  async order(text: string): Promise<string> {
    const answer = once(this.#lines, 'line') as Promise<[string]>;
    this.#process.stdin?.write(`${text}\n`);
    const [line] = await Promise.race([answer, this.#gone]);
    return line;
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'close');
    this.#process.stdin?.end();
    await ended;
  }
}
