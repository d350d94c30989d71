// `npm run bench`: boots a kernel of its own for the run, has everybody do the same work in it, and says how they compare.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { plot } from './connection-plot';
import { connectionTargets } from './connection-report';
import type { ConnectionOrder } from './connections';
import type { Order } from './inside';
import { inLab } from './pinned';
import { compileFloor, program, RESULTS, ROOT, SCRATCH, tableFile } from './places';
import { report, targets } from './report';
import type { Alone, ConnectionReading, Inside, Results, Timed } from './results';
import { saveFormat, servers } from './workload';

const PARTS = ['add', 'read', 'hold', 'memory', 'desired', 'connections', 'pure'];
/** Destinations of each service of a desired state. */
const EACH = 10;
/** Processes that plan for the first time. */
const FIRSTS = 5;
const USAGE = `Usage: npm run bench -- [--quick] [--only ${PARTS.join('|')}] [--here]
  --quick   1000 services instead of 1000 and 10000, no 500 000 connections, and fewer rounds
  --only    one part of it
  --here    on this machine's own kernel, in network namespaces of their own, instead of in the lab`;

interface Options {
  readonly quick: boolean;
  readonly here: boolean;
  readonly only: string | undefined;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      here: { type: 'boolean', default: false },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { quick, here, only, help } = values;
  if (help) {
    console.log(USAGE);
    process.exit(0);
  }
  if (only !== undefined && !PARTS.includes(only)) {
    throw new TypeError(`--only ${only}: there are ${PARTS.join(', ')}`);
  }
  return { quick, here, only };
}

/** Runs a command with our terminal; `output` returns what it prints instead. */
function run(command: readonly string[], output = false): string {
  const [file = '', ...args] = command;
  const { status, stdout } = spawnSync(file, args, {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', output ? 'pipe' : 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`it ended with ${status}: ${command.join(' ')}`);
  return output ? stdout : '';
}

function measureInside({ quick, here, only }: Options): Inside {
  const sizes = quick ? [1_000] : [1_000, 10_000];
  for (const size of sizes) {
    writeFileSync(tableFile(size), saveFormat(servers(size)));
    writeFileSync(tableFile(size, EACH), saveFormat(servers(size, EACH)));
  }
  const order: Order = {
    sizes,
    rounds: quick ? 5 : 7,
    openings: quick ? 1_000 : 10_000,
    changes: quick ? 100_000 : 1_000_000,
    only,
    output: path.join(SCRATCH, 'inside.json'),
  };
  const bench = [process.execPath, '--expose-gc', program('inside'), JSON.stringify(order)];
  run(here ? bench : inLab(bench));
  return JSON.parse(readFileSync(order.output, 'utf8')) as Inside;
}

// A kernel for each size: the walk of one namespace's connections passes those of all others. At 500 000 it takes minutes
// before Linux 6.14, so that it is done once and broken off in the end.
function measureConnections({ quick }: Options): ConnectionReading[] {
  const table = tableFile(0);
  writeFileSync(table, '');
  const netns = 'bench-connections';
  const enter = `ip netns add ${netns} && ip -n ${netns} link set lo up && exec ip netns exec ${netns} "$@"`;
  return (quick ? [10_000, 100_000] : [10_000, 100_000, 500_000]).map((count) => {
    const order: ConnectionOrder = {
      count,
      rounds: count > 10_000 || quick ? 3 : 5,
      netns,
      table,
      limit: count > 100_000 ? 150_000 : undefined,
      output: path.join(SCRATCH, 'connections.json'),
    };
    const bench = [process.execPath, '--expose-gc', program('connections'), JSON.stringify(order)];
    run(inLab(['sh', '-c', enter, 'sh', ...bench]));
    return JSON.parse(readFileSync(order.output, 'utf8')) as ConnectionReading;
  });
}

// Each process once: what is planned first runs before anything is compiled.
function firstPlans(): Timed {
  const times = Array.from({ length: FIRSTS }, () =>
    Number(run([process.execPath, program('first-plan')], true)),
  );
  return { name: 'the first plan of a process: nothing changed', times };
}

function nothingInside(): Inside {
  const about = { kernel: os.release(), cpus: os.cpus().length, node: process.version };
  return { ...about, tasks: [], holding: [], keeping: [], weights: [], desired: [] };
}

function main(): void {
  const options = readOptions();
  const load = os.loadavg()[0] ?? 0;
  compileFloor();
  const { only } = options;
  const isInside = only !== 'pure' && only !== 'connections';
  const inside = isInside ? measureInside(options) : nothingInside();
  const isReading = (only === undefined && !options.here) || only === 'connections';
  const connections = isReading ? measureConnections(options) : [];
  const { pure, plans } =
    only === undefined || only === 'pure'
      ? (JSON.parse(run([process.execPath, program('pure')], true)) as Alone)
      : { pure: [], plans: [] };
  if (plans.length > 0) plans.push(firstPlans());
  const results: Results = {
    ...inside,
    date: new Date().toISOString(),
    lab: !options.here,
    cpu: os.cpus()[0]?.model ?? 'unknown',
    hostCpus: os.cpus().length,
    load,
    pure,
    plans,
    connections,
    targets: [...targets(inside, pure, plans), ...connectionTargets(connections)],
  };
  console.log(report(results));
  mkdirSync(RESULTS, { recursive: true });
  const file = path.join(RESULTS, `${results.date.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  if (connections.length > 0) writeFileSync(file.replace('.json', '.svg'), plot(connections));
  console.log(`\nAll figures: ${path.relative(process.cwd(), file)}`);
}

main();
