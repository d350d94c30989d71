// A shell to type `ipvs …` into: no process, and IPVS in memory unless another is given.
import { Readable } from 'node:stream';
import type { Ipvs, OpenOptions } from '../../lib/client';
import type { Io, Output } from '../../lib/cli/io';
import { run } from '../../lib/cli/run';
import type { Terminal } from '../../lib/cli/top/terminal';
import type { System } from '../../lib/doctor';
import { MemoryKernel } from '../../lib/memory';

export interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Shell {
  readonly kernel = new MemoryKernel();
  /** What each run opened IPVS with. */
  readonly opened: OpenOptions[] = [];
  /** The words each `ipvs lab` was given. */
  readonly labs: (readonly string[])[] = [];
  isTTY: Io['isTTY'] = { stdin: false, stdout: false, stderr: false };
  env: Io['env'] = {};
  stdin = '';
  system: System | undefined;
  terminal: Terminal | undefined;
  interruption = new AbortController();
  readonly #open: (options: OpenOptions) => Promise<Ipvs>;

  constructor(open?: (options: OpenOptions) => Promise<Ipvs>) {
    this.#open = open ?? (() => Promise.resolve(this.kernel.open()));
  }

  /** Types a line, its words apart by one blank each; expects it to succeed quietly and gives what it printed. */
  async ok(line: string): Promise<string> {
    const { status, stdout, stderr } = await this.type(line);
    expect({ line, status, stderr }).toEqual({ line, status: 0, stderr: '' });
    return stdout;
  }

  /** Types a line. */
  type(line: string): Promise<Result> {
    return this.words(line === '' ? [] : line.split(' '));
  }

  /** Types words that may have blanks in them. */
  async words(argv: readonly string[]): Promise<Result> {
    const out = new Sink();
    const err = new Sink();
    const status = await run(argv, this.io(out, err));
    return { status, stdout: out.text, stderr: err.text };
  }

  /** The world that its runs meet. */
  io(out: Output = new Sink(), err: Output = new Sink()): Io {
    return {
      stdout: out,
      stderr: err,
      stdin: Readable.from([this.stdin]),
      isTTY: this.isTTY,
      env: this.env,
      open: (options) => {
        this.opened.push(options);
        return this.#open(options);
      },
      system: () => {
        if (this.system === undefined) throw new Error('this shell has no machine');
        return this.system;
      },
      terminal: () => {
        if (this.terminal === undefined) throw new Error('this shell has no terminal');
        return this.terminal;
      },
      interruption: () => this.interruption.signal,
      lab: (words) => {
        this.labs.push(words);
        return Promise.resolve(7);
      },
    };
  }
}

class Sink {
  text = '';
  write(text: string): boolean {
    this.text += text;
    return true;
  }
  once(): this {
    return this;
  }
}
