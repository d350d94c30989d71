// One screen of `ipvs top`, as lines for a terminal of some size. Pure: what it shows is what it is given.
import { destinationId, serviceId } from '../../id';
import type { Stats, VirtualServerStatus } from '../../model';
import { count } from '../numbers';
import { lines, type Cell, type Column, type Paint, type Table } from '../table';
import { HELP, type State } from './keys';
import { live, ordered } from './order';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface View {
  /** Undefined until the first answer is there. */
  readonly servers: readonly VirtualServerStatus[] | undefined;
  readonly state: State;
  /** Milliseconds between two looks. */
  readonly interval: number;
  readonly netns?: string | undefined;
}

export interface Screen {
  /** No more than the terminal has, and none wider than it. */
  readonly lines: readonly string[];
  /** The offset that was possible. */
  readonly offset: number;
  /** Lines there were for rows. */
  readonly page: number;
}

type Name =
  | 'connections'
  | 'packetsIn'
  | 'packetsOut'
  | 'bytesIn'
  | 'bytesOut'
  | 'active'
  | 'inactive'
  | 'weight';

const TITLES: Readonly<Record<Name, string>> = {
  connections: 'CONN/S',
  packetsIn: 'PKT IN/S',
  packetsOut: 'PKT OUT/S',
  bytesIn: 'BYTE IN/S',
  bytesOut: 'BYTE OUT/S',
  active: 'ACTIVE',
  inactive: 'INACTIVE',
  weight: 'WEIGHT',
};
const ALL = Object.keys(TITLES) as Name[];
/** What a narrow terminal goes without, first what is missed least. */
const DROPPED: readonly Name[] = [
  'packetsOut',
  'bytesOut',
  'inactive',
  'weight',
  'packetsIn',
  'bytesIn',
  'active',
  'connections',
];
/** A name narrower than this tells nothing: columns go before it does. */
const NAME_LEAST = 20;

/** Everything, as `ipvs top` prints it where nobody looks on. */
export function topTable(
  servers: readonly VirtualServerStatus[],
  state: State,
  shown: readonly Name[] = ALL,
): Table {
  const columns: Column[] = [
    { title: 'SERVICE' },
    ...shown.map((name): Column => ({ title: TITLES[name], align: 'right' })),
  ];
  const rows: Cell[][] = [];
  for (const server of ordered(servers, state)) {
    const all = cellsOf(server.stats, live(server), '');
    rows.push([{ text: serviceId(server), style: 'bold' }, ...shown.map((name) => all[name])]);
    if (!state.destinations) continue;
    for (const destination of server.destinations) {
      const weight = String(destination.weight);
      const cells = cellsOf(
        destination.stats,
        destination,
        destination.weight === 0 ? { text: weight, style: 'yellow' } : weight,
      );
      rows.push([`  -> ${destinationId(destination)}`, ...shown.map((name) => cells[name])]);
    }
  }
  return { columns, rows };
}

function cellsOf(
  { perSecond }: Stats,
  connections: { readonly activeConnections: number; readonly inactiveConnections: number },
  weight: Cell,
): Readonly<Record<Name, Cell>> {
  return {
    connections: rate(perSecond.connections),
    packetsIn: rate(perSecond.packetsIn),
    packetsOut: rate(perSecond.packetsOut),
    bytesIn: rate(perSecond.bytesIn),
    bytesOut: rate(perSecond.bytesOut),
    active: count(connections.activeConnections),
    inactive: count(connections.inactiveConnections),
    weight,
  };
}

/** `0`, `0.5`, `12`, `3.4k`. */
export function rate(value: number): string {
  if (value === 0) return '0';
  return value < 9.95 ? value.toFixed(1) : count(Math.round(value));
}

/** The screen. */
export function layout(view: View, size: Size, paint: Paint): Screen {
  const { state } = view;
  const parts = partsFor(size.rows);
  if (state.help) return helpScreen(view, size, paint, parts);
  const [heading = '', ...rows] = fitted(view.servers ?? [], state, size.columns, paint);
  const page = Math.max(0, size.rows - parts.above - (parts.footer ? 1 : 0) - 1);
  const offset = Math.min(state.offset, Math.max(0, rows.length - page));
  const shown = rows.slice(offset, offset + page);
  const all = [...top(view, size, paint, parts), heading, ...shown];
  if (parts.footer) all.push(cut(footer(rows.length, offset, shown.length), size.columns));
  return { lines: all.slice(0, size.rows), offset, page };
}

interface Parts {
  /** Lines above the headings. */
  readonly above: number;
  readonly totals: boolean;
  readonly footer: boolean;
}

// A short terminal goes without the totals first, then the footer, then the title: rows are what people look for.
function partsFor(rows: number): Parts {
  if (rows >= 10) return { above: 3, totals: true, footer: true };
  if (rows >= 6) return { above: 1, totals: false, footer: true };
  return { above: rows >= 4 ? 1 : 0, totals: false, footer: false };
}

function top(view: View, { columns }: Size, paint: Paint, parts: Parts): string[] {
  if (parts.above === 0) return [];
  const { servers, state, interval, netns } = view;
  const what =
    servers === undefined
      ? 'reading'
      : `${plural(servers.length, 'service')}, ${plural(
          total(servers, (one) => one.destinations.length),
          'destination',
        )}`;
  const title = [
    'ipvs top',
    ...(netns === undefined ? [] : [printable(netns)]),
    what,
    `every ${interval / 1000}s`,
    `by ${state.sort}${state.reverse ? ', least first' : ''}`,
    ...(state.paused ? ['PAUSED'] : []),
  ].join('  ');
  const shown = paint(state.paused ? 'yellow' : 'bold', cut(title, columns));
  return parts.totals ? [shown, cut(totals(servers ?? []), columns), ''] : [shown];
}

function totals(servers: readonly VirtualServerStatus[]): string {
  const perSecond = (name: keyof Stats['perSecond']): string =>
    rate(total(servers, ({ stats }) => stats.perSecond[name]));
  return [
    `connections ${perSecond('connections')}/s`,
    `packets ${perSecond('packetsIn')}/s in ${perSecond('packetsOut')}/s out`,
    `bytes ${perSecond('bytesIn')}/s in ${perSecond('bytesOut')}/s out`,
    `active ${count(total(servers, (one) => live(one).activeConnections))}`,
    `inactive ${count(total(servers, (one) => live(one).inactiveConnections))}`,
  ].join('  ');
}

function footer(rows: number, offset: number, shown: number): string {
  const where = shown < rows ? `lines ${offset + 1}-${offset + shown} of ${rows}  ` : '';
  return `${where}h help  q quit`;
}

function helpScreen(view: View, size: Size, paint: Paint, parts: Parts): Screen {
  const width = Math.max(...HELP.map(([keys]) => keys.length));
  const words = HELP.map(([keys, does]) => cut(`  ${keys.padEnd(width)}  ${does}`, size.columns));
  const closing = cut('Rates are averages over the last 4 s. Any key goes back.', size.columns);
  const all = [...top(view, size, paint, parts), ...words, ...(parts.totals ? [''] : []), closing];
  return { lines: all.slice(0, size.rows), offset: view.state.offset, page: size.rows };
}

// The table in as many columns as the terminal is wide: numbers are left out before names become too short to tell.
function fitted(
  servers: readonly VirtualServerStatus[],
  state: State,
  width: number,
  paint: Paint,
): string[] {
  const table = topTable(servers, state);
  const widths = table.columns.map(({ title }, i) =>
    table.rows.reduce((most, row) => Math.max(most, textOf(row[i]).length), title.length),
  );
  const [nameWidth = 0, ...others] = widths;
  const kept = new Set(ALL);
  const needed = (): number =>
    ALL.reduce((sum, name, i) => sum + (kept.has(name) ? (others[i] ?? 0) + 2 : 0), 0);
  const sortedBy = SORTED[state.sort];
  for (const name of DROPPED) {
    if (needed() + Math.min(nameWidth, NAME_LEAST) <= width) break;
    if (name !== sortedBy) kept.delete(name);
  }
  if (needed() + 1 > width) kept.clear();
  const room = Math.max(0, width - needed());
  const shown = ALL.filter((name) => kept.has(name));
  const columns = [
    { title: cut('SERVICE', room) },
    ...table.columns.slice(1).filter((_, i) => kept.has(ALL[i] as Name)),
  ];
  const rows = table.rows.map(([name = '', ...cells]) => [
    cutCell(name, room),
    ...cells.filter((_, i) => shown.includes(ALL[i] as Name)),
  ]);
  return [...lines({ columns, rows }, paint)];
}

const SORTED: Readonly<Record<State['sort'], Name | undefined>> = {
  connections: 'connections',
  packets: 'packetsIn',
  bytes: 'bytesIn',
  active: 'active',
  inactive: 'inactive',
  name: undefined,
};

function textOf(cell: Cell | undefined): string {
  return typeof cell === 'object' ? cell.text : (cell ?? '');
}

function cutCell(cell: Cell, width: number): Cell {
  return typeof cell === 'string' ? cut(cell, width) : { ...cell, text: cut(cell.text, width) };
}

/** What fits; `~` says that there was more. */
function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  return width > 0 ? `${text.slice(0, width - 1)}~` : '';
}

// A name from the command line may hold anything; a terminal would obey it.
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function plural(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

function total<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
