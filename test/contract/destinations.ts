// Destinations: adding, reading, replacing, deleting.
import type { Destination, Service } from '../../lib/model';
import {
  A,
  A6,
  B,
  DEVICE,
  MARK,
  MARK6,
  NO_STATS,
  WEB,
  WEB6,
  plain,
  refused,
  type Here,
} from './kit';

// All of WEB but the protocol.
const NOT_WEB = { protocol: 'udp', address: '10.0.0.1', port: 80 } as const;
const ROUTE = { address: '192.0.2.1', port: 80, forward: 'route' } as const;
const TUNNEL = { address: '192.0.2.1', port: 80, forward: 'tunnel' } as const;

const KINDS: readonly [name: string, service: Service, destination: Destination][] = [
  ['NAT', WEB, A],
  ['direct routing', WEB, ROUTE],
  ['IPv6', WEB6, A6],
  ['weight 0', WEB, { ...A, weight: 0 }],
  ['the largest weight', WEB, { ...A, weight: 2147483647 }],
  ['thresholds', WEB, { ...A, upperThreshold: 100, lowerThreshold: 80 }],
  ['equal thresholds', WEB, { ...A, upperThreshold: 2147483647, lowerThreshold: 2147483647 }],
  ['an upper threshold', WEB, { ...A, upperThreshold: 1 }],
  ['a tunnel', WEB, { ...TUNNEL, tunnel: { type: 'ipip' } }],
  ['GUE', WEB, { ...TUNNEL, tunnel: { type: 'gue', port: 6080, checksum: false } }],
  ['GUE with checksum', WEB, { ...TUNNEL, tunnel: { type: 'gue', port: 1, checksum: true } }],
  [
    'GUE with remote checksum',
    WEB,
    { ...TUNNEL, tunnel: { type: 'gue', port: 65535, checksum: 'remote' } },
  ],
  ['GRE', WEB, { ...TUNNEL, tunnel: { type: 'gre', checksum: false } }],
  ['GRE with checksum', WEB, { ...TUNNEL, tunnel: { type: 'gre', checksum: true } }],
  ['a tunnel from IPv4 to IPv6', WEB, { ...TUNNEL, ...A6, port: 80, tunnel: { type: 'ipip' } }],
  ['a tunnel from IPv6 to IPv4', WEB6, { ...TUNNEL, tunnel: { type: 'gre', checksum: false } }],
  ['the client’s port', MARK, { ...A, port: 0 }],
  ['any port by mark', MARK, { ...A, port: 81, forward: 'route' }],
  ['a mark of IPv6', MARK6, A6],
  ['a mark across families', MARK6, { ...TUNNEL, port: 0, tunnel: { type: 'ipip' } }],
];

// Tried on Linux 6.1.176, in a namespace with nothing but loopback and two dummies.
const HOSTS4 = ['0.1.2.3', '10.0.0.1', '127.0.0.1', '127.0.0.0', '169.254.0.1', '240.0.0.1'];
const NO_HOSTS4 = ['0.0.0.0', '224.0.0.1', '239.255.255.255', '255.255.255.255', '127.255.255.255'];
const HOSTS6 = ['::1', '::2', '64:ff9b::1', '2001:db8::', 'fc00::1', 'fec0::1', 'fe00::1'];
const NO_HOSTS6 = ['::', 'fe80::1', 'febf::1', 'ff02::1', 'ff00::', 'ffff::1'];

export function destinations(here: Here): void {
  test.each(KINDS)('%s reads back as it was set', async (_, service, destination) => {
    const { client } = here;
    await client.addService(service);
    await client.addDestination(service, destination);
    const expected = { ...plain(destination), ...destination };
    expect(await client.destinations(service)).toEqual([expected]);
    expect(await client.snapshot()).toMatchObject([{ destinations: [expected] }]);
    await client.deleteDestination(service, { ...destination });
    expect(await client.destinations(service)).toEqual([]);
  });

  test('a tunnel is IPIP unless it says otherwise', async () => {
    await here.client.addService(WEB);
    await here.client.addDestination(WEB, TUNNEL);
    expect(await here.client.destinations(WEB)).toMatchObject([{ tunnel: { type: 'ipip' } }]);
  });

  test('the newest comes first', async () => {
    const { client } = here;
    await client.addService(WEB);
    for (const destination of [A, B, { ...A, port: 1 }])
      await client.addDestination(WEB, destination);
    await client.setDestination(WEB, { ...A, weight: 5 });
    const ports = async (): Promise<unknown[]> =>
      (await client.destinations(WEB)).map(({ address, port }) => [address, port]);
    expect(await ports()).toEqual([
      ['192.0.2.1', 1],
      ['192.0.2.2', 8080],
      ['192.0.2.1', 8080],
    ]);
    await client.deleteDestination(WEB, A);
    await client.addDestination(WEB, A);
    expect(await ports()).toEqual([
      ['192.0.2.1', 8080],
      ['192.0.2.1', 1],
      ['192.0.2.2', 8080],
    ]);
  });

  test('setting replaces every setting', async () => {
    const { client } = here;
    await client.addService(WEB);
    await client.addDestination(WEB, {
      ...TUNNEL,
      weight: 7,
      upperThreshold: 9,
      lowerThreshold: 8,
      tunnel: { type: 'gue', port: 6080, checksum: 'remote' },
    });
    await client.setDestination(WEB, { ...TUNNEL, weight: 3 });
    const tunnel = { type: 'ipip' };
    expect(await client.destinations(WEB)).toEqual([
      { ...plain(TUNNEL), forward: 'tunnel', weight: 3, tunnel },
    ]);
    await client.setDestination(WEB, { address: '192.0.2.1', port: 80 });
    expect(await client.destinations(WEB)).toEqual([plain({ address: '192.0.2.1', port: 80 })]);
  });

  test('what was read can be written back', async () => {
    const { client } = here;
    await client.addService(WEB);
    await client.addDestination(WEB, { ...TUNNEL, tunnel: { type: 'gue', port: 6080 } });
    const [found] = await client.destinations('tcp://10.0.0.1:80');
    await client.setDestination(WEB, { ...(found as Destination), weight: 0 });
    expect(await client.destinations(WEB)).toEqual([{ ...found, weight: 0 }]);
  });

  test('the same destination may serve several services', async () => {
    const { client } = here;
    for (const service of [WEB, { ...WEB, port: 81 }, MARK]) {
      await client.addService(service);
      await client.addDestination(service, A);
    }
    await client.deleteDestination(MARK, '192.0.2.1:8080');
    const counts = (await client.snapshot()).map(({ destinations }) => destinations.length);
    expect(counts.sort()).toEqual([0, 1, 1]);
  });

  test('adding twice is refused, whatever else is wrong with the second', async () => {
    await here.client.addService(WEB);
    await here.client.addDestination(WEB, { ...A, weight: 7 });
    await refused(here.client, (client) => client.addDestination(WEB, A), {
      code: 'EEXIST',
      operation: 'addDestination',
      service: WEB,
      destination: A,
      words: /setDestination/,
    });
  });

  test('without the service nothing can be done', async () => {
    const { client } = here;
    await client.addService(NOT_WEB);
    const absent = {
      code: 'ESRCH',
      service: WEB,
      destination: A,
      words: /no such service: add it first/,
    };
    for (const operation of ['addDestination', 'setDestination', 'deleteDestination'] as const) {
      await refused(client, () => client[operation](WEB, A), { ...absent, operation });
    }
    // A multicast address too: the service is looked for first.
    const bad = { address: '224.0.0.1', port: 80 };
    await refused(client, () => client.addDestination(WEB, bad), {
      ...absent,
      operation: 'addDestination',
      destination: bad,
    });
  });

  test('what is not there cannot be set or deleted', async () => {
    const { client } = here;
    await client.addService(WEB);
    await client.addDestination(WEB, B);
    const absent = { code: 'ENOENT', service: WEB, words: /no such destination: add it first/ };
    for (const destination of [A, { ...B, port: 81 }, { address: '0.0.0.0', port: 80 }]) {
      for (const operation of ['setDestination', 'deleteDestination'] as const) {
        await refused(client, () => client[operation](WEB, destination), {
          ...absent,
          operation,
          destination,
        });
      }
    }
    await client.deleteDestination(WEB, B);
    await refused(client, () => client.deleteDestination(WEB, '192.0.2.2:8080'), {
      ...absent,
      operation: 'deleteDestination',
      destination: B,
    });
  });

  test.each([...HOSTS4, ...HOSTS6])('%s is an address of one host', async (address) => {
    const service = address.includes(':') ? WEB6 : WEB;
    await here.client.addService(service);
    await here.client.addDestination(service, { address, port: 80 });
    expect(await here.client.destinations(service)).toMatchObject([{ address, port: 80 }]);
  });

  test.each([...NO_HOSTS4, ...NO_HOSTS6])('%s is no address of one host', async (address) => {
    const service = address.includes(':') ? WEB6 : WEB;
    const destination = { address, port: 80 };
    await here.client.addService(service);
    await refused(here.client, (client) => client.addDestination(service, destination), {
      code: 'EINVAL',
      operation: 'addDestination',
      service,
      destination,
      words: /only addresses of one host .*: use another address/,
    });
  });

  test('while a sync daemon runs, families do not mix', async () => {
    const { client } = here;
    await client.addService(WEB);
    await client.startDaemon({ role: 'backup', interface: DEVICE, syncId: 1 });
    const destination = { address: '2001:db8::a', port: 80 };
    const mixed = {
      code: 'EINVAL',
      service: WEB,
      destination,
      words: /another family while a sync daemon runs: stop the daemon/,
    };
    for (const operation of ['addDestination', 'setDestination'] as const) {
      await refused(client, () => client[operation](WEB, { ...destination, forward: 'tunnel' }), {
        ...mixed,
        operation,
      });
    }
    await refused(client, () => client.deleteDestination(WEB, destination), {
      ...mixed,
      code: 'ENOENT',
      operation: 'deleteDestination',
      words: /no such destination/,
    });
    await client.addDestination(WEB, TUNNEL);
    await client.stopDaemon({ role: 'backup' });
    await client.addDestination(WEB, { ...destination, forward: 'tunnel' });
  });

  test('counters and connections start at nothing', async () => {
    await here.client.addService(WEB);
    await here.client.addDestination(WEB, A);
    await here.client.zero(WEB);
    await here.client.zero();
    expect(await here.client.service(WEB)).toMatchObject({ stats: NO_STATS });
    expect(await here.client.destinations(WEB)).toEqual([plain(A)]);
  });
}
