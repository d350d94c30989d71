// Where results go. Data to stdout, in the form that was asked for; everything said to a person to stderr.
import { once } from 'node:events';
import { styleText } from 'node:util';
import type { Io, Output } from './io';
import { lazy } from './lazy';
import { toJson, toPlain } from './plain';
import { lines, type Paint, type Table } from './table';

/** The forms of output. */
export const OUTPUTS = ['table', 'json', 'yaml'] as const;
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

  /** Prints many things of a kind: an array, or a table made of them. */
  async list(items: readonly unknown[], table: () => Table): Promise<void> {
    await this.listLines(items, (paint) => lines(table(), paint));
  }

  /** Prints many things of a kind: an array, or lines that tell of them. */
  async listLines(
    items: readonly unknown[],
    text: (paint: Paint) => Iterable<string>,
  ): Promise<void> {
    if (this.output === 'table') await this.#lines(text(this.#paint));
    else if (this.output === 'json') await this.#write(jsonArray(items));
    else await this.#write(yamlArray(items));
  }

  /** Prints one thing: an object, or a table that shows it. */
  async one(item: object, table: () => Table): Promise<void> {
    if (this.output === 'table') await this.#lines(lines(table(), this.#paint));
    else if (this.output === 'json') await this.#write([`${toJson(item)}\n`]);
    else await this.#write([lazy.yaml().stringify(toPlain(item))]);
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
      }
    }
    if (chunk !== '') await writeAll(this.#io.stdout, chunk);
  }
}

async function writeAll(stream: Output, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream as unknown as NodeJS.EventEmitter, 'drain');
}

function* jsonArray(items: readonly unknown[]): Generator<string> {
  if (items.length === 0) {
    yield '[]\n';
    return;
  }
  let before = '[\n';
  for (const item of items) {
    yield `${before}${toJson(item).replace(/^/gm, '  ')}`;
    before = ',\n';
  }
  yield '\n]\n';
}

function* yamlArray(items: readonly unknown[]): Generator<string> {
  const { stringify } = lazy.yaml();
  if (items.length === 0) yield '[]\n';
  for (const item of items) yield stringify([toPlain(item)]);
}

// https://no-color.org: set to anything but nothing, whatever it is.
function hasColour({ isTTY, env }: Io): boolean {
  return isTTY.stdout && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}
