// Columns of text, aligned. All that is printed in them is one cell a character wide: addresses, numbers, ASCII words.

/** How a cell looks on a terminal. */
export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

export type Cell = string | { readonly text: string; readonly style: Style };

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly align?: 'right';
}

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Turns text into text that a terminal shows in that style. */
export type Paint = (style: Style, text: string) => string;

const GAP = '  ';

/** The lines of a table, headings first, without blanks at their ends. */
export function* lines({ columns, rows }: Table, paint: Paint): Generator<string> {
  const headings = columns.map(({ title }): Cell => ({ text: title, style: 'dim' }));
  const widths = columns.map(({ title }) => title.length);
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, textOf(cell).length);
    });
  }
  yield line(headings, columns, widths, paint);
  for (const row of rows) yield line(row, columns, widths, paint);
}

/** The lines of a table that is too long to look at twice, in columns as wide as it is said. What is wider sticks out. */
export function* rowLines(
  columns: readonly Column[],
  widths: readonly number[],
  rows: Iterable<readonly Cell[]>,
  paint: Paint,
): Generator<string> {
  yield line(
    columns.map(({ title }): Cell => ({ text: title, style: 'dim' })),
    columns,
    widths,
    paint,
  );
  for (const row of rows) yield line(row, columns, widths, paint);
}

function line(
  row: readonly Cell[],
  columns: readonly Column[],
  widths: readonly number[],
  paint: Paint,
): string {
  let last = row.length - 1;
  while (last > 0 && textOf(row[last] ?? '') === '') last--;
  return row
    .slice(0, last + 1)
    .map((cell, i) => {
      const text = textOf(cell);
      const pad = ' '.repeat(Math.max(0, (widths[i] ?? 0) - text.length));
      const shown = typeof cell === 'string' || text === '' ? text : paint(cell.style, text);
      if (columns[i]?.align === 'right') return pad + shown;
      return i === last ? shown : shown + pad;
    })
    .join(GAP);
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text;
}
