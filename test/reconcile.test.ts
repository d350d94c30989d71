import fc from 'fast-check';
import { memoryIpvs, MemoryKernel } from '../lib/memory';
import type { VirtualServer } from '../lib/model';
import { plan } from '../lib/plan';
import { reconcile, type Round } from '../lib/reconcile';
import { anyState } from './arbitraries';
import { settled } from './planning';
import { FakeClock, faulty, roundsOf, start, States } from './reconciling';

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const mail = { protocol: 'tcp', address: '10.0.0.2', port: 25 } as const;
const dns = { protocol: 'udp', address: '10.0.0.3', port: 53 } as const;
const at = (last: number, weight = 1): VirtualServer['destinations'][number] => ({
  address: `192.0.2.${last}`,
  port: 80,
  weight,
});
const all = { owns: () => true };
const many = (count: number): VirtualServer[] =>
  Array.from({ length: count }, (_, i) => ({
    protocol: 'tcp',
    address: `10.1.0.${i + 1}`,
    port: 80,
    destinations: [at(1), at(2)],
  }));

test('it brings the kernel to each state, and ends after the last', async () => {
  const client = memoryIpvs();
  const states = new States().push([{ ...web, destinations: [at(1)] }]).end();
  const loop = start(states, client, all);
  const rounds = await roundsOf(loop);
  expect(rounds.map(({ plan: { changes } }) => changes.length)).toEqual([2]);
  expect((await client.destinations(web)).map(({ address }) => address)).toEqual(['192.0.2.1']);
  expect(loop.health).toEqual({ healthy: true, revision: 1, pending: 0 });
});

test('nothing happens before the first state', async () => {
  const client = memoryIpvs();
  await client.addService(web);
  expect(await roundsOf(start(new States().end(), client, all))).toEqual([]);
  expect(await client.services()).toHaveLength(1);
});

test('states that come during a pass replace one another', async () => {
  const client = memoryIpvs();
  const states = new States();
  const rounds: Round[] = [];
  states.push([{ ...web, destinations: [] }]);
  for await (const round of start(states, client, all)) {
    rounds.push(round);
    if (rounds.length > 1) continue;
    for (let i = 1; i <= 5; i++) states.push([{ ...web, destinations: [at(i)] }]);
    states.end();
  }
  expect(rounds.length).toBeLessThan(6);
  expect(rounds.at(-1)?.revision).toBe(6);
  expect((await client.destinations(web)).map(({ address }) => address)).toEqual(['192.0.2.5']);
});

test('drift is repaired at the next full comparison', async () => {
  const client = memoryIpvs();
  const clock = new FakeClock();
  const states = new States().push([{ ...web, destinations: [at(1)] }]);
  let rounds = 0;
  for await (const round of start(states, client, { ...all, resync: 5_000 }, clock)) {
    rounds++;
    if (rounds === 1) await client.deleteService(web);
    if (rounds > 1 && round.plan.changes.length > 0) {
      expect(clock.time).toBeGreaterThanOrEqual(5_000);
      break;
    }
    expect(rounds).toBeLessThan(10);
  }
  expect(await client.destinations(web)).toHaveLength(1);
});

test('a pass that would take too much is refused whole, until something else is wanted', async () => {
  const client = memoryIpvs();
  await client.apply(plan(many(10), []));
  const states = new States().push(many(4));
  const rounds: Round[] = [];
  const loop = start(states, client, all);
  for await (const round of loop) {
    rounds.push(round);
    if (rounds.length === 1) {
      expect(round.error?.message).toBe(
        'reconcile: this would delete or empty 6 of our 10 services: if that is meant, raise maxLoss',
      );
      expect(round.outcomes.every(({ status }) => status === 'not tried')).toBe(true);
      expect(loop.health).toMatchObject({ healthy: false, pending: 6 });
      expect(await client.services()).toHaveLength(10);
      states.push(many(5)).end();
    }
  }
  expect(await client.services()).toHaveLength(5);
  expect(loop.health).toMatchObject({ healthy: true, revision: 2 });
  const refused = start(new States().push([]).end(), client, all);
  expect((await roundsOf(refused)).map(({ error }) => error?.message)).toHaveLength(1);
  expect(await client.services()).toHaveLength(5);
  await roundsOf(start(new States().push([]).end(), client, { ...all, maxLoss: 1 }));
  expect(await client.services()).toEqual([]);
});

test('a service that fails waits, twice as long each time; the others do not', async () => {
  const client = memoryIpvs();
  const clock = new FakeClock();
  const tried: number[] = [];
  const backend = {
    snapshot: () => client.snapshot(),
    apply: async (...[changes, options]: Parameters<typeof client.apply>) => {
      const list = [...changes];
      if (list.some(({ service }) => 'address' in service && service.address === mail.address)) {
        tried.push(clock.time);
      }
      return client.apply(list, options);
    },
  };
  const desired = [
    { ...mail, scheduler: 'nonesuch', destinations: [] },
    { ...web, destinations: [at(1)] },
  ];
  const options = { ...all, resync: 100_000, retry: { min: 1_000, max: 8_000 } };
  const loop = start(new States().push(desired), backend, options, clock);
  for await (const { pending } of loop) {
    expect(pending).toBe(1);
    expect(await client.services()).toHaveLength(1);
    if (tried.length === 7) break;
  }
  expect(tried.map((time, i) => time - (tried[i - 1] ?? 0))).toEqual([
    0, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000,
  ]);
  expect(loop.health.lastError?.message).toContain('nonesuch');
});

test('another program that is at the same service all the time: told, tried less and less often, and mended in the end', async () => {
  const kernel = new MemoryKernel();
  const [client, other] = [kernel.open(), kernel.open()];
  const clock = new FakeClock();
  let isAtIt = true;
  let calls = 0;
  const backend = {
    snapshot: async () => {
      if (isAtIt) await other.deleteDestination(web, at(1)).catch(() => undefined);
      return client.snapshot();
    },
    // Whatever is added was there a moment before, and whatever is set has gone.
    apply: async (...[changes, options]: Parameters<typeof client.apply>) => {
      calls++;
      const list = [...changes];
      if (isAtIt && (await other.services()).some(({ scheduler }) => scheduler === 'rr')) {
        const there = (await other.destinations(web)).length > 0;
        if (there) await other.deleteDestination(web, at(1));
        else await other.addDestination(web, at(1));
      }
      return client.apply(list, options);
    },
  };
  await other.addService({ ...web, scheduler: 'rr' });
  const desired = [
    { ...web, scheduler: 'rr', destinations: [at(1)] },
    { ...mail, destinations: [at(2)] },
  ];
  const states = new States().push(desired);
  const options = { ...all, resync: 1_000, retry: { min: 1_000, max: 8_000 } };
  const loop = start(states, backend, options, clock);
  const told: Round[] = [];
  for await (const round of loop) {
    if (round.outcomes.some(({ status }) => status === 'failed')) told.push(round);
    // The others are as they shall be from the first pass on.
    expect(await client.destinations(mail)).toHaveLength(1);
    if (isAtIt && clock.time > 60_000) {
      isAtIt = false;
      states.end();
    }
  }
  // In a minute: after 1, 2, 4 and then every 8 seconds; each time a few tries within the pass.
  expect(told.length).toBeGreaterThan(5);
  expect(told.length).toBeLessThan(12);
  expect(calls).toBeLessThan(100);
  expect(loop.health.healthy).toBe(true);
  expect(loop.health.lastError).toBeDefined();
  expect(plan(desired, await client.snapshot(), all).empty).toBe(true);
});

test('a state that makes no sense is told of, and the one before is kept', async () => {
  const client = memoryIpvs();
  const states = new States().push([{ ...web, destinations: [at(1)] }]);
  const errors: (string | undefined)[] = [];
  const loop = start(states, client, { ...all, resync: 1_000 });
  for await (const { error } of loop) {
    errors.push(error?.message);
    if (errors.length === 1) {
      await client.deleteDestination(web, at(1));
      states.push([{ ...web, destinations: [{ address: 'nonsense', port: 80 }] }]);
    }
    if (errors.length === 2) expect(await client.destinations(web)).toHaveLength(1);
    if (errors.length === 2) states.push([{ ...web, destinations: [at(2)] }]).end();
  }
  expect(errors[0]).toBeUndefined();
  expect(errors[1]).toContain('nonsense');
  expect(errors.at(-1)).toBeUndefined();
  expect((await client.destinations(web)).map(({ address }) => address)).toEqual(['192.0.2.2']);
});

test('leaving the rounds stops it, and so does the signal', async () => {
  const client = memoryIpvs();
  for await (const round of start(new States().push(many(3)), client, all)) {
    expect(round.revision).toBe(1);
    break;
  }
  const controller = new AbortController();
  const loop = start(new States().push(many(2)), client, { ...all, signal: controller.signal });
  const rounds: Round[] = [];
  for await (const round of loop) {
    rounds.push(round);
    controller.abort();
  }
  expect(rounds).toHaveLength(1);
  expect(
    await roundsOf(start(new States().push([]), client, { signal: AbortSignal.abort() })),
  ).toEqual([]);
  expect(await client.services()).toHaveLength(2);
});

test('what the states end with is what the rounds end with', async () => {
  const states = new States().end(new Error('the file is gone'));
  await expect(roundsOf(start(states, memoryIpvs()))).rejects.toThrow('the file is gone');
});

test('rounds that nobody fetches do not hold it up', async () => {
  const client = memoryIpvs();
  const clock = new FakeClock();
  const states = new States().push([{ ...web, destinations: [] }]);
  const loop = start(states, client, { ...all, resync: 1_000 }, clock);
  const reader = loop[Symbol.asyncIterator]();
  await reader.next();
  while (clock.time < 100_000) await new Promise(setImmediate);
  const late = await reader.next();
  expect(late.done === false && late.value.missed).toBeGreaterThan(20);
  await reader.return();
});

test('dryRun changes nothing', async () => {
  const client = memoryIpvs();
  const rounds = await roundsOf(
    start(new States().push(many(2)).end(), client, { ...all, dryRun: true }),
  );
  expect(rounds.map((round) => round.outcomes.map(({ status }) => status))).toEqual([
    Array(6).fill('not tried'),
  ]);
  expect(await client.services()).toEqual([]);
});

test.each([
  [{ resync: 0 }, 'reconcile: resync: 0 is out of range: use a whole number from 1 to 2147483647'],
  [{ maxLoss: 2 }, 'reconcile: maxLoss: 2 is no share: give a number from 0 to 1'],
  [
    { retry: { min: 5, max: 1 } },
    'reconcile: retry: max: 1 is out of range: use a whole number from 5 to 2147483647',
  ],
  [{ drain: { timeout: -1 } }, 'reconcile: drain: timeout: -1 is no time: give milliseconds'],
])('%j is refused before anything happens', (options, message) => {
  expect(() => reconcile(new States(), memoryIpvs(), options)).toThrow(message);
});

test('in real time', async () => {
  const client = memoryIpvs();
  await roundsOf(reconcile(new States().push([{ ...dns, destinations: [] }]).end(), client, all));
  expect(await client.services()).toHaveLength(1);
});

test('whatever fails, and whatever another program does meanwhile, it gets there', async () => {
  const noise = fc.record({
    states: fc.array(anyState, { minLength: 1, maxLength: 3 }),
    foreign: fc.array(anyState, { maxLength: 6 }),
    reads: fc.infiniteStream(fc.nat(4)),
    applies: fc.infiniteStream(fc.nat(4)),
    changes: fc.infiniteStream(fc.nat(4)),
    drain: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(noise, async ({ states, foreign, reads, applies, changes, drain }) => {
      const kernel = new MemoryKernel();
      const [client, other] = [kernel.open(), kernel.open()];
      let calm = false;
      const strikes = (stream: fc.Stream<number>) => (): boolean =>
        !calm && stream.next().value === 0;
      const fails = { read: strikes(reads), apply: strikes(applies), change: strikes(changes) };
      const pushed = new States();
      const options = { ...all, maxLoss: 1, drain, retry: { min: 10, max: 1_000 } };
      const left = [...states];
      const disturbances = [...foreign];
      const clock = new FakeClock();
      pushed.push(left.shift() ?? []);
      for await (const round of start(pushed, faulty(client, fails), options, clock)) {
        expect(round.revision).toBeLessThanOrEqual(states.length + 1);
        const disturbance = disturbances.shift();
        if (disturbance !== undefined) {
          await other.apply(plan(disturbance, await other.snapshot(), all));
        }
        const next = left.shift();
        if (next !== undefined) pushed.push(next);
        else if (disturbances.length === 0 && !calm) {
          calm = true;
          pushed.push(states.at(-1) ?? []).end();
        }
      }
      const expected = memoryIpvs();
      await expected.apply(plan(states.at(-1) ?? [], []));
      expect(settled(await client.snapshot())).toEqual(settled(await expected.snapshot()));
    }),
    { numRuns: 100 },
  );
});

test('ended at any moment, it leaves what the next one finishes, and never touches what is not ours', async () => {
  const task = fc.record({
    actual: anyState,
    desired: anyState,
    after: fc.nat(20),
    drain: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(task, async ({ actual, desired, after, drain }) => {
      const client = memoryIpvs();
      await client.apply(plan(actual, []));
      const foreign = { ...web, address: '10.9.9.9', destinations: [at(7, 5)] };
      await client.apply(plan([foreign], []));
      const theirs = async (): Promise<unknown> =>
        (await client.snapshot()).find(
          (server) => 'address' in server && server.address === '10.9.9.9',
        );
      const before = await theirs();
      const owns = (key: object): boolean => !('address' in key && key.address === '10.9.9.9');
      const controller = new AbortController();
      let calls = 0;
      const backend = faulty(client, {
        change: () => {
          if (calls++ === after) controller.abort();
          return controller.signal.aborted;
        },
      });
      const options = { owns, maxLoss: 1, drain };
      const states = (): States => new States().push(desired).end();
      await roundsOf(start(states(), backend, { ...options, signal: controller.signal }));
      await roundsOf(start(states(), client, options));
      expect(await theirs()).toEqual(before);
      const last = (await client.snapshot()).filter(owns);
      expect(plan(desired, last, all).empty).toBe(true);
    }),
    { numRuns: 100 },
  );
});
