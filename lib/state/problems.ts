// What is wrong with a text that someone wrote, and where: all of it at once, as a compiler does.
import { IpvsError } from '../errors';

/** Something wrong with a text, and where. @public */
export interface Problem {
  /** What is wrong, and what would be right; on one line. */
  readonly message: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  /** The line it is in. */
  readonly source: string;
  /** Characters it is about, from `column` on; at least 1. */
  readonly length: number;
}

/** A state file, or lines of ipvsadm, that cannot be taken as they are. Nothing of them is. @public */
export class StateError extends IpvsError {
  /** The file's name, where it has one. */
  readonly file: string | undefined;
  /** The first of them, in the order of the text. */
  readonly problems: readonly Problem[];
  /** How many there are in all. */
  readonly count: number;

  constructor(
    operation: string,
    file: string | undefined,
    problems: readonly Problem[],
    count: number,
  ) {
    const [first] = problems;
    const more = count > 1 ? ` (and ${count - 1} more)` : '';
    const where = first === undefined ? '' : placeOf(file, first);
    super(`${operation}: ${where}${first?.message ?? 'cannot be read'}${more}`, {
      code: 'ERR_IPVS_INVALID',
      operation,
    });
    this.file = file;
    this.problems = problems;
    this.count = count;
  }

  /** Every problem kept, with the line it is in and a caret below; then how many more there are. */
  report(): string {
    const lines = this.problems.map((problem) => excerpt(this.file, problem));
    const rest = this.count - this.problems.length;
    if (rest > 0) lines.push(`${rest} more problem${rest === 1 ? '' : 's'}`);
    return lines.join('\n');
  }
}

function placeOf(file: string | undefined, { line, column }: Problem): string {
  return `${file === undefined ? '' : `${file}:`}${line}:${column}: `;
}

/** Characters of a line that are shown. */
const WIDTH = 100;

function excerpt(file: string | undefined, problem: Problem): string {
  const { column, source, length, line } = problem;
  const at = column - 1;
  // Of a long line, the part with the problem in it.
  const start = source.length > WIDTH ? Math.max(0, at - WIDTH / 4) : 0;
  const shown = printable(source.slice(start, start + WIDTH));
  const gutter = String(line);
  const mark = '^'.repeat(Math.max(1, Math.min(length, shown.length - (at - start))));
  return [
    `${placeOf(file, problem)}${problem.message}`,
    `  ${gutter} | ${shown}`,
    `  ${' '.repeat(gutter.length)} | ${' '.repeat(at - start)}${mark}`,
  ].join('\n');
}

// One character a cell, so that the caret stands where it should; and nothing that a terminal would obey.
function printable(text: string): string {
  return text.replace(/\t/g, ' ').replace(/[\p{Cc}\p{Cf}]/gu, '�');
}

/** Problems that are told; the others are counted. */
const KEPT = 10;

/** Gathers the problems of a text. */
export class Problems {
  count = 0;
  readonly #operation: string;
  readonly #file: string | undefined;
  readonly #text: string;
  readonly #kept: { readonly start: number; readonly end: number; readonly message: string }[] = [];
  // What is shared by many, such as a default, is wrong once.
  readonly #seen = new Set<string>();
  #lineStarts: readonly number[] | undefined;

  constructor(operation: string, file: string | undefined, text: string) {
    this.#operation = operation;
    this.#file = file;
    this.#text = text;
  }

  /** Something is wrong with the characters from `start` to before `end`. */
  add(start: number, end: number, message: string): void {
    if (this.#kept.length < KEPT) {
      const key = `${start}:${message}`;
      if (this.#seen.has(key)) return;
      this.#seen.add(key);
      const words = message.replace(/: undefined is out of range/, ' is missing');
      this.#kept.push({ start, end, message: words.replace(/\s*\n\s*/g, ' ') });
    }
    this.count++;
  }

  /** Where in the text that is: `state.yaml:3:5`, or `3:5` of a text without a name. */
  place(offset: number): string {
    const { line, column } = this.#at(offset);
    return `${this.#file === undefined ? '' : `${this.#file}:`}${line}:${column}`;
  }

  /** Throws what was found, if anything was. */
  check(): void {
    if (this.count === 0) return;
    const problems = this.#kept
      .sort((a, b) => a.start - b.start)
      .map(({ start, end, message }): Problem => {
        const { line, column, source } = this.#at(start);
        const length = Math.max(1, Math.min(end - start, source.length - column + 1));
        return { message, line, column, source, length };
      });
    throw new StateError(this.#operation, this.#file, problems, this.count);
  }

  #at(offset: number): { line: number; column: number; source: string } {
    this.#lineStarts ??= startsOf(this.#text);
    const starts = this.#lineStarts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    const start = starts[low] ?? 0;
    const source = this.#text.slice(start, starts[low + 1]).replace(/\r?\n$/, '');
    return { line: low + 1, column: Math.min(offset - start, source.length) + 1, source };
  }
}

function startsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}
