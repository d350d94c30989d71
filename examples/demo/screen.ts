// What the demo prints: at most 80 columns; on a terminal the lines that change are drawn in place, elsewhere (a file, a
// pipe, a narrow terminal) each line is written once. Colours only on a terminal, and not with NO_COLOR.
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

const BAR = 36;
const live = process.stdout.isTTY && process.stdout.columns >= 80;

export interface Bar {
  readonly name: string;
  readonly note: string;
  readonly count: number;
}

export function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

export function heading(text: string): void {
  print(colour('bold', text), '─'.repeat(text.length), '');
}

/** What the program calls, as one would write it. */
export function code(...lines: readonly string[]): void {
  print(...lines.map((line) => `    ${colour('blue', line)}`), '');
}

/** Running text, filled to the width and set in a little. */
export function say(text: string): void {
  print(...fill(text, 74).map((line) => `  ${line}`), '');
}

export function verdict(good: boolean, text: string): void {
  const [mark, ...rest] = fill(text, 72);
  const sign = good ? colour('green', '✓') : colour('red', '✗');
  print(`  ${sign} ${mark ?? ''}`, ...rest.map((line) => `    ${line}`), '');
}

/** One bar a server; all of them fill the line when every count reaches `full`. */
export function bars(rows: readonly Bar[], full: number): string[] {
  const largest = Math.max(full, ...rows.map(({ count }) => count));
  const colours: Style[] = ['cyan', 'yellow', 'magenta'];
  return rows.map(({ name, note, count }, row) => {
    const length = Math.round((count / largest) * BAR);
    const bar = colour(colours[row % 3] ?? 'cyan', '█'.repeat(length));
    const room = ' '.repeat(BAR - length);
    return `    ${name.padEnd(5)}${note.padEnd(12)}${bar}${room}${String(count).padStart(5)}`;
  });
}

/** Lines that change: each `draw` goes over the last one; `end` leaves the last standing. */
export class Panel {
  #height = 0;

  draw(lines: readonly string[]): void {
    if (!live) return;
    const up = this.#height > 0 ? `\x1b[${this.#height}A` : '';
    process.stdout.write(up + lines.map((line) => `\x1b[2K${line}\n`).join(''));
    this.#height = lines.length;
  }

  end(lines: readonly string[]): void {
    if (live) this.draw(lines);
    else print(...lines);
  }
}

/** Something that only a reader of plain lines must be told, as a terminal has shown it in place. */
export function printUnlessLive(line: string): void {
  if (!live) print(line);
}

export function colour(style: Style, text: string): string {
  if (text === '') return '';
  return styleText(style, text, { stream: process.stdout, validateStream: true });
}

function fill(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line += line === '' ? word : ` ${word}`;
    }
  }
  return [...lines, line];
}
