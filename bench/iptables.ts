// What it costs to write the iptables rules of a cluster and to follow its changes, in CPU. Pure, so it runs anywhere:
//
//   npm run build && node build/programs/bench/iptables.js [SERVICES…]
import { execFileSync } from 'node:child_process';
import { makeCluster, NODE } from './kube-input';
import { iptablesProgram, type IptablesProgram } from '../lib/iptables';
import { serviceMap, type ServiceMap, type ServicePort } from '../lib/kube';
import { median } from './measure';

const ENDPOINTS = 5;
const WARM = 5;
const ROUNDS = 15;

interface Measured {
  readonly size: number;
  readonly bytes: number;
  readonly first: number;
  readonly whole: readonly number[];
  readonly changes: Readonly<Record<string, Change>>;
}

interface Change {
  readonly times: readonly number[];
  readonly lines: number;
}

// A process for each size, so that what one leaves behind is not in the way of the next.
function main(args: readonly string[]): void {
  if (args[0] === '--one') {
    process.stdout.write(JSON.stringify(measure(Number(args[1]))));
    return;
  }
  for (const size of args.length > 0 ? args.map(Number) : [1000, 5000, 10_000]) {
    const text = execFileSync(process.execPath, [__filename, '--one', String(size)]);
    process.stdout.write(report(JSON.parse(text.toString()) as Measured));
  }
}

function report({ size, bytes, first, whole, changes }: Measured): string {
  const rows = Object.entries(changes).map(
    ([what, { times, lines }]) =>
      `  ${what}: ${spread(times)}, ${lines} ${lines === 1 ? 'line' : 'lines'} to restore\n`,
  );
  return (
    `${size} services x ${ENDPOINTS}, ${bytes} bytes, in milliseconds of CPU\n` +
    `  everything, the first time: ${first.toFixed(0)}\n` +
    `  everything: ${spread(whole)}\n${rows.join('')}`
  );
}

function spread(times: readonly number[]): string {
  const digits = median(times) < 100 ? 1 : 0;
  const [middle, best] = [median(times), Math.min(...times)];
  return `${middle.toFixed(digits)} (best ${best.toFixed(digits)})`;
}

function measure(size: number): Measured {
  const { services, slices } = makeCluster(size, ENDPOINTS);
  const read = (): ServiceMap => serviceMap(services, slices, NODE);
  const map = read();
  const write = (): IptablesProgram => {
    const program = iptablesProgram(map, NODE, { clusterCIDRs: ['10.0.0.0/9'] });
    if ((program.rules.ipv4 ?? '') === '') throw new Error('no rules');
    return program;
  };
  const first = timed(write).time;
  for (let i = 0; i < WARM; i++) write();
  const whole = Array.from({ length: ROUNDS }, () => timed(write).time);
  const program = write();
  return {
    size,
    bytes: program.rules.ipv4?.length ?? 0,
    first,
    whole,
    changes: {
      'an endpoint goes': follow(program, [map], withoutEndpoint),
      'a service goes and comes': follow(program, [map], without),
      'an endpoint goes, in a map that was read anew': follow(
        program,
        [map, read()],
        withoutEndpoint,
      ),
      nothing: follow(program, [map], (ports) => [...ports]),
    },
  };
}

type Edit = (ports: readonly ServicePort[], at: number) => readonly ServicePort[];

const without: Edit = (ports, at) => ports.filter((_, i) => i !== at);
const withoutEndpoint: Edit = (ports, at) =>
  ports.map((port, i) =>
    i === at
      ? {
          ...port,
          endpoints: { ...port.endpoints, cluster: (port.endpoints.cluster ?? []).slice(1) },
        }
      : port,
  );

// Each round undoes the change of the one before and makes another.
function follow(program: IptablesProgram, maps: readonly ServiceMap[], edit: Edit): Change {
  const times: number[] = [];
  let lines = 0;
  let now = program;
  for (let round = -WARM; round < ROUNDS; round++) {
    const map = maps[(round + WARM) % maps.length] as ServiceMap;
    const at = (Math.abs(round) * 977) % map.ports.length;
    const next = { ...map, ports: edit(map.ports, at) };
    const { time, result } = timed(() => now.update(next));
    now = result.program;
    if (round < 0) continue;
    times.push(time);
    lines = Math.max(lines, (result.rules.ipv4 ?? '').split('\n').length - 1);
  }
  return { times, lines };
}

function timed<T>(work: () => T): { readonly time: number; readonly result: T } {
  const start = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(start);
  return { time: (user + system) / 1000, result };
}

main(process.argv.slice(2));
