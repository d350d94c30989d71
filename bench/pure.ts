// What needs no kernel, measured on the machine itself: the JavaScript side of the two tasks. Prints JSON.
import { cannedKernel } from './canned';
import { cpuTimed, held, median, type Held } from './measure';
import { DESTINATIONS, additions, servers } from './workload';
import { internals } from './places';
import { planTimes } from './plans';
import type { Pure } from './results';

const SERVICES = 10_000;
const ROUNDS = 15;

async function repeat<T>(work: () => Promise<T>): Promise<T[]> {
  const found: T[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const one = await work();
    if (round > 0) found.push(one);
  }
  return found;
}

async function main(): Promise<void> {
  const { Client, SyncClient } = internals().client;
  const table = servers(SERVICES);
  const changes = additions(table);
  const handle = cannedKernel(table);
  const here = new SyncClient(handle);
  const there = new Client(handle);
  const rows = SERVICES * (1 + DESTINATIONS);

  const each = (times: number[]): number => (median(times) * 1000) / rows;
  const middle = (stretches: Held[]): Held => ({
    longest: median(stretches.map(({ longest }) => longest)),
    p99: median(stretches.map(({ p99 }) => p99)),
    collecting: median(stretches.map(({ collecting }) => collecting)),
  });
  const found: Pure[] = [
    {
      name: 'apply: check, encode, outcome',
      microseconds: each(await repeat(() => cpuTimed(() => here.apply(changes)))),
      held: middle(await repeat(() => held(() => there.apply(changes)))),
    },
    {
      name: 'snapshot: decode',
      microseconds: each(await repeat(() => cpuTimed(() => here.snapshot()))),
      held: middle(await repeat(() => held(() => there.snapshot()))),
    },
  ];
  console.log(JSON.stringify({ pure: found, plans: await planTimes() }));
}

void main();
