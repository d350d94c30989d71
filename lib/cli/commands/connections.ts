// ipvs connections: the connection table, or what becomes of it. Rows go out as they are decoded, a screenful at a time:
// neither a million objects nor one long text.
import type { Ipvs } from '../../client';
import type {
  Connection,
  ConnectionCount,
  ConnectionFilter,
  ConnectionKey,
  ConnectionSource,
  ConnectionTable,
} from '../../connections';
import { joinHostPort } from '../../address';
import type { ConnectionChange } from '../../watch';
import { interrupted, type Io } from '../io';
import type { Printer } from '../printer';
import { type Cell, type Column, lines, rowLines, type Style } from '../table';

export interface ConnectionsOptions {
  readonly filter: ConnectionFilter;
  readonly source?: ConnectionSource | 'auto' | undefined;
  /** Count by this instead of listing. */
  readonly countBy?: readonly ConnectionKey[] | undefined;
  /** Rows to print; all otherwise. */
  readonly limit?: number | undefined;
}

export async function connections(
  client: Ipvs,
  io: Io,
  printer: Printer,
  { filter, source = 'ip_vs', countBy, limit = Infinity }: ConnectionsOptions,
): Promise<number> {
  const signal = io.interruption();
  try {
    const table = await client.connections(filter, { signal, source });
    if (countBy !== undefined) {
      const counts = table.top(countBy, limit);
      await printer.list(counts, () => countTable(countBy, counts));
    } else {
      if (table.length === 0) printer.hint('There are no such connections.');
      await printer.long(taken(table, limit, signal), (paint) =>
        rowLines(COLUMNS, widthsOf(table), cellsOf(taken(table, limit, signal)), paint),
      );
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return interrupted(signal);
}

export interface WatchOptions {
  readonly filter: ConnectionFilter;
  readonly source?: ConnectionSource | undefined;
  /** Milliseconds between two snapshots. */
  readonly interval: number;
  /** Changes to print; for ever otherwise. */
  readonly limit?: number | undefined;
}

/** What becomes of connections, as it is seen. */
export async function watchConnections(
  client: Ipvs,
  io: Io,
  printer: Printer,
  { filter, source = 'ip_vs', interval, limit = Infinity }: WatchOptions,
): Promise<number> {
  const signal = io.interruption();
  printer.hint('Changes are printed as they are seen; end with Ctrl-C.');
  const changes = timed(client.watchConnections({ filter, source, interval, signal }), limit);
  try {
    let first = true;
    await printer.stream(quietly(changes, signal), function* (change, paint) {
      const [heading = '', line = ''] = rowLines(
        CHANGE_COLUMNS,
        CHANGE_WIDTHS,
        [cells(change)],
        paint,
      );
      if (first) yield heading;
      first = false;
      yield line;
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return interrupted(signal);
}

type Timed = ConnectionChange & { readonly time: string };

async function* timed(
  changes: AsyncIterable<ConnectionChange>,
  limit: number,
): AsyncGenerator<Timed> {
  let told = 0;
  for await (const change of changes) {
    yield { time: new Date().toISOString(), ...change };
    if (++told >= limit) return;
  }
}

// So that what was begun is ended: an array with its bracket.
async function* quietly<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function* taken(table: ConnectionTable, limit: number, signal: AbortSignal): Generator<Connection> {
  const rows = Math.min(limit, table.length);
  for (let row = 0; row < rows && !signal.aborted; row++) yield table.at(row) as Connection;
}

const COLUMNS: readonly Column[] = [
  { title: 'PROTOCOL' },
  { title: 'STATE' },
  { title: 'EXPIRES', align: 'right' },
  { title: 'CLIENT' },
  { title: 'SERVICE' },
  { title: 'DESTINATION' },
  { title: 'ENGINE' },
];
const STATE_WIDTH = 'ESTABLISHED'.length;
const EXPIRES_WIDTH = 'EXPIRES'.length;
/** `[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535`, `255.255.255.255:65535`. */
const ADDRESS_WIDTH = { ipv6: 47, ipv4: 21 };

// Wide enough for what may come: looking at every row beforehand would decode each of them twice. Whether a family is
// there at all is a glance at a column: its numbers are 4 and 6, and 6 alone has that bit.
function widthsOf({ columns, states }: ConnectionTable): number[] {
  let six = 0;
  for (const family of columns.family) six |= family;
  const virtual = six & 2 ? ADDRESS_WIDTH.ipv6 : ADDRESS_WIDTH.ipv4;
  const destination = six & 0x20 ? ADDRESS_WIDTH.ipv6 : ADDRESS_WIDTH.ipv4;
  const state = Math.max(STATE_WIDTH, ...states.map(({ length }) => length));
  return ['PROTOCOL'.length, state, EXPIRES_WIDTH, virtual, virtual, destination, 0];
}

function* cellsOf(rows: Iterable<Connection>): Generator<readonly Cell[]> {
  for (const row of rows) yield connectionCells(row);
}

function connectionCells({
  protocol,
  state,
  expires,
  client,
  virtual,
  destination,
  engine,
}: Connection): Cell[] {
  return [
    protocol,
    state,
    `${expires}s`,
    joinHostPort(client.address, client.port),
    joinHostPort(virtual.address, virtual.port),
    joinHostPort(destination.address, destination.port),
    engine === undefined ? '' : `${engine.name} ${printable(engine.data)}`,
  ];
}

const CHANGE_COLUMNS: readonly Column[] = [
  { title: 'TIME' },
  { title: 'CHANGE' },
  { title: 'PROTOCOL' },
  { title: 'STATE' },
  { title: 'CLIENT' },
  { title: 'SERVICE' },
  { title: 'DESTINATION' },
];
const CHANGE_WIDTHS = [
  '2026-01-01T00:00:00.000Z'.length,
  'changed'.length,
  'PROTOCOL'.length,
  'ESTABLISHED -> ESTABLISHED'.length,
  ADDRESS_WIDTH.ipv4,
  ADDRESS_WIDTH.ipv4,
  0,
];
const STYLES: Readonly<Record<ConnectionChange['kind'], Style>> = {
  opened: 'green',
  closed: 'dim',
  changed: 'yellow',
};

function cells(change: Timed): Cell[] {
  const { time, kind, connection } = change;
  const [protocol = '', state = '', , ...addresses] = connectionCells(connection);
  const states = kind === 'changed' ? `${change.from} -> ${connection.state}` : state;
  return [time, { text: kind, style: STYLES[kind] }, protocol, states, ...addresses.slice(0, 3)];
}

function countTable(
  keys: readonly ConnectionKey[],
  counts: readonly ConnectionCount[],
): Parameters<typeof lines>[0] {
  return {
    columns: [
      { title: 'CONNECTIONS', align: 'right' },
      ...keys.map((key) => ({ title: key.toUpperCase() })),
    ],
    // No key has a blank in it.
    rows: counts.map(({ key, count }) => [String(count), ...key.split(' ')]),
  };
}

// It came over the network, and a terminal would obey it.
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
