// Where results go. Data to stdout, in the form that was asked for; everything said to a person to stderr.
import { once } from 'node:events';
import { setImmediate as breathe } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Io, Output } from './io';
import { lazy } from './lazy';
import { toJson, toJsonLine, toPlain } from './plain';
import { lines, type Paint, type Table } from './table';
import { WrongUse } from './wrong';

/** The forms of output. */
export const OUTPUTS = ['table', 'json', 'yaml', 'ndjson', 'save'] as const;
export type OutputForm = (typeof OUTPUTS)[number];

export interface PrinterOptions {
  readonly output?: OutputForm | undefined;
  readonly quiet?: boolean | undefined;
}

/** Characters gathered before they are written: few writes, and never the whole of a big table in memory twice. */
const CHUNK = 65536;

export class Printer {
  readonly output: OutputForm;
  readonly #io: Io;
  readonly #quiet: boolean;
  readonly #paint: Paint;

  constructor(io: Io, options: PrinterOptions = {}) {
    this.#io = io;
    this.output = options.output ?? 'table';
    this.#quiet = options.quiet ?? false;
    this.#paint = hasColour(io)
      ? (style, text) => styleText(style, text, { validateStream: false })
      : (_style, text) => text;
  }

  /** Whether nothing is to be said but errors. */
  get isQuiet(): boolean {
    return this.#quiet;
  }

  get paint(): Paint {
    return this.#paint;
  }

  /** Prints many things of a kind: an array, or a table made of them. */
  async list(
    items: readonly unknown[],
    table: () => Table,
    saved?: () => Iterable<string>,
  ): Promise<void> {
    await this.listLines(items, (paint) => lines(table(), paint), saved);
  }

  /** Prints many things of a kind: an array, or lines that tell of them. */
  async listLines(
    items: readonly unknown[],
    text: (paint: Paint) => Iterable<string>,
    saved?: () => Iterable<string>,
  ): Promise<void> {
    if (this.output === 'save') await this.#lines(savedBy(saved));
    else await this.long(items, text);
  }

  /** Prints one thing: an object, or a table that shows it. */
  async one(item: object, table: () => Table): Promise<void> {
    await this.oneLines(item, (paint) => lines(table(), paint));
  }

  /** Prints one thing: an object, or lines that tell of it. */
  async oneLines(
    item: object,
    text: (paint: Paint) => Iterable<string>,
    saved?: () => Iterable<string>,
  ): Promise<void> {
    if (this.output === 'table') await this.#lines(text(this.#paint));
    else if (this.output === 'save') await this.#lines(savedBy(saved));
    else if (this.output === 'json') await this.#write([`${toJson(item)}\n`]);
    else if (this.output === 'ndjson') await this.#write(jsonLines([item]));
    else await this.#write([lazy.yaml().stringify(toPlain(item))]);
  }

  /** Prints more things of a kind than should be there at once; the lines that tell of them are made as they go out. */
  async long(items: Iterable<unknown>, text: (paint: Paint) => Iterable<string>): Promise<void> {
    if (this.output === 'save') savedBy(undefined);
    if (this.output === 'table') await this.#lines(text(this.#paint));
    else if (this.output === 'json') await this.#write(jsonArray(items));
    else if (this.output === 'ndjson') await this.#write(jsonLines(items));
    else await this.#write(yamlArray(items));
  }

  /** Prints things of a kind as they come: an array with no end yet, or text that each becomes. */
  async stream<T>(
    items: AsyncIterable<T>,
    text: (item: T, paint: Paint) => Iterable<string>,
  ): Promise<void> {
    if (this.output === 'save') savedBy(undefined);
    if (this.output === 'save') savedBy(undefined);
    let before = '[\n';
    for await (const item of items) {
      if (this.output === 'table') await this.#lines(text(item, this.#paint));
      else if (this.output === 'ndjson') await this.#write(jsonLines([item]));
      else if (this.output === 'yaml') await this.#write(yamlArray([item]));
      else await this.#write([before, indented(item)]);
      before = ',\n';
    }
    if (this.output === 'json') await this.#write([before === '[\n' ? '[]\n' : '\n]\n']);
  }

  /** Something a person at a terminal may want to know. */
  hint(text: string): void {
    if (!this.#quiet && this.#io.isTTY.stderr) this.#io.stderr.write(`${text}\n`);
  }

  async #lines(text: Iterable<string>): Promise<void> {
    await this.#write(
      (function* () {
        for (const line of text) yield `${line}\n`;
      })(),
    );
  }

  async #write(pieces: Iterable<string>): Promise<void> {
    let chunk = '';
    for (const piece of pieces) {
      chunk += piece;
      if (chunk.length >= CHUNK) {
        await writeAll(this.#io.stdout, chunk);
        chunk = '';
        // A file takes all at once; signals and others want a turn all the same.
        await breathe();
      }
    }
    if (chunk !== '') await writeAll(this.#io.stdout, chunk);
  }
}

/** Writes, and waits while nobody takes it. */
export async function writeAll(stream: Output, text: string): Promise<void> {
  // An Output is the little of a stream that tests play; once() takes whole emitters and also ends on their errors.
  if (!stream.write(text)) await once(stream as unknown as NodeJS.EventEmitter, 'drain');
}

function savedBy(saved: (() => Iterable<string>) | undefined): Iterable<string> {
  if (saved !== undefined) return saved();
  throw new WrongUse(
    '--output save: only services and destinations have that form: use table, json or yaml',
  );
}

function* jsonArray(items: Iterable<unknown>): Generator<string> {
  let before = '[\n';
  for (const item of items) {
    yield before + indented(item);
    before = ',\n';
  }
  yield before === '[\n' ? '[]\n' : '\n]\n';
}

function indented(item: unknown): string {
  return toJson(item).replace(/^/gm, '  ');
}

function* jsonLines(items: Iterable<unknown>): Generator<string> {
  for (const item of items) yield `${toJsonLine(item)}\n`;
}

function* yamlArray(items: Iterable<unknown>): Generator<string> {
  const { stringify } = lazy.yaml();
  let empty = true;
  for (const item of items) {
    yield stringify([toPlain(item)]);
    empty = false;
  }
  if (empty) yield '[]\n';
}

// https://no-color.org: set to anything but nothing, whatever it is.
function hasColour({ isTTY, env }: Io): boolean {
  return isTTY.stdout && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}
