// What it costs to put a whole cluster on a node: the first time, again with nothing changed, and with one endpoint changed.
// As root where there is IPVS, in network namespaces of its own:
//
//   npm run build && node dist/cli/main.js lab --mem 4G -- node build/programs/bench/node.js [SERVICES…]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ipvsProgram, serviceMap, type NodeProgram } from 'ipvs/kube';
import { openNode, type NodeReport } from 'ipvs/node';
import { makeCluster, NODE, type Cluster } from './kube-input';
import { held, median, timed } from './measure';

const ENDPOINTS = 10;
const TURNS = 5;

/** Milliseconds. */
interface Measured {
  readonly first: number;
  readonly again: number;
  readonly one: number;
  /** `ipset save` alone, which an apply does without. */
  readonly sets: number;
  /** Longest time the event loop was held while nothing changed. */
  readonly held: number;
  /** Programs run. */
  readonly runs: { readonly first: number; readonly again: number; readonly one: number };
  readonly changes: number;
  readonly memory: number;
}

async function main(args: readonly string[]): Promise<void> {
  if (args[0] === '--one') {
    process.stdout.write(JSON.stringify(await measure(Number(args[1]))));
    return;
  }
  // The kernel loads its modules for the first node there is, which takes seconds in the lab, and is nobody's.
  inNamespace('10');
  for (const size of args.length > 0 ? args.map(Number) : [1000, 5000, 10_000]) {
    const { first, again, one, runs, changes, ...rest } = inNamespace(String(size));
    process.stdout.write(
      `${size} services x ${ENDPOINTS}: first apply ${first.toFixed(0)} ms (${changes} lines, ${runs.first} programs), ` +
        `again ${again.toFixed(0)} ms (${runs.again} programs), 1/${(first / again).toFixed(1)} of that, ` +
        `where ipset save alone takes ${rest.sets.toFixed(0)} ms; ` +
        `one endpoint changed ${one.toFixed(0)} ms (${runs.one} programs); event loop held ${rest.held.toFixed(0)} ms; ` +
        `${rest.memory.toFixed(0)} MB\n`,
    );
  }
}

function inNamespace(size: string): Measured {
  const name = `ipvs-bench-node-${process.pid}`;
  const ip = (...args: readonly string[]): string =>
    execFileSync('ip', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  ip('netns', 'add', name);
  try {
    ip('-n', name, 'link', 'set', 'lo', 'up');
    const inside = ['netns', 'exec', name, process.execPath, __filename, '--one', size];
    return JSON.parse(ip(...inside)) as Measured;
  } finally {
    ip('netns', 'delete', name);
  }
}

async function measure(size: number): Promise<Measured> {
  const folder = mkdtempSync(path.join(tmpdir(), 'ipvs-bench-node-'));
  await using node = await openNode({ record: path.join(folder, 'node.json') });
  const cluster = makeCluster(size, ENDPOINTS);
  const program = programOf(cluster);
  const took = async (wanted: NodeProgram): Promise<{ time: number; report: NodeReport }> => {
    let report: NodeReport | undefined;
    const time = await timed(async () => (report = await node.apply(wanted)));
    if (report === undefined || report.problems.length > 0)
      throw new Error(report?.problems.join());
    return { time, report };
  };
  const first = await took(program);
  const again = [];
  for (let turn = 0; turn < TURNS; turn++) again.push(await took(program));
  const changed = again.find(({ report }) => report.lines.length > 0);
  if (changed !== undefined) throw new Error(`it changed: ${changed.report.lines.join('\n')}`);
  const sets = await timed(() =>
    execFileSync('ipset', ['save'], { maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  const loop = await held(() => node.apply(program));
  const one = [];
  for (let turn = 0; turn < TURNS; turn++)
    one.push(await took(turn % 2 === 0 ? programOf(oneLess(cluster)) : program));
  await node.cleanup();
  rmSync(folder, { recursive: true });
  return {
    first: first.time,
    again: median(again.map(({ time }) => time)),
    one: median(one.map(({ time }) => time)),
    sets,
    held: loop.longest,
    runs: {
      first: first.report.runs,
      again: again[0]?.report.runs ?? NaN,
      one: one[0]?.report.runs ?? NaN,
    },
    changes: first.report.lines.length,
    memory: process.resourceUsage().maxRSS / 1024,
  };
}

function programOf({ services, slices }: Cluster): NodeProgram {
  return ipvsProgram(serviceMap(services, slices, NODE), NODE, { clusterCIDRs: ['10.0.0.0/9'] });
}

/** The cluster without the last endpoint of its first slice. */
function oneLess({ services, slices: [first, ...others] }: Cluster): Cluster {
  const endpoints = first?.endpoints?.slice(0, -1) ?? [];
  return { services, slices: [{ ...first, endpoints }, ...others] };
}

void main(process.argv.slice(2));
