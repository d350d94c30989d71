// What reading the connection table comes to, and the targets of it.
import { median, type Held, type Times } from './measure';
import type { ConnectionReading, Target } from './results';

const TARGET_SIZE = 100_000;
/** The floor of reading netfilter's table. */
export const FLOWS = 'conntrack, dumped and dropped';

export function connectionTargets(readings: readonly ConnectionReading[]): Target[] {
  const found: Target[] = [];
  const add = (name: string, value: number, limit: number, least = false): void => {
    const met = least ? value >= limit : value <= limit;
    found.push({ name, value, limit: `${least ? '≥' : '≤'} ${limit}`, met });
  };
  for (const reading of readings) {
    const { count, using } = reading;
    add(`${count} connections: bytes a row`, using.bytes, 96);
    add(`${count} connections: KB of V8's heap more`, using.heap / 1024, 256);
    if (reading.held.library.length > 0) {
      const held = longest(reading.held.library) - longest(reading.held.control);
      add(`${count} connections: event loop held, ms, less the control`, held, 10);
    }
    if (count !== TARGET_SIZE) continue;
    const dumped = ratio(reading, 'ipvsadm -Lnc', 'connections, conntrack');
    add(`${count} connections: ipvsadm -Lnc / connections, conntrack`, dumped, 4, true);
    add(`${count} connections: connections / cat`, ratio(reading, 'connections', 'cat'), 1.15);
    const faster = ratio(reading, 'ipvsadm -Lnc', 'connections');
    add(`${count} connections: ipvsadm -Lnc / connections`, faster, 4, true);
  }
  const [small, large] = [readings.find(({ count }) => count === TARGET_SIZE), readings.at(-1)];
  if (small !== undefined && large !== undefined && small !== large) {
    // The kernel's own dump grows dearer a row, as its table no longer fits the processor's caches.
    const growth = (name: string): number => {
      const each = (one: ConnectionReading): number => median(timesOf(one, name)) / one.count;
      return each(large) / each(small);
    };
    const sizes = `time a row at ${large.count} / at ${small.count}`;
    add(
      `conntrack: ${sizes}, beside the dump alone`,
      growth('connections, conntrack') / growth(FLOWS),
      1.1,
    );
  }
  return found;
}

export function connectionLines(reading: ConnectionReading): string[] {
  const { count, kernel, competitors, held, using } = reading;
  const cat = median(timesOf(reading, 'cat'));
  const lines = competitors.map(({ name, times }) => {
    const cells =
      times.length === 0
        ? ['not measured', '', '', '0']
        : [
            median(times).toFixed(1),
            Number.isNaN(cat) ? '' : (median(times) / cat).toFixed(2),
            Math.min(...times).toFixed(1),
            String(times.length),
          ];
    return row([name, ...cells]);
  });
  const number = (value: number): string => value.toFixed(1);
  return [
    row([`Read ${count} connections, Linux ${kernel}`, 'median ms', '× cat', 'best ms', 'runs']),
    ...lines,
    row(['  event loop held, ms: library, conntrack, control', ...holds(held).map(number)]),
    row([
      "  bytes a row, and KB of V8's heap for all",
      number(using.bytes),
      number(using.heap / 1024),
    ]),
    row(['  countBy destination, ms', number(using.counting)]),
    row(['  top clients, ms', number(using.clients)]),
    row(['  iterating, ms', number(using.iterating)]),
  ];
}

function holds({ library, conntrack, control }: ConnectionReading['held']): number[] {
  return library.length === 0 ? [] : [longest(library), longest(conntrack), longest(control)];
}

function longest(rounds: readonly Held[]): number {
  return median(rounds.map((round) => round.longest));
}

/** The median of the ratios within each round, as a busy machine slows both down. */
function ratio(reading: ConnectionReading, of: string, to: string): number {
  const other = timesOf(reading, to);
  return median(timesOf(reading, of).map((time, round) => time / (other[round] ?? NaN)));
}

export function timesOf({ competitors }: ConnectionReading, name: string): Times {
  return competitors.find((competitor) => competitor.name === name)?.times ?? [];
}

function row([first = '', ...rest]: string[]): string {
  return first.padEnd(62) + rest.map((cell) => cell.padStart(16)).join('');
}
