// `npm run bench:datapath`: what a connection costs through IPVS and through iptables as services grow, in one kernel. A
// kernel of its own for each number of services.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { inLab } from '../pinned';
import { compile, RESULTS, ROOT, SCRATCH } from '../places';
import type { Order } from './inside';
import { plot, report } from './report';
import type { Comparison, Size } from './results';

const USAGE = `Usage: npm run bench:datapath -- [--quick]
  --quick   1, 100 and 1000 services and 500 connections a point, instead of 1 to 10000 and 4000`;

function measure(services: number, turns: number): Size {
  const output = path.join(SCRATCH, 'datapath.json');
  const program = compile('connect', path.join('datapath', 'connect.c'));
  const order: Order = { services, turns, program, output };
  const inside = path.join(ROOT, 'build', 'programs', 'bench', 'datapath', 'inside.js');
  const [file = '', ...args] = inLab([process.execPath, inside, JSON.stringify(order)]);
  process.stderr.write(`${services} services…\n`);
  const { status } = spawnSync(file, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`with ${services} services it ended with ${String(status)}`);
  return JSON.parse(readFileSync(output, 'utf8')) as Size;
}

function main(): void {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean' } },
  });
  if (values.help === true) {
    console.log(USAGE);
    return;
  }
  const load = os.loadavg()[0] ?? 0;
  const sizes = values.quick ? [1, 100, 1000] : [1, 10, 100, 1000, 5000, 10_000];
  const comparison: Comparison = {
    date: new Date().toISOString(),
    cpu: os.cpus()[0]?.model ?? 'unknown',
    hostCpus: os.cpus().length,
    node: process.version,
    load,
    sizes: sizes.map((services) => measure(services, values.quick ? 25 : 200)),
  };
  console.log(report(comparison));
  mkdirSync(RESULTS, { recursive: true });
  const file = path.join(RESULTS, `datapath-${comparison.date.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify(comparison, null, 2)}\n`);
  writeFileSync(file.replace('.json', '.svg'), plot(comparison.sizes));
  console.log(`\nAll figures, and a plot: ${path.relative(process.cwd(), file)}`);
}

main();
