// Netfilter's table as a source of connections: it agrees with IPVS's own on what both can know, and where netfilter cannot
// be asked, the error says what to do.
import type { Connection, Ipvs } from '../../lib';
import { feed } from './feed';
import { Namespace, run } from './helpers';
import { traffic, type Flow } from './traffic';

jest.setTimeout(120_000);

const flow = (protocol: Flow['protocol'], ip: 4 | 6, port: number, count: number): Flow =>
  ip === 4
    ? {
        protocol,
        client: '10.0.0.101',
        service: '10.0.0.1',
        destination: '10.0.0.11',
        port,
        count,
      }
    : {
        protocol,
        client: '2001:db8::101',
        service: '2001:db8::1',
        destination: '2001:db8::11',
        port,
        count,
      };
const FLOWS = [
  flow('tcp', 4, 80, 5),
  flow('udp', 4, 53, 3),
  flow('sctp', 4, 132, 2),
  flow('tcp', 6, 80, 2),
  flow('udp', 6, 53, 2),
];
const COUNT = FLOWS.reduce((sum, { count }) => sum + count, 0);

let namespace: Namespace;
let client: Ipvs;
let release: (() => Promise<void>) | undefined;

const id = ({ protocol, service, port }: Flow): `tcp://${string}` =>
  `${protocol}://${service.includes(':') ? `[${service}]` : service}:${port}` as `tcp://${string}`;

function setConntrack(on: 0 | 1): void {
  namespace.run('sysctl', '-qw', `net.ipv4.vs.conntrack=${on}`);
}

/** Netfilter tracks only where some rule wants to know. */
function track(): void {
  for (const iptables of ['iptables-legacy', 'ip6tables-legacy']) {
    namespace.run(iptables, '-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'NEW');
  }
}

beforeAll(() => {
  for (const module of ['sctp', 'nf_conntrack_netlink', 'ipv6']) run('modprobe', module);
});
beforeEach(async () => {
  namespace = new Namespace();
  const addresses = [1, 11, 101].flatMap((last) => [
    `addr add 10.0.0.${last}/32 dev lo`,
    `addr add 2001:db8::${last}/128 dev lo nodad`,
  ]);
  namespace.run('sh', '-c', `printf '${addresses.join('\\n')}' | ip -batch -`);
  client = await namespace.open();
  setConntrack(1);
  for (const one of FLOWS) {
    await client.addService({ protocol: one.protocol, address: one.service, port: one.port });
    await client.addDestination(id(one), { address: one.destination, port: one.port });
  }
});
afterEach(async () => {
  await release?.();
  release = undefined;
  await client.close();
  namespace.delete();
});

/** What both sources can know: all but the seconds. */
function known(rows: Iterable<Connection>): string[] {
  return Array.from(rows, ({ protocol, client: from, virtual, destination, state }) =>
    JSON.stringify([protocol, from, virtual, destination, state]),
  ).sort();
}

test('both sources agree on connections of every protocol and family', async () => {
  track();
  release = await traffic(namespace, FLOWS);
  const own = await client.connections();
  const theirs = await client.connections({}, { source: 'conntrack' });
  expect(own.source).toBe('ip_vs');
  expect(theirs.source).toBe('conntrack');
  expect(own).toHaveLength(COUNT);
  expect(known(theirs)).toEqual(known(own));
});

test('rows are filtered, and of services alone', async () => {
  track();
  release = await traffic(namespace, FLOWS);
  for (const filter of [
    { protocol: 'udp' },
    { service: 'tcp://10.0.0.1:80', state: 'ESTABLISHED' },
    { client: '2001:db8::/32', template: false },
    { destination: '10.0.0.11:132' },
    { state: 'CLOSE' },
  ] as const) {
    const theirs = await client.connections(filter, { source: 'conntrack' });
    expect(known(theirs)).toEqual(known(await client.connections(filter)));
  }
  // Its flows are still there, but nobody's any more.
  await client.deleteService('tcp://10.0.0.1:80');
  const left = await client.connections({ client: '10.0.0.101' }, { source: 'conntrack' });
  expect(left.countBy('service')).toEqual(
    new Map([
      ['udp://10.0.0.1:53', 3],
      ['sctp://10.0.0.1:132', 2],
    ]),
  );
});

test('connections on their way out have the same states', async () => {
  track();
  const [web] = FLOWS as [Flow];
  release = await traffic(namespace, [web]);
  // Ends first at the clients, then at the servers, in the order in which they were made.
  await release();
  release = undefined;
  const states = async (source: 'ip_vs' | 'conntrack'): Promise<object> =>
    Object.fromEntries((await client.connections({}, { source })).countBy('state'));
  const own = await states('ip_vs');
  expect(await states('conntrack')).toEqual(own);
  expect(own).not.toHaveProperty('ESTABLISHED');
});

test('a destination that is not translated is not known', async () => {
  track();
  const key = { protocol: 'tcp', address: '10.0.0.1', port: 81 } as const;
  await client.addService(key);
  await client.addDestination(key, { address: '10.0.0.11', port: 81, forward: 'route' });
  release = await traffic(namespace, [{ ...flow('tcp', 4, 81, 2), destination: '10.0.0.1' }]);
  const [row, ...rest] = await client.connections({ service: key }, { source: 'conntrack' });
  expect(row).toMatchObject({ virtual: { address: '10.0.0.1', port: 81 }, state: 'ESTABLISHED' });
  expect(row?.destination).toEqual({ address: '0.0.0.0', port: 0 });
  expect(rest).toHaveLength(1);
});

describe('where netfilter cannot be asked', () => {
  const ask = (): Promise<unknown> => client.connections({}, { source: 'conntrack' });

  test('as IPVS keeps its connections to itself', async () => {
    setConntrack(0);
    await expect(ask()).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
      message:
        "connections: net.ipv4.vs.conntrack is 0 here, so netfilter does not see the connections of IPVS: set it with sysctl -w net.ipv4.vs.conntrack=1, which counts for new ones, or read from the source 'ip_vs'",
    });
  });

  test('as no rule makes it track anything', async () => {
    expect(await ask()).toHaveLength(0);
    release = await traffic(namespace, FLOWS);
    await expect(ask()).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
      message: expect.stringContaining('netfilter tracks nothing here') as string,
    });
    expect(await client.connections({}, { source: 'auto' })).toHaveLength(COUNT);
  });
});

describe("'auto'", () => {
  const MANY = 20_000;
  const SERVICE = 'tcp://10.0.0.1:80';
  const sourceOf = async (filter = {}): Promise<string> =>
    (await client.connections(filter, { source: 'auto' })).source;
  const fill = (count: number): void => {
    const program = `${__dirname}/programs/flows.pl`;
    const ends = ['10.1.0.1:1024', '10.0.0.1:80', '10.0.0.11:80'];
    namespace.run('perl', program, String(count), ...ends);
  };

  test('takes netfilter where there are many connections, and nothing would be missing', async () => {
    expect(await sourceOf()).toBe('ip_vs');
    fill(MANY);
    feed(namespace, {
      count: MANY,
      client: '10.1.0.1:1024',
      services: ['10.0.0.1:80'],
      destinations: ['10.0.0.11:80'],
    });
    const table = await client.connections({}, { source: 'auto' });
    expect(table.source).toBe('conntrack');
    const own = await client.connections();
    expect(table).toHaveLength(MANY);
    expect([table.countBy('client').size, table.top('destination')]).toEqual([
      MANY,
      own.top('destination'),
    ]);
    const sync = namespace.openSync();
    expect(sync.connections({}, { source: 'auto' }).source).toBe('conntrack');
    sync.close();

    const signal = AbortSignal.timeout(1);
    const aborted = client.connections({}, { source: 'conntrack', signal });
    await expect(aborted).rejects.toMatchObject({ code: 'ABORT_ERR' });

    await client.setService({
      protocol: 'tcp',
      address: '10.0.0.1',
      port: 80,
      persistence: { timeout: 60 },
    });
    expect(await sourceOf()).toBe('ip_vs');
    expect(await sourceOf({ template: true })).toBe('ip_vs');
    expect(await sourceOf({ template: false })).toBe('conntrack');
    await client.setService({ protocol: 'tcp', address: '10.0.0.1', port: 80 });
    expect(await sourceOf({ service: SERVICE })).toBe('conntrack');

    await client.addService({ fwmark: 7, family: 'ipv4' });
    expect(await sourceOf()).toBe('ip_vs');
    await client.deleteService('fwmark:7');
    setConntrack(0);
    expect(await sourceOf()).toBe('ip_vs');
  });
});
