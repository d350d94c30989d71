// One line on a terminal that says how far something long has come, and is gone when it is over.
import type { Io } from '../io';
import type { Printer } from '../printer';

/** Milliseconds after which a person begins to wonder. */
const PATIENCE = 500;
const ERASE = '\r\u001b[K';

export class Status {
  readonly #io: Io;
  readonly #start = performance.now();
  readonly #patience: number;
  readonly #isShowing: boolean;
  #isShown = false;

  /** Says nothing before `patience` milliseconds have passed. */
  constructor(io: Io, { isQuiet }: Printer, patience = PATIENCE) {
    this.#isShowing = io.isTTY.stderr && !isQuiet;
    this.#io = io;
    this.#patience = patience;
  }

  show(text: string): void {
    if (!this.#isShowing || performance.now() - this.#start < this.#patience) return;
    this.#isShown = true;
    this.#io.stderr.write(`${ERASE}${text}`);
  }

  clear(): void {
    if (this.#isShown) this.#io.stderr.write(ERASE);
    this.#isShown = false;
  }
}
