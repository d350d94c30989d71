// ipvs top: who is busy, again and again.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ipvs } from '../../client';
import type { VirtualServerStatus } from '../../model';
import { interrupted, type Io } from '../io';
import type { Printer } from '../printer';
import { lines } from '../table';
import { FIRST, KeyReader, press, type State } from '../top/keys';
import { Meter } from '../top/meter';
import type { Sort } from '../top/order';
import { layout, topTable } from '../top/screen';
import type { Terminal } from '../top/terminal';

export interface TopOptions {
  /** Milliseconds between two looks. */
  readonly interval: number;
  /** Looks to take; for ever otherwise. */
  readonly count?: number | undefined;
  readonly sort?: Sort | undefined;
  readonly reverse?: boolean | undefined;
  readonly destinations?: boolean | undefined;
  readonly netns?: string | undefined;
}

/** Resolves with the exit status. */
export async function top(
  client: Ipvs,
  io: Io,
  printer: Printer,
  options: TopOptions,
): Promise<number> {
  const { sort = FIRST.sort, reverse = false, destinations = true } = options;
  const state: State = { ...FIRST, sort, reverse, destinations };
  const signal = io.interruption();
  const live = printer.output === 'table' && io.isTTY.stdout && io.env['TERM'] !== 'dumb';
  if (live) await new Live(client, io.terminal(), printer, state, options).run(signal);
  else await plain(client, printer, state, options, signal);
  return interrupted(signal);
}

/** What passes, as data. */
interface Look {
  readonly time: string;
  readonly services: readonly VirtualServerStatus[];
}

async function plain(
  client: Ipvs,
  printer: Printer,
  state: State,
  options: TopOptions,
  signal: AbortSignal,
): Promise<void> {
  let first = true;
  await printer.stream(look(client, options, signal), function* ({ time, services }, paint) {
    if (!first) yield '';
    first = false;
    yield paint('bold', time);
    yield* lines(topTable(services, state), paint);
  });
}

async function* look(
  client: Ipvs,
  { interval, count = Infinity }: TopOptions,
  signal: AbortSignal,
): AsyncGenerator<Look> {
  const meter = new Meter();
  const next = pacer(interval, signal);
  for (let looks = 0; looks < count && !signal.aborted; looks++) {
    if (looks > 0 && !(await next())) return;
    const found = await unless(signal, client.snapshot());
    if (found === undefined) return;
    const services = meter.measure(found, performance.now());
    yield { time: new Date().toISOString(), services };
  }
}

/** Waits until an interval after it was last called, or after now where that is past; false when the signal comes. */
function pacer(interval: number, signal: AbortSignal): () => Promise<boolean> {
  let due = performance.now() + interval;
  return async () => {
    const now = performance.now();
    await sleep(Math.max(0, due - now), undefined, { signal }).catch(() => undefined);
    due = Math.max(due, now) + interval;
    return !signal.aborted;
  };
}

/** The screen that people look at. */
class Live {
  readonly #client: Ipvs;
  readonly #terminal: Terminal;
  readonly #printer: Printer;
  readonly #options: TopOptions;
  readonly #meter = new Meter();
  readonly #keys = new KeyReader();
  readonly #quit = new AbortController();
  #state: State;
  #servers: readonly VirtualServerStatus[] | undefined;
  #page = 1;

  constructor(
    client: Ipvs,
    terminal: Terminal,
    printer: Printer,
    state: State,
    options: TopOptions,
  ) {
    this.#client = client;
    this.#terminal = terminal;
    this.#printer = printer;
    this.#state = state;
    this.#options = options;
  }

  async run(interruption: AbortSignal): Promise<void> {
    const { interval, count = Infinity } = this.#options;
    const signal = AbortSignal.any([interruption, this.#quit.signal]);
    const next = pacer(interval, signal);
    this.#terminal.enter({
      input: (text) => {
        this.#typed(text);
      },
      end: () => {
        this.#quit.abort();
      },
      redraw: () => {
        this.#draw();
      },
    });
    try {
      this.#draw();
      for (let looks = 0; looks < count && !signal.aborted; looks++) {
        if (looks > 0 && !(await next())) return;
        const found = await unless(signal, this.#client.snapshot());
        if (found === undefined) return;
        // Standing still, it goes on counting: the rates are right when it goes on.
        const measured = this.#meter.measure(found, performance.now());
        if (this.#state.paused) continue;
        this.#servers = measured;
        this.#draw();
      }
    } finally {
      this.#terminal.leave();
    }
  }

  #typed(text: string): void {
    for (const key of this.#keys.read(text)) {
      this.#state = press(this.#state, key, this.#page);
      const { ask } = this.#state;
      if (ask === 'quit') {
        this.#quit.abort();
        return;
      }
      if (ask === 'suspend') this.#terminal.suspend();
    }
    this.#draw();
  }

  #draw(): void {
    const { interval, netns } = this.#options;
    const view = { servers: this.#servers, state: this.#state, interval, netns };
    const { lines: text, offset, page } = layout(view, this.#terminal.size, this.#printer.paint);
    this.#state = { ...this.#state, offset };
    this.#page = page;
    this.#terminal.draw(text);
  }
}

/** What comes of the work, or nothing when the signal comes first. */
function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      resolve(undefined);
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    void work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', stop);
    });
  });
}
