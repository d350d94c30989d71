// A pseudo-terminal with a shell on it, through script(1), and what a person in front of it would see.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from './helpers';

const PROGRAM = path.join(__dirname, '../../dist/cli/main.js');

const PIECES =
  // eslint-disable-next-line no-control-regex -- this is a terminal
  /\x1b\[[?0-9;]*[A-Za-z]|\x1b[^[]|\r|\n|[^\x1b\r\n]+|\x1b\[?[?0-9;]*$/g;

/** The screen of a terminal that knows what `ipvs top` uses, and refuses anything else. */
class Screen {
  lines: string[] = [''];
  #other: string[] | undefined;
  #row = 0;
  #column = 0;
  #rest = '';

  /** Whether the other screen is shown: the one that goes away. */
  get alternate(): boolean {
    return this.#other !== undefined;
  }

  write(text: string): void {
    const all = this.#rest + text;
    const pieces = all.match(PIECES);
    this.#rest = '';
    for (const piece of pieces ?? []) {
      if (piece === '\r') this.#column = 0;
      else if (piece === '\n') this.#row++;
      else if (!piece.startsWith('\x1b')) this.#put(piece);
      else if (/[A-Za-z]$/.test(piece)) this.#control(piece.slice(2));
      else this.#rest += piece;
    }
  }

  #put(text: string): void {
    const line = (this.lines[this.#row] ?? '').padEnd(this.#column);
    this.lines[this.#row] =
      line.slice(0, this.#column) + text + line.slice(this.#column + text.length);
    this.#column += text.length;
  }

  #control(sequence: string): void {
    if (/^[0-9;]*m$/.test(sequence) || /^\?(?:25|7)[hl]$/.test(sequence)) return;
    if (sequence === 'H') this.#row = this.#column = 0;
    else if (sequence === '2J') this.lines = [''];
    else if (sequence === 'K') {
      this.lines[this.#row] = (this.lines[this.#row] ?? '').slice(0, this.#column);
    } else if (sequence === 'J') {
      this.lines.length = this.#row + 1;
      this.lines[this.#row] = (this.lines[this.#row] ?? '').slice(0, this.#column);
    } else if (sequence === '?1049h') {
      this.#other = this.lines;
      this.lines = [''];
    } else if (sequence === '?1049l') {
      this.lines = this.#other ?? this.lines;
      this.#other = undefined;
      this.#row = this.lines.length;
      this.#column = 0;
    } else throw new Error(`this terminal does not know ESC[${sequence}`);
  }
}

/** A shell on a terminal, in a network namespace. `ipvs` is the command; `$DIR` a folder of its own. */
export class Pty {
  readonly screen = new Screen();
  /** All that was written to it. */
  written = '';
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-pty-'));
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(namespace: string, script: string, { rows = 24, columns = 80, env = {} } = {}) {
    const before = `tty > $DIR/tty; stty rows ${rows} cols ${columns}; stty -a > $DIR/before
      ipvs() { sh -c 'echo $$ > $DIR/pid; exec ${process.execPath} ${PROGRAM} "$@"' ipvs "$@"; }\n`;
    const after = '\necho "status $?"; stty -a > $DIR/after';
    const child = spawn(
      'ip',
      ['netns', 'exec', namespace, 'script', '-qec', before + script + after, '/dev/null'],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, TERM: 'xterm', SHELL: '/bin/bash', DIR: this.#folder, ...env },
      },
    );
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.written += text;
      this.screen.write(text);
    });
    this.#child = child;
    this.#ended = once(child, 'close');
  }

  get text(): string {
    return this.screen.lines.join('\n');
  }

  /** Waits until the screen is so. */
  async shows(pattern: RegExp, within = 60_000): Promise<void> {
    const end = performance.now() + within;
    while (!pattern.test(this.text)) {
      if (performance.now() > end) throw new Error(`no ${String(pattern)} in:\n${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  resize(rows: number, columns: number): void {
    run('stty', '-F', this.read('tty'), 'rows', String(rows), 'cols', String(columns));
  }

  /** Sends a signal to the `ipvs` that runs. */
  kill(signal: NodeJS.Signals): void {
    process.kill(Number(this.read('pid')), signal);
  }

  /** What the shell left in a file. */
  read(file: string): string {
    return readFileSync(path.join(this.#folder, file), 'utf8').trim();
  }

  /** Waits for the shell to end; what must hold for every terminal that is given back, is checked. */
  async ended(): Promise<void> {
    await this.#ended;
    expect(this.screen.alternate).toBe(false);
    expect(this.read('after').replace(/rows \d+; columns \d+/, '')).toBe(
      this.read('before').replace(/rows \d+; columns \d+/, ''),
    );
    for (const mode of ['1049', '25', '7']) {
      const set = this.written.lastIndexOf(`\x1b[?${mode}h`);
      const reset = this.written.lastIndexOf(`\x1b[?${mode}l`);
      // The screen is left; the cursor and wrapping are back.
      expect({ mode, back: mode === '1049' ? reset > set : set > reset }).toEqual({
        mode,
        back: true,
      });
    }
  }

  /** Call it whatever happened. */
  delete(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true });
  }
}
