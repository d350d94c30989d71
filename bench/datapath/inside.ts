// What the comparison does inside the lab, as root, for one number of services. Options as JSON in the one argument.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { median } from '../measure';
import { programBoth } from './programming';
import type { Point, Size } from './results';
import { BARE_ADDRESS, clusterAddress, makeWorld, names, PATHS, PORT, type Path } from './world';

/** What main.ts asks for. */
export interface Order {
  readonly services: number;
  /** Of twenty connections a point. */
  readonly turns: number;
  /** The compiled connect.c. */
  readonly program: string;
  readonly output: string;
}

interface Target {
  readonly path: Path;
  readonly place: Point['place'];
  readonly words: readonly string[];
}

const BLOCKS = 5;
/** Microseconds. */
const TICK = 10_000;

function targets(services: number): Target[] {
  const places = [
    ['first', 0],
    ['middle', services >> 1],
    ['last', services - 1],
  ] as const;
  // With one or two services some of them are the same.
  const different = places.filter(
    ([, at], i) => places.findIndex(([, other]) => other === at) === i,
  );
  return PATHS.flatMap((path): Target[] => {
    const { client, server } = names(path);
    if (path === 'bare') {
      return [{ path, place: 'first', words: [client, server, BARE_ADDRESS, String(PORT)] }];
    }
    return different.map(([place, at]) => {
      return { path, place, words: [client, server, clusterAddress(at), '80'] };
    });
  });
}

interface Connected {
  /** Microseconds of processor a connection. */
  readonly cpu: number;
  /** Microseconds, a list a target. */
  readonly times: readonly (readonly number[])[];
}

function connect(
  program: string,
  turns: number,
  exchange: boolean,
  of: readonly Target[],
): Connected {
  const words = of.flatMap((target) => target.words);
  const args = [String(turns), exchange ? '1' : '0', ...words];
  const text = execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  const [head = '', ...lines] = text.trimEnd().split('\n');
  const [ticks = NaN, connections = NaN] = head.split(' ').map(Number);
  return {
    cpu: (ticks * TICK) / connections,
    times: lines.map((line) => line.split(' ').map((nanoseconds) => Number(nanoseconds) / 1000)),
  };
}

/** Requests, one target after another, in blocks that take turns: the ticks of a processor are those of all. */
function requests(
  { program, turns }: Order,
  of: readonly Target[],
): { rate: number; cpu: number }[] {
  const found = of.map(() => ({ times: [] as number[], cpus: [] as number[] }));
  for (let block = 0; block < BLOCKS; block++) {
    for (const [i, target] of of.entries()) {
      const { cpu, times } = connect(program, Math.ceil(turns / BLOCKS), true, [target]);
      found[i]?.times.push(...(times[0] ?? []));
      found[i]?.cpus.push(cpu);
    }
  }
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  return found.map(({ times, cpus }) => ({ rate: 1e6 / mean(times), cpu: mean(cpus) }));
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

async function main(order: Order): Promise<void> {
  makeWorld();
  const programming = await programBoth(order.services);
  const all = targets(order.services);
  const { times } = connect(order.program, order.turns, false, all);
  const answered = requests(order, all);
  const points = all.map(({ path, place }, i) => ({
    path,
    place,
    median: median(times[i] ?? []),
    p99: percentile(times[i] ?? [], 0.99),
    connections: times[i]?.length ?? 0,
    requestsPerSecond: answered[i]?.rate ?? NaN,
    cpu: answered[i]?.cpu ?? NaN,
  }));
  const size: Size = { services: order.services, kernel: os.release(), points, programming };
  writeFileSync(order.output, JSON.stringify(size));
}

void main(JSON.parse(process.argv[2] ?? '') as Order);
