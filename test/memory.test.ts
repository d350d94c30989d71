// IPVS in memory keeps the contract, and has what tests of programs want beside it.
import { IpvsError } from '../lib/errors';
import { memoryIpvs, memoryIpvsSync, MemoryKernel } from '../lib/memory';
import { contract, type Place } from './contract';
import {
  A,
  DEVICE,
  DOWN_DEVICE,
  FOREIGN_DEVICE,
  NO_STATS,
  WEB,
  asynchronously,
  failureOf,
} from './contract/kit';

// Everything here is quick, but other work on the machine may not be.
jest.setTimeout(30_000);

const equipped = (): MemoryKernel =>
  new MemoryKernel({
    interfaces: [
      { name: 'lo', mtu: 65536 },
      { name: DEVICE },
      { name: DOWN_DEVICE, up: false },
      { name: FOREIGN_DEVICE },
    ],
  });
const release = (): Promise<void> => Promise.resolve();
const connecting =
  (kernel: MemoryKernel): Place['connect'] =>
  (rows) => {
    kernel.setConnections(rows);
    return Promise.resolve();
  };

contract('in memory', (): Promise<Place> => {
  const kernel = equipped();
  const open = (): Promise<ReturnType<typeof kernel.open>> => Promise.resolve(kernel.open());
  return Promise.resolve({ client: kernel.open(), open, connect: connecting(kernel), release });
});

contract('in memory, synchronous', (): Promise<Place> => {
  const kernel = equipped();
  const make = (): ReturnType<typeof kernel.open> => asynchronously(kernel.openSync());
  return Promise.resolve({
    client: make(),
    open: () => Promise.resolve(make()),
    connect: connecting(kernel),
    release,
  });
});

test('each has a kernel of its own', async () => {
  const one = memoryIpvs();
  await one.addService(WEB);
  expect(await memoryIpvs().services()).toEqual([]);
  expect(memoryIpvsSync().services()).toEqual([]);
});

test('it has the equipment it is given', async () => {
  const client = memoryIpvs({
    schedulers: ['rr'],
    engines: [],
    interfaces: [{ name: 'bond0', mtu: 9000 }],
    connectionTableSize: 256,
  });
  expect(await client.info()).toEqual({ version: '1.2.1', connectionTableSize: 256 });
  await client.addService({ ...WEB, scheduler: 'rr' });
  expect(await failureOf(client.setService(WEB))).toMatchObject({ code: 'ENOENT' });
  const persistence = { timeout: 1, engine: 'sip' };
  const sip = { ...WEB, scheduler: 'rr', persistence };
  expect(await failureOf(client.setService(sip))).toMatchObject({ code: 'ENOENT' });
  await client.startDaemon({ role: 'backup', interface: 'bond0', syncId: 1 });
  expect(await client.daemons()).toMatchObject([{ maxLength: 8972 }]);
});

test('equipment nobody knows is refused', () => {
  expect(() => memoryIpvs({ scheduler: ['rr'] } as never)).toThrow(/did you mean schedulers/);
});

test('traffic is what the test says', async () => {
  const kernel = new MemoryKernel();
  const client = kernel.open();
  await client.addService(WEB);
  await client.addDestination(WEB, A);
  const stats = {
    connections: 2n ** 40n,
    packets: { in: 1n, out: 2n },
    bytes: { in: 2n ** 63n, out: 4n },
    perSecond: { connections: 5, packetsIn: 6, packetsOut: 7, bytesIn: 8, bytesOut: 2 ** 40 },
  };
  kernel.setTraffic(WEB, A, { activeConnections: 3, inactiveConnections: 4 });
  kernel.setTraffic('tcp://10.0.0.1:80', '192.0.2.1:8080', { persistentConnections: 5, stats });
  kernel.setTraffic(WEB, { stats });
  expect(await client.snapshot()).toMatchObject([
    {
      stats,
      destinations: [
        { activeConnections: 3, inactiveConnections: 4, persistentConnections: 5, stats },
      ],
    },
  ]);
  await client.setDestination(WEB, { ...A, weight: 0 });
  expect(await client.destinations(WEB)).toMatchObject([{ weight: 0, activeConnections: 3 }]);
  await client.zero(WEB);
  expect(await client.snapshot()).toMatchObject([
    { stats: NO_STATS, destinations: [{ activeConnections: 3, stats: NO_STATS }] },
  ]);
});

test('traffic of what is not there is refused', async () => {
  const kernel = new MemoryKernel();
  const absent = (): void => {
    kernel.setTraffic(WEB, A, { activeConnections: 1 });
  };
  expect(absent).toThrow(IpvsError);
  expect(absent).toThrow(/^setTraffic tcp:\/\/10.0.0.1:80: no such service/);
  await kernel.open().addService(WEB);
  expect(absent).toThrow(/^setTraffic .* 192.0.2.1:8080: the service has no such destination/);
  await kernel.open().addDestination(WEB, A);
  expect(() => {
    kernel.setTraffic(WEB, A, { activeConnections: -1 });
  }).toThrow(/activeConnections: -1/);
});

test('it works while the clock is fake', async () => {
  jest.useFakeTimers();
  try {
    const client = memoryIpvs();
    await client.addService(WEB);
    await client.apply([{ op: 'addDestination', service: WEB, destination: A }]);
    expect(await client.snapshot()).toHaveLength(1);
    await client.close();
  } finally {
    jest.useRealTimers();
  }
});

test('it needs no addon', () => {
  jest.isolateModules(() => {
    jest.doMock('node-gyp-build', () => {
      throw new Error('the addon was asked for');
    });
    const { memoryIpvsSync: isolated } =
      jest.requireActual<typeof import('../lib/memory')>('../lib/memory');
    expect(isolated().services()).toEqual([]);
  });
});
