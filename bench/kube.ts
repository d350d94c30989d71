// What it costs to map a cluster and to program a node for it, in CPU and memory. Pure, so it runs anywhere:
//
//   npm run build && node build/programs/bench/kube.js [SERVICES…]
import { execFileSync } from 'node:child_process';
import { makeCluster, NODE } from './kube-input';
import { ipvsProgram, serviceMap } from '../lib/kube';

const ENDPOINTS = 10;
const TURNS = 3;

// A process each, as the compiler has to warm up every time that somebody runs the command, and memory is told whole.
function main(args: readonly string[]): void {
  if (args[0] === '--one') {
    process.stdout.write(JSON.stringify(measure(Number(args[1]))));
    return;
  }
  const sizes = args.length > 0 ? args.map(Number) : [1000, 5000, 10_000];
  for (const size of sizes) {
    const turns = Array.from({ length: TURNS }, () => {
      const text = execFileSync(process.execPath, [__filename, '--one', String(size)]);
      return JSON.parse(text.toString()) as Measured;
    });
    const best = turns.reduce((a, b) => (a.map + a.program <= b.map + b.program ? a : b));
    const { map, program, memory, servers, rules } = best;
    process.stdout.write(
      `${size} services x ${ENDPOINTS}: map ${map.toFixed(0)} ms, program ${program.toFixed(0)} ms, ` +
        `together ${(map + program).toFixed(0)} ms of CPU (best of ${TURNS}); ${memory.toFixed(0)} MB resident at most; ` +
        `${servers} servers, ${rules} bytes of rules\n`,
    );
  }
}

interface Measured {
  readonly map: number;
  readonly program: number;
  readonly memory: number;
  readonly servers: number;
  readonly rules: number;
}

function measure(size: number): Measured {
  const { services, slices } = makeCluster(size, ENDPOINTS);
  const before = process.cpuUsage();
  const map = serviceMap(services, slices, NODE);
  const between = process.cpuUsage(before);
  const program = ipvsProgram(map, NODE, { clusterCIDRs: ['10.0.0.0/9'] });
  const after = process.cpuUsage(before);
  const milliseconds = (usage: NodeJS.CpuUsage): number => (usage.user + usage.system) / 1000;
  if (map.ports.length !== size || program.problems.length > 0) {
    throw new Error(`${map.ports.length} ports, ${program.problems.join('\n')}`);
  }
  return {
    map: milliseconds(between),
    program: milliseconds(after) - milliseconds(between),
    memory: process.resourceUsage().maxRSS / 1024,
    servers: program.servers.length,
    rules: program.rules.ipv4?.length ?? 0,
  };
}

main(process.argv.slice(2));
