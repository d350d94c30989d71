// The terminal: raw keys in, whole screens out, and everything as it was when this process ends, however it ends.
import { writeSync } from 'node:fs';
import type { Size } from './screen';

export interface Listener {
  /** What was typed. */
  input(text: string): void;
  /** There will be no more of it. */
  end(): void;
  /** Of another size, or back from elsewhere: draw all of it anew. */
  redraw(): void;
}

export interface Terminal {
  readonly size: Size;
  /** Takes the screen and the keys. */
  enter(listener: Listener): void;
  /** Shows these lines and no others; drops them while the terminal does not keep up. */
  draw(lines: readonly string[]): void;
  /** Gives the terminal to the shell until this process is continued. */
  suspend(): void;
  /** Puts all back. Leaving twice is fine. */
  leave(): void;
}

// The other screen, without a cursor and without wrapping; and back.
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const FALLBACK: Size = { columns: 80, rows: 24 };

/** The terminal of this process. */
export class ProcessTerminal implements Terminal {
  #listener: Listener | undefined;
  #shown = false;
  #full = false;

  get size(): Size {
    const { columns, rows } = process.stdout;
    // Some terminals do not know, and say 0.
    return columns > 0 && rows > 0 ? { columns, rows } : FALLBACK;
  }

  enter(listener: Listener): void {
    this.#listener = listener;
    process.on('exit', this.#leave);
    process.on('SIGCONT', this.#continued);
    process.stdout.on('resize', this.#redraw);
    // Keys are what a terminal sends: another input is not ours to read.
    if (process.stdin.isTTY) {
      process.stdin.on('data', this.#input).on('end', this.#end).on('error', this.#end);
    }
    this.#show();
  }

  draw(lines: readonly string[]): void {
    if (!this.#shown || this.#full) return;
    // Each line over what was there, so that nothing flickers.
    const text = lines.map((line) => `${line}\x1b[K`).join('\r\n');
    this.#full = !process.stdout.write(`\x1b[H${text}\x1b[J`);
    if (this.#full) process.stdout.once('drain', this.#drained);
  }

  suspend(): void {
    this.#hide();
    // As the terminal does: all of the pipeline.
    process.kill(0, 'SIGTSTP');
    // Where nobody could continue us, the kernel does not stop us, and no SIGCONT comes.
    setTimeout(() => {
      if (!this.#shown) this.#continued();
    }, 100).unref();
  }

  leave(): void {
    if (this.#listener === undefined) return;
    this.#listener = undefined;
    process.off('exit', this.#leave);
    process.off('SIGCONT', this.#continued);
    process.stdout.off('resize', this.#redraw).off('drain', this.#drained);
    process.stdin.off('data', this.#input).off('end', this.#end).off('error', this.#end);
    this.#hide();
  }

  #show(): void {
    this.#shown = true;
    this.#full = false;
    if (process.stdin.isTTY) {
      // The shell may have set it back while we were stopped, behind the back of libuv: set both.
      process.stdin.setRawMode(false);
      process.stdin.setRawMode(true);
      process.stdin.resume();
    }
    say(ENTER);
  }

  #hide(): void {
    if (!this.#shown) return;
    this.#shown = false;
    say(LEAVE);
    if (!process.stdin.isTTY) return;
    process.stdin.pause();
    try {
      process.stdin.setRawMode(false);
    } catch {
      // The terminal is gone, and its settings with it.
    }
  }

  readonly #leave = (): void => {
    this.leave();
  };
  readonly #redraw = (): void => {
    this.#listener?.redraw();
  };
  readonly #drained = (): void => {
    this.#full = false;
    this.#listener?.redraw();
  };
  readonly #continued = (): void => {
    if (this.#listener === undefined) return;
    this.#show();
    this.#listener.redraw();
  };
  readonly #input = (data: Buffer): void => {
    this.#listener?.input(data.toString('latin1'));
  };
  readonly #end = (): void => {
    this.#listener?.end();
  };
}

// At once: there may be no later.
function say(text: string): void {
  try {
    writeSync(1, text);
  } catch {
    // The terminal is gone, or as good as.
  }
}
