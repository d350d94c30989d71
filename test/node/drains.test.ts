// Destinations that leave: which may drain, since when, and what is done about those that do.
import { IpvsError } from '../../lib/errors';
import { serviceId } from '../../lib/id';
import { memoryIpvs, MemoryKernel } from '../../lib/memory';
import type { Change, ServiceKey, VirtualServer } from '../../lib/model';
import { drainsOf, mayDrain, sweep, type Drain } from '../../lib/node/drains';

const TCP = { protocol: 'tcp', address: '172.30.0.10', port: 80 } as const;
const UDP = { protocol: 'udp', address: '172.30.0.10', port: 53 } as const;
const MARK = { fwmark: 7, family: 'ipv4' } as const;
const ONE = { address: '10.1.0.5', port: 8080 };
const OTHER = { address: '10.1.0.6', port: 8080 };

const wanted = [TCP, UDP, MARK].map((key): VirtualServer => ({ ...key, destinations: [] }));
const since = (time: number, service: ServiceKey = TCP): Drain => ({
  service,
  destination: ONE,
  since: time,
});

describe('which may drain', () => {
  const ask = (service: ServiceKey, input: Partial<Parameters<typeof mayDrain>[0]> = {}): boolean =>
    mayDrain({ wanted, endless: new Set(), before: [], limit: 1000, now: 5000, ...input })(
      service,
      ONE,
    );

  test('those of TCP services and of marks, while their service stays', () => {
    expect([TCP, UDP, MARK].map((service) => ask(service))).toEqual([true, false, true]);
    expect(ask(TCP, { wanted: [] })).toBe(false);
  });

  test('not those of a mark that carries UDP or SCTP', () => {
    expect(ask(MARK, { endless: new Set([7]) })).toBe(false);
  });

  test('until their time is up', () => {
    expect(ask(TCP, { before: [since(4001)] })).toBe(true);
    expect(ask(TCP, { before: [since(4000)] })).toBe(false);
    expect(ask(TCP, { limit: 0 })).toBe(false);
  });

  test('a time to come is of before the machine was started, and counts from now', () => {
    expect(ask(TCP, { before: [since(999_999)] })).toBe(true);
  });
});

describe('since when', () => {
  const draining = [{ service: TCP, destination: ONE, connections: 3 }];

  test('from now, or from when it began; the same list when nothing is different', () => {
    expect(drainsOf(draining, { before: [], now: 7 })).toEqual([since(7)]);
    const before = [since(3)];
    expect(drainsOf(draining, { before, now: 7 })).toBe(before);
    expect(drainsOf([], { before, now: 7 })).toEqual([]);
    expect(drainsOf(draining, { before: [since(9)], now: 7 })).toEqual([since(7)]);
  });
});

describe('a look at those that drain', () => {
  const setUp = async (weight: number, connections: number) => {
    const kernel = new MemoryKernel();
    const client = kernel.open();
    await client.addService(TCP);
    for (const destination of [ONE, OTHER])
      await client.addDestination(TCP, { ...destination, weight });
    kernel.setTraffic(serviceId(TCP), '10.1.0.5:8080', {
      activeConnections: connections >> 1,
      inactiveConnections: connections - (connections >> 1),
    });
    const there = async () => (await client.destinations(TCP)).map(({ address }) => address).sort();
    return { client, there };
  };

  test('deletes what is empty, and leaves what has connections', async () => {
    const { client, there } = await setUp(0, 2);
    const both = [since(0), { ...since(0), destination: OTHER }];
    const { left, gone } = await sweep(client, both, { limit: 1000, now: 10 });
    expect(left).toEqual([{ ...since(0), connections: 2 }]);
    expect(gone).toEqual([{ ...since(0), destination: OTHER }]);
    expect(await there()).toEqual(['10.1.0.5']);
  });

  test('deletes what is out of time', async () => {
    const { client, there } = await setUp(0, 2);
    const { gone } = await sweep(client, [since(0)], { limit: 1000, now: 1000 });
    expect(gone).toHaveLength(1);
    expect(await there()).toEqual(['10.1.0.6']);
  });

  test('leaves what has a weight again to whoever gave it, and forgets it', async () => {
    const { client, there } = await setUp(1, 0);
    expect(await sweep(client, [since(0)], { limit: 0, now: 9 })).toEqual({ left: [], gone: [] });
    expect(await there()).toEqual(['10.1.0.5', '10.1.0.6']);
  });

  test('forgets what is gone already, with its service too', async () => {
    const client = memoryIpvs();
    await client.addService(TCP);
    const two = [since(0), since(0, { ...TCP, port: 81 })];
    expect(await sweep(client, two, { limit: 9, now: 1 })).toEqual({ left: [], gone: [] });
  });
  test('says what the kernel refuses, unless it is gone already', async () => {
    const { client } = await setUp(0, 0);
    const refusing = (code: string) => ({
      destinations: client.destinations.bind(client),
      apply: (changes: Iterable<Change>) => {
        const error = new IpvsError('refused', { code, operation: 'deleteDestination' });
        return Promise.resolve(
          [...changes].map((change) => ({ change, status: 'failed', error }) as const),
        );
      },
    });
    const looked = (code: string) => sweep(refusing(code), [since(0)], { limit: 9, now: 1 });
    await expect(looked('EPERM')).rejects.toThrow('refused');
    expect((await looked('ENOENT')).gone).toEqual([since(0)]);
  });
});
