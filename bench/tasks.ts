// The two tasks, adding a table and reading it back, and who competes at them.
import { open, openSync, type Change, type Ipvs } from 'ipvs';
import type { Floor } from './floor';
import { timed, type Times } from './measure';
import { inNamespace } from './namespaces';
import type { Task } from './results';
import { tableFile } from './places';

export interface Competitor {
  readonly name: string;
  /** Does the task in a namespace and tells the milliseconds it took. */
  readonly run: (netns: string) => Promise<number>;
  /** How often, of the rounds there are; the slow ones less. */
  readonly rounds: number;
}

const NOTHING = '/dev/null';
/** By then code is compiled, and heaps have their size. */
const WARM_UPS = 3;

/** Every one of them adds the same table to an empty namespace. */
export function adders(floor: Floor, changes: readonly Change[], rounds: number): Competitor[] {
  const services = changes.filter(({ op }) => op === 'addService').length;
  const few = Math.min(rounds, 3);
  return [
    { name: 'floor', rounds, run: async (netns) => (await floor.add(netns)).milliseconds },
    {
      name: 'floor, one answer a datagram',
      rounds,
      run: async (netns) => (await floor.fence(netns)).milliseconds,
    },
    {
      name: 'floor, one request a call',
      rounds: few,
      run: async (netns) => (await floor.add(netns, 1)).milliseconds,
    },
    { name: 'apply', rounds, run: withClient((ipvs) => ipvs.apply(changes)) },
    { name: 'apply, synchronous', rounds, run: withSyncClient((ipvs) => ipvs.apply(changes)) },
    {
      name: "apply, onError 'stop'",
      rounds: few,
      run: withClient((ipvs) => ipvs.apply(changes, { onError: 'stop' })),
    },
    {
      name: 'one call at a time',
      rounds: Math.min(rounds, 1),
      run: withClient((ipvs) => callByCall(ipvs, changes)),
    },
    {
      name: 'one call at a time, synchronous',
      rounds: few,
      run: withSyncClient((ipvs) => {
        callByCallSync(ipvs, changes);
      }),
    },
    {
      name: 'ipvsadm -R',
      rounds: services > 1000 ? 1 : few,
      run: async (netns) =>
        (await floor.spawn(netns, tableFile(services), ['ipvsadm', '-R'])).milliseconds,
    },
  ];
}

/** Every one of them reads the same full namespace. */
export function readers(floor: Floor, rounds: number): Competitor[] {
  const few = Math.min(rounds, 3);
  const ipvsadm = (option: string): Competitor => ({
    name: `ipvsadm ${option}`,
    rounds: few,
    run: async (netns) => (await floor.spawn(netns, NOTHING, ['ipvsadm', option])).milliseconds,
  });
  return [
    { name: 'floor', rounds, run: async (netns) => (await floor.read(netns)).milliseconds },
    { name: 'snapshot', rounds, run: withClient((ipvs) => ipvs.snapshot()) },
    { name: 'snapshot, synchronous', rounds, run: withSyncClient((ipvs) => ipvs.snapshot()) },
    { name: 'one call a service', rounds: few, run: withClient(readByCall) },
    { name: 'one call a service, synchronous', rounds: few, run: withSyncClient(readByCallSync) },
    ipvsadm('-Ln'),
    ipvsadm('-Sn'),
  ];
}

/** Runs adders in turn, a new namespace each; the first rounds warm up and do not count. */
export async function add(services: number, competitors: readonly Competitor[]): Promise<Task> {
  const times = await inTurn(competitors, (run) => inNamespace(run));
  return { task: 'add', services, competitors: times };
}

/** Runs readers in turn on one table, which reading leaves as it is. */
export async function read(
  services: number,
  floor: Floor,
  competitors: readonly Competitor[],
): Promise<Task> {
  return inNamespace(async (netns) => {
    await floor.add(netns);
    const times = await inTurn(competitors, (run) => run(netns));
    return { task: 'read', services, competitors: times };
  });
}

async function inTurn(
  competitors: readonly Competitor[],
  start: (run: Competitor['run']) => Promise<number>,
): Promise<{ name: string; times: Times }[]> {
  const times = competitors.map(() => [] as number[]);
  const rounds = Math.max(...competitors.map((competitor) => competitor.rounds));
  for (let round = 1 - WARM_UPS; round <= rounds; round++) {
    for (const [i, competitor] of competitors.entries()) {
      const warmUp = round <= 0;
      // What is slow enough to run once needs no warming up, and what is slow once at most.
      const enough = competitor.rounds < 2 ? 0 : competitor.rounds < rounds ? 1 : WARM_UPS;
      if (warmUp ? round <= -enough : round > competitor.rounds) continue;
      const milliseconds = await start(competitor.run);
      if (!warmUp) times[i]?.push(milliseconds);
      process.stderr.write(
        `${warmUp ? 'warm-up' : `round ${round}`}: ${competitor.name}: ${milliseconds.toFixed(1)} ms\n`,
      );
    }
  }
  return competitors.map(({ name }, i) => ({ name, times: times[i] ?? [] }));
}

// A client is opened before the clock starts, as the floor's socket is.
function withClient(work: (ipvs: Ipvs) => Promise<unknown>): Competitor['run'] {
  return async (netns) => {
    await using ipvs = await open({ netns });
    return await timed(() => work(ipvs));
  };
}

function withSyncClient(work: (ipvs: ReturnType<typeof openSync>) => unknown): Competitor['run'] {
  return async (netns) => {
    using ipvs = openSync({ netns });
    return await timed(() => work(ipvs));
  };
}

async function callByCall(ipvs: Ipvs, changes: readonly Change[]): Promise<void> {
  for (const change of changes) {
    if (change.op === 'addService') await ipvs.addService(change.service);
    else if (change.op === 'addDestination')
      await ipvs.addDestination(change.service, change.destination);
  }
}

function callByCallSync(ipvs: ReturnType<typeof openSync>, changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.op === 'addService') ipvs.addService(change.service);
    else if (change.op === 'addDestination')
      ipvs.addDestination(change.service, change.destination);
  }
}

async function readByCall(ipvs: Ipvs): Promise<void> {
  for (const service of await ipvs.services()) await ipvs.destinations(service);
}

function readByCallSync(ipvs: ReturnType<typeof openSync>): void {
  for (const service of ipvs.services()) ipvs.destinations(service);
}
