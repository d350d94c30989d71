// Reading the connection table, inside the lab and inside the namespace that it is about: everybody reads the same entries,
// made by the kernel from sync messages, and the same once more as netfilter's flows. Options as JSON in the one argument.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { openSync, open, type ConnectionTable, type Ipvs } from 'ipvs';
import { Floor } from './floor';
import { FLOWS } from './connection-report';
import { collectGarbage, timed, watched, type Held } from './measure';
import { ROOT } from './places';
import type { ConnectionReading } from './results';

/** What main.ts asks for. */
export interface ConnectionOrder {
  readonly count: number;
  readonly rounds: number;
  /** The namespace that this runs in. */
  readonly netns: string;
  /** An empty table, as the floor wants one. */
  readonly table: string;
  /** Where one reading may take minutes: one round of what reads the kernel's own table, each of them for so long. */
  readonly limit: number | undefined;
  readonly output: string;
}

const CLIENT = '10.0.0.1:1024';
const DESTINATIONS = Array.from({ length: 10 }, (_, i) => `198.51.100.${i + 1}:8080`);
const SERVICES = Array.from({ length: 10 }, (_, i) => `192.0.2.${i + 1}:80`);

function program(name: string): string {
  return path.join(ROOT, 'test', 'kernel', 'programs', name);
}

/** Makes the entries, in both tables. */
function fill(count: number): void {
  using ipvs = openSync();
  execFileSync('modprobe', ['nf_conntrack_netlink']);
  execFileSync('sysctl', ['-qw', 'net.ipv4.vs.conntrack=1']);
  // These are set for all namespaces, in the first one.
  for (const setting of [`nf_conntrack_max=${4 * count}`, 'nf_conntrack_buckets=262144']) {
    execFileSync('nsenter', ['-t', '1', '-n', 'sysctl', '-qw', `net.netfilter.${setting}`]);
  }
  for (const service of SERVICES) {
    const id = `tcp://${service}` as const;
    const [address = ''] = service.split(':');
    ipvs.addService({ protocol: 'tcp', address, port: 80 });
    for (const destination of DESTINATIONS) {
      const [host = ''] = destination.split(':');
      ipvs.addDestination(id, { address: host, port: 8080 });
    }
  }
  const run = { count, client: CLIENT, services: SERVICES, destinations: DESTINATIONS };
  execFileSync(process.execPath, [program('feed.js'), JSON.stringify([run])]);
  const lists = [SERVICES.join(','), DESTINATIONS.join(',')];
  execFileSync('perl', [program('flows.pl'), String(count), CLIENT, ...lists]);
}

/** What one would write without a library: lines to objects. */
function parseInJavaScript(): number {
  const address = (hex: string): string =>
    [0, 2, 4, 6].map((at) => parseInt(hex.slice(at, at + 2), 16)).join('.');
  const [, ...lines] = readFileSync('/proc/self/net/ip_vs_conn', 'latin1').split('\n');
  lines.pop();
  const rows = lines.map((line) => {
    const [
      protocol,
      from = '',
      fromPort = '',
      to = '',
      toPort = '',
      over = '',
      overPort = '',
      state,
      expires,
    ] = line.split(/ +/);
    return {
      protocol,
      client: { address: address(from), port: parseInt(fromPort, 16) },
      virtual: { address: address(to), port: parseInt(toPort, 16) },
      destination: { address: address(over), port: parseInt(overPort, 16) },
      state,
      expires: Number(expires),
    };
  });
  return rows.length;
}

type Competitor = readonly [name: string, run: (limit: AbortSignal | undefined) => Promise<number>];

function competitors(ipvs: Ipvs, floor: Floor, { netns, count }: ConnectionOrder): Competitor[] {
  const whole = (rows: number): void => {
    if (rows !== count) throw new RangeError(`${rows} rows instead of ${count}`);
  };
  const command = (name: string, ...words: string[]): Competitor => [
    name,
    async () => (await floor.spawn(netns, '/dev/null', words)).milliseconds,
  ];
  const library = (name: string, source: 'ip_vs' | 'conntrack', filter = {}): Competitor => [
    name,
    (signal) =>
      timed(async () => {
        const options = signal === undefined ? { source } : { source, signal };
        const { length } = await ipvs.connections(filter, options);
        if (Object.keys(filter).length === 0) whole(length);
      }),
  ];
  return [
    command('cat', 'cat', '/proc/self/net/ip_vs_conn'),
    library('connections', 'ip_vs'),
    library('connections, one client of all', 'ip_vs', { client: '10.0.0.7' }),
    [
      FLOWS,
      async () => {
        const { milliseconds, count: flows } = await floor.flows(netns);
        whole(flows);
        return milliseconds;
      },
    ],
    library('connections, conntrack', 'conntrack'),
    library('connections, conntrack, one client of all', 'conntrack', { client: '10.0.0.7' }),
    command('ipvsadm -Lnc', 'ipvsadm', '-Lnc'),
    [
      'readFileSync and JavaScript',
      () =>
        timed(() => {
          whole(parseInJavaScript());
        }),
    ],
  ];
}

/** What reads the kernel's own table where that takes minutes, once: the one that can be broken off. */
const LONG = 'connections';

async function race(
  all: readonly Competitor[],
  order: ConnectionOrder,
): Promise<ConnectionReading['competitors']> {
  const times = all.map(() => [] as number[]);
  for (let round = 0; round <= order.rounds; round++) {
    for (const [i, [name, run]] of all.entries()) {
      const isLong = order.limit !== undefined && !name.includes('conntrack');
      if (isLong && (round !== 1 || name !== LONG)) continue;
      const signal = isLong ? AbortSignal.timeout(order.limit) : undefined;
      const milliseconds = await run(signal).catch((error: unknown) => {
        if (signal?.aborted === true) return NaN;
        throw error;
      });
      // The first round warms up.
      if (round > 0 && !Number.isNaN(milliseconds)) times[i]?.push(milliseconds);
      process.stderr.write(
        `${order.count}, round ${round}: ${name}: ${milliseconds.toFixed(1)} ms\n`,
      );
    }
  }
  return all.map(([name], i) => ({ name, times: times[i] ?? [] }));
}

function bytesOf({ columns }: ConnectionTable): number {
  // An interface is no index signature to the compiler; each of these is an array over bytes.
  return Object.values(columns as unknown as Record<string, Uint8Array>).reduce(
    (sum, { byteLength }) => sum + byteLength,
    0,
  );
}

/** What a table costs once it is there. */
async function costs(ipvs: Ipvs, count: number): Promise<ConnectionReading['using']> {
  await ipvs.connections({ client: '10.0.0.7' }, { source: 'conntrack' });
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  const table = await ipvs.connections({}, { source: 'conntrack' });
  collectGarbage();
  const heap = process.memoryUsage().heapUsed - before;
  const counting = await timed(() => table.countBy('destination'));
  const clients = await timed(() => table.top('client'));
  let last = '';
  const iterating = await timed(() => {
    for (const row of table) last = row.client.address;
  });
  if (last === '') throw new RangeError('an empty table');
  return { heap, bytes: bytesOf(table) / count, counting, clients, iterating };
}

async function holding(
  ipvs: Ipvs,
  floor: Floor,
  order: ConnectionOrder,
): Promise<ConnectionReading['held']> {
  const library: Held[] = [];
  const conntrack: Held[] = [];
  const control: Held[] = [];
  for (let round = 0; round < (order.limit === undefined ? 5 : 0); round++) {
    library.push(await watched(() => ipvs.connections()));
    conntrack.push(await watched(() => ipvs.connections({}, { source: 'conntrack' })));
    const cat = ['cat', '/proc/self/net/ip_vs_conn'];
    control.push(await watched(() => floor.spawn(order.netns, '/dev/null', cat)));
  }
  return { library, conntrack, control };
}

async function main(order: ConnectionOrder): Promise<void> {
  fill(order.count);
  const floor = new Floor(order.table);
  await using ipvs = await open();
  const reading: ConnectionReading = {
    count: order.count,
    kernel: os.release(),
    competitors: await race(competitors(ipvs, floor, order), order),
    held: await holding(ipvs, floor, order),
    using: await costs(ipvs, order.count),
  };
  await floor.close();
  writeFileSync(order.output, JSON.stringify(reading));
}

void main(JSON.parse(process.argv[2] ?? '') as ConnectionOrder);
