// Bringing a table to a desired state: whole passes (read, plan, apply), a hundred changed destinations, and a state restored
// where another was. All in one namespace that holds the table, as passes find it.
import {
  applyPlan,
  open,
  openSync,
  plan,
  reconcile,
  type Backend,
  type Change,
  type Ipvs,
  type IpvsSync,
  type VirtualServer,
} from 'ipvs';
import { Floor } from './floor';
import { timed } from './measure';
import { inNamespace } from './namespaces';
import { tableFile } from './places';
import type { DesiredTask, Timed } from './results';
import { serviceOf, servers } from './workload';

const EACH = 10;
const CHANGED = 100;
/** What ipvsadm restores after -C takes minutes from some ten thousand destinations on. */
const RESTORED = 1_000;

interface Competitor {
  readonly name: string;
  readonly rounds: number;
  readonly run: () => Promise<number>;
}

/** A namespace with the table in it, and what works on it. */
interface Place {
  readonly netns: string;
  readonly services: number;
  readonly table: readonly VirtualServer[];
  readonly floor: Floor;
  readonly client: Ipvs;
  readonly sync: IpvsSync;
}

export async function desired(services: number, rounds: number): Promise<DesiredTask[]> {
  const floor = new Floor(tableFile(services, EACH));
  const found = await inNamespace(async (netns) => {
    await floor.add(netns);
    await using client = await open({ netns });
    using sync = openSync({ netns });
    const table = servers(services, EACH);
    const place = { netns, services, table, floor, client, sync };
    const tasks: DesiredTask[] = [
      { task: 'nothing changed', services, competitors: await race(passes(place, rounds)) },
      {
        task: `${CHANGED} destinations changed`,
        services,
        competitors: await race(changers(place, rounds)),
      },
    ];
    if (services <= RESTORED) {
      tasks.push({ task: '1 % changed', services, competitors: await restored(place, rounds) });
    }
    return tasks;
  });
  await floor.close();
  return found;
}

function passes({ netns, table, floor, client, sync }: Place, rounds: number): Competitor[] {
  const few = Math.min(rounds, 3);
  const nothing = (actual: readonly VirtualServer[]): void => {
    if (!plan(table, actual).empty) throw new Error('not the plan it should be');
  };
  return [
    {
      name: 'floor, reading alone',
      rounds,
      run: async () => (await floor.read(netns)).milliseconds,
    },
    {
      name: 'pass: servers, plan',
      rounds,
      run: () =>
        timed(async () => {
          nothing(await client.servers());
        }),
    },
    {
      name: 'the same, first of a client',
      rounds,
      run: async () => {
        await using fresh = await open({ netns });
        return await timed(async () => {
          nothing(await fresh.servers());
        });
      },
    },
    {
      name: 'pass: snapshot, plan',
      rounds,
      run: () =>
        timed(async () => {
          nothing(await client.snapshot());
        }),
    },
    {
      name: 'reconcile, a round',
      rounds,
      run: () => roundOf(client, table),
    },
    {
      name: 'reconcile with one dump a service, a round',
      rounds: few,
      run: () => {
        const snapshot = (): Promise<VirtualServer[]> => Promise.resolve(oneByOne(sync));
        return roundOf({ snapshot, apply: client.apply.bind(client) }, table);
      },
    },
    {
      name: 'pass with one dump a service',
      rounds: few,
      run: () =>
        timed(() => {
          nothing(oneByOne(sync));
        }),
    },
  ];
}

function oneByOne(sync: IpvsSync): VirtualServer[] {
  return sync
    .services()
    .map((service) => ({ ...service, destinations: sync.destinations(service) }));
}

/** How long a round of the loop takes that finds everything as it was at the one before. */
async function roundOf(backend: Backend, table: readonly VirtualServer[]): Promise<number> {
  async function* states(): AsyncGenerator<readonly VirtualServer[]> {
    yield table;
    await new Promise(() => undefined);
  }
  let isFirst = true;
  for await (const round of reconcile(states(), backend, { resync: 1 })) {
    if (round.error !== undefined || !round.plan.empty) throw round.error ?? new Error('changes');
    if (!isFirst) return round.duration;
    isFirst = false;
  }
  throw new Error('it has ended');
}

/** Each sets other weights than there are. */
function changers({ netns, table, floor, client, sync }: Place, rounds: number): Competitor[] {
  let weight = 1;
  const few = Math.min(rounds, 3);
  // They take about a millisecond, which is easily disturbed.
  const many = rounds * 6;
  const edit = async (fence: boolean): Promise<number> =>
    (await floor.edit(netns, CHANGED, ++weight, fence)).milliseconds;
  // Whoever is the first to touch those destinations waits for memory: that is nobody of them.
  const quick = (name: string, run: () => Promise<number>): Competitor => ({
    name,
    rounds: many,
    run: async () => {
      await edit(false);
      return run();
    },
  });
  const changing = (work: (changes: readonly Change[]) => unknown) => () => {
    const changes = edited(table, ++weight);
    return timed(() => work(changes));
  };
  return [
    quick('floor', () => edit(false)),
    quick('floor, one answer a datagram', () => edit(true)),
    quick(
      'apply',
      changing((changes) => client.apply(changes)),
    ),
    quick(
      'apply, synchronous',
      changing((changes) => sync.apply(changes)),
    ),
    quick(
      'one call at a time, synchronous',
      changing((changes) => {
        callByCall(sync, changes);
      }),
    ),
    {
      name: 'pass: servers, plan, apply',
      rounds,
      run: () => {
        const wanted = withWeights(table, CHANGED, ++weight);
        return timed(() => pass(client, wanted, CHANGED));
      },
    },
    {
      name: 'pass with one dump a service and one call a change',
      rounds: few,
      run: () => {
        const wanted = withWeights(table, CHANGED, ++weight);
        return timed(() => {
          callByCall(sync, plan(wanted, oneByOne(sync)).changes);
        });
      },
    },
  ];
}

/** Bringing the table to a state with other weights in one destination of a hundred: by a pass, and by starting afresh. */
async function restored(
  { netns, services, table, floor, client, sync }: Place,
  rounds: number,
): Promise<Timed[]> {
  let weight = 200;
  const few = Math.min(rounds, 3);
  const changed = (services * EACH) / 100;
  const outage: number[] = [];
  const file = tableFile(services, EACH);
  const found = await race([
    {
      name: 'pass: servers, plan, apply',
      rounds,
      run: () => {
        const wanted = withWeights(table, changed, ++weight);
        return timed(() => pass(client, wanted, changed));
      },
    },
    {
      name: 'pass with one dump a service and one call a change',
      rounds: few,
      run: () => {
        const wanted = withWeights(table, changed, ++weight);
        return timed(() => {
          callByCall(sync, plan(wanted, oneByOne(sync)).changes);
        });
      },
    },
    {
      name: 'ipvsadm -C and ipvsadm -R',
      rounds: few,
      run: async () => {
        const clear = await floor.spawn(netns, '/dev/null', ['ipvsadm', '-C']);
        const restore = await floor.spawn(netns, file, ['ipvsadm', '-R']);
        outage.push(restore.milliseconds);
        return clear.milliseconds + restore.milliseconds;
      },
    },
  ]);
  // The warm-up is one of them.
  const times = outage.slice(-few);
  return [...found, { name: 'its outage: until the last service is back', times }];
}

async function pass(client: Ipvs, wanted: readonly VirtualServer[], count: number): Promise<void> {
  const steps = plan(wanted, await client.servers());
  const { complete } = await applyPlan(client, steps);
  const isEdit = steps.changes.every(({ op }) => op === 'setDestination');
  if (!complete || !isEdit || steps.changes.length < count) {
    throw new Error('not the plan it should be');
  }
}

/** So many destinations, spread evenly over the table as the floor does it. */
function places(table: readonly VirtualServer[], count: number): ReadonlySet<number> {
  const step = Math.floor((table.length * EACH) / count);
  return new Set(Array.from({ length: count }, (_, i) => i * step));
}

function withWeights(
  table: readonly VirtualServer[],
  count: number,
  weight: number,
): VirtualServer[] {
  const chosen = places(table, count);
  return table.map((server, i) => ({
    ...server,
    destinations: server.destinations.map((one, j) =>
      chosen.has(i * EACH + j) ? { ...one, weight } : one,
    ),
  }));
}

function edited(table: readonly VirtualServer[], weight: number): Change[] {
  return [...places(table, CHANGED)].map((place): Change => {
    const server = table[Math.floor(place / EACH)];
    const destination = server?.destinations[place % EACH];
    if (server === undefined || destination === undefined) throw new RangeError('no such place');
    return {
      op: 'setDestination',
      service: serviceOf(server),
      destination: { ...destination, weight },
    };
  });
}

function callByCall(sync: IpvsSync, changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.op !== 'setDestination') throw new Error('not the plan it should be');
    sync.setDestination(change.service, change.destination);
  }
}

/** In turns; the first turn warms up and does not count. */
async function race(competitors: readonly Competitor[]): Promise<Timed[]> {
  const times = competitors.map(() => [] as number[]);
  const most = Math.max(...competitors.map(({ rounds }) => rounds));
  for (let round = 0; round <= most; round++) {
    for (const [i, { name, rounds, run }] of competitors.entries()) {
      if (round > rounds) continue;
      const milliseconds = await run();
      if (round > 0) times[i]?.push(milliseconds);
      if (rounds <= 12)
        process.stderr.write(`round ${round}: ${name}: ${milliseconds.toFixed(1)} ms\n`);
    }
  }
  return competitors.map(({ name }, i) => ({ name, times: times[i] ?? [] }));
}
