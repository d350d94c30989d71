import { Drains } from '../lib/drain';
import { MemoryKernel } from '../lib/memory';
import type { VirtualServer } from '../lib/model';
import { FakeClock, roundsOf, start, States } from './reconciling';

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const dns = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const;
const a = { address: '192.0.2.1', port: 80, weight: 3 } as const;
const b = { address: '192.0.2.2', port: 80, weight: 3 } as const;
const both: VirtualServer[] = [{ ...web, destinations: [a, b] }];
const one: VirtualServer[] = [{ ...web, destinations: [a] }];
const options = { owns: () => true, drain: { timeout: 60_000 } };

async function busy(): Promise<{ kernel: MemoryKernel; client: ReturnType<MemoryKernel['open']> }> {
  const kernel = new MemoryKernel();
  const client = kernel.open();
  await roundsOf(start(new States().push(both).end(), client, options));
  kernel.setTraffic(web, b, { activeConnections: 2, inactiveConnections: 1 });
  return { kernel, client };
}
const weights = async (client: ReturnType<MemoryKernel['open']>): Promise<unknown> =>
  Object.fromEntries(
    (await client.destinations(web)).map(({ address, weight }) => [address, weight]),
  );

test('weight 0 first; gone as soon as its connections are', async () => {
  const { kernel, client } = await busy();
  const clock = new FakeClock();
  let rounds = 0;
  for await (const { plan, pending } of start(
    new States().push(one).end(),
    client,
    options,
    clock,
  )) {
    if (rounds++ === 0) {
      expect(await weights(client)).toEqual({ '192.0.2.1': 3, '192.0.2.2': 0 });
    } else if (rounds === 2) expect(plan.draining).toMatchObject([{ connections: 3 }]);
    if (rounds === 3) kernel.setTraffic(web, b, { activeConnections: 0, inactiveConnections: 0 });
    if (rounds < 4) expect(pending).toBe(1);
  }
  expect(await weights(client)).toEqual({ '192.0.2.1': 3 });
  expect(clock.time).toBeLessThan(10_000);
});

test('gone when its time is up', async () => {
  const { client } = await busy();
  const clock = new FakeClock();
  await roundsOf(start(new States().push(one).end(), client, options, clock));
  expect(await weights(client)).toEqual({ '192.0.2.1': 3 });
  expect(clock.time).toBe(60_000);
});

test('wanted again, it has its weight again, also where weights are kept', async () => {
  for (const keepWeights of [false, true]) {
    const { client } = await busy();
    const states = new States().push(one);
    let rounds = 0;
    for await (const round of start(states, client, { ...options, keepWeights })) {
      expect(round.error).toBeUndefined();
      if (rounds++ === 0) states.push(both).end();
    }
    expect(await weights(client)).toEqual({ '192.0.2.1': 3, '192.0.2.2': 3 });
  }
});

test('another process goes on where one ended; the time starts anew, and a weight of 0 is not mistaken for somebody’s', async () => {
  const { client } = await busy();
  const clock = new FakeClock();
  for await (const round of start(new States().push(one), client, options, clock)) {
    expect(round.plan.draining).toHaveLength(1);
    break;
  }
  expect(await weights(client)).toEqual({ '192.0.2.1': 3, '192.0.2.2': 0 });
  const later = new FakeClock();
  const rounds = await roundsOf(start(new States().push(one).end(), client, options, later));
  expect(rounds[0]?.plan.empty).toBe(true);
  expect(later.time).toBe(60_000);
  expect(await weights(client)).toEqual({ '192.0.2.1': 3 });

  const again = await busy();
  await again.client.setDestination(web, { ...b, weight: 0 });
  await roundsOf(
    start(new States().push(both).end(), again.client, { ...options, keepWeights: true }),
  );
  expect(await weights(again.client)).toEqual({ '192.0.2.1': 3, '192.0.2.2': 3 });
});

test('with keepWeights, a weight of 0 that somebody sets later stays', async () => {
  const { client } = await busy();
  let rounds = 0;
  const kept = { ...options, keepWeights: true, resync: 1_000 };
  for await (const { plan } of start(new States().push(both), client, kept)) {
    if (rounds++ === 0) await client.setDestination(web, { ...b, weight: 0 });
    else expect(plan.empty).toBe(true);
    if (rounds === 3) break;
  }
  expect(await weights(client)).toEqual({ '192.0.2.1': 3, '192.0.2.2': 0 });
});

test('UDP goes at once, unless asked otherwise', async () => {
  for (const only of [undefined, () => true]) {
    const kernel = new MemoryKernel();
    const client = kernel.open();
    const drain = { timeout: 5_000, ...(only === undefined ? {} : { only }) };
    const clock = new FakeClock();
    await client.addService(dns);
    await client.addDestination(dns, b);
    kernel.setTraffic(dns, b, { inactiveConnections: 4 });
    const states = new States().push([{ ...dns, destinations: [] }]).end();
    await roundsOf(start(states, client, { ...options, drain }, clock));
    expect(clock.time).toBe(only === undefined ? 0 : 5_000);
    expect(await client.destinations(dns)).toEqual([]);
  }
});

test('while its service is left out of plans, its time goes on', () => {
  let now = 0;
  const drains = new Drains({ timeout: 60_000 }, () => now);
  drains.waits(web, b);
  drains.settle([{ service: web, destination: b, connections: 1 }], () => false);
  now = 30_000;
  drains.settle([], (id) => id === 'tcp://10.0.0.1:80');
  now = 60_000;
  expect(drains.waits(web, b)).toBe(false);
  // One that was wanted meanwhile begins anew.
  drains.settle([], () => false);
  expect(drains.waits(web, b)).toBe(true);
});
