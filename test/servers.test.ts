import fc from 'fast-check';
import { MemoryKernel, memoryIpvs, memoryIpvsSync } from '../lib/memory';
import { anyHistory, compareReadings } from './readings';

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const mail = { protocol: 'tcp', address: '10.0.0.1', port: 25 } as const;
const one = { address: '192.0.2.1', port: 80 } as const;

test('whatever is changed, and by whom, it reads what is there and leads to the same plan', async () => {
  await fc.assert(
    fc.asyncProperty(anyHistory, async ([states, desired]) => {
      const kernel = new MemoryKernel();
      const [reader, writer] = [kernel.open(), kernel.open()];
      for (const state of states) await compareReadings(reader, writer, state, desired);
    }),
    { numRuns: 500 },
  );
});

test('what has not changed is the same object', async () => {
  const client = memoryIpvs();
  await client.addService(web);
  await client.addService(mail);
  await client.addDestination(web, one);
  const [first, second] = await client.servers();
  await client.deleteService(mail);
  await client.addService(mail);
  await client.setDestination(web, { ...one, upperThreshold: 5 });
  const again = await client.servers();
  expect(again[0]).not.toBe(first);
  expect(again[0]?.destinations[0]?.upperThreshold).toBe(5);
  expect(again[1]).toBe(second);
  await client.deleteService(web);
  expect((await client.servers())[0]).toBe(second);
  await client.flush();
  expect(await client.servers()).toEqual([]);
});

test('whichever one thing changes, that is read anew, and all else is the same object', async () => {
  const kernel = new MemoryKernel();
  const [reader, writer] = [kernel.open(), kernel.open()];
  const services = [80, 81, 82].map((port) => ({ ...web, port }));
  const other = { address: '192.0.2.2', port: 80 } as const;
  for (const service of services) {
    await writer.addService(service);
    for (const destination of [one, other]) await writer.addDestination(service, destination);
  }
  let before = await reader.servers();
  const expectOneChange = async (): Promise<void> => {
    const now = await reader.servers();
    expect(now).toEqual(await kernel.open().servers());
    const known = new Set(before);
    expect(now.filter((server) => !known.has(server)).length).toBeLessThanOrEqual(1);
    expect(await reader.servers()).toBe(now);
    before = now;
  };
  for (const service of services) {
    // Twice, as what one reading keeps is what the next one is compared with.
    for (const weight of [2, 3]) {
      await writer.setDestination(service, { ...one, weight });
      await expectOneChange();
      await writer.setDestination(service, { ...other, weight });
      await expectOneChange();
    }
    await writer.setService({ ...service, scheduler: 'rr' });
    await expectOneChange();
  }
  for (const service of services) {
    for (const destination of [one, other]) {
      await writer.deleteDestination(service, destination);
      await expectOneChange();
      await writer.addDestination(service, destination);
      await expectOneChange();
    }
  }
});

test('it is frozen, as it is handed out again', () => {
  const client = memoryIpvsSync();
  client.addService(web);
  client.addDestination(web, one);
  const found = client.servers();
  for (const part of [found, found[0], found[0]?.destinations, found[0]?.destinations[0]]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
});

test('connections are told of a destination that drains, and only change the reading then', async () => {
  const kernel = new MemoryKernel();
  const client = kernel.open();
  await client.addService(web);
  await client.addDestination(web, one);
  const before = await client.servers();
  kernel.setTraffic(web, one, { activeConnections: 3 });
  expect(await client.servers()).toBe(before);
  expect(before[0]?.destinations[0]).not.toHaveProperty('activeConnections');
  await client.setDestination(web, { ...one, weight: 0 });
  const draining = await client.servers();
  expect(draining[0]?.destinations[0]).toMatchObject({
    activeConnections: 3,
    inactiveConnections: 0,
  });
  kernel.setTraffic(web, one, { activeConnections: 2 });
  expect((await client.servers())[0]?.destinations[0]).toMatchObject({ activeConnections: 2 });
});

test('readings at the same time do not disturb each other', async () => {
  const client = memoryIpvs();
  await client.addService(web);
  const both = Promise.all([client.servers(), client.addService(mail), client.servers()]);
  const [first, , second] = await both;
  expect([first.length <= second.length, second.length]).toEqual([true, 2]);
});
