// The connection table of a real kernel, row for row what the kernel and ipvsadm say.
import { openSync, type ConnectionFilter, type Ipvs } from '../../lib';
import { MemoryKernel } from '../../lib/memory';
import { feed } from './feed';
import { inNamespace, Namespace, run } from './helpers';
import { expectSame, ipvsadmLine, ipvsadmLines, rawRows, traffic, type Flow } from './traffic';

jest.setTimeout(120_000);

const CLIENTS = ['10.0.0.101', '10.0.0.102'];
const CLIENT6 = '2001:db8::101';
const FLOWS: readonly Flow[] = [
  { protocol: 'tcp', service: '10.0.0.1', destination: '10.0.0.11', port: 80, count: 3 },
  { protocol: 'udp', service: '10.0.0.1', destination: '10.0.0.11', port: 53, count: 2 },
  { protocol: 'sctp', service: '10.0.0.1', destination: '10.0.0.11', port: 132, count: 2 },
  { protocol: 'tcp', service: '10.0.0.2', destination: '10.0.0.12', port: 443, count: 2 },
].flatMap((flow) => CLIENTS.map((client) => ({ ...flow, client }) as Flow));
const FLOWS6: readonly Flow[] = (['tcp', 'udp'] as const).map((protocol) => ({
  protocol,
  client: CLIENT6,
  service: '2001:db8::1',
  destination: '2001:db8::11',
  port: 80,
  count: 2,
}));

let namespace: Namespace;
let client: Ipvs;
let release: () => Promise<void>;

async function serve(flows: readonly Flow[]): Promise<void> {
  const made = new Set<string>();
  for (const { protocol, service, destination, port } of flows) {
    const key = { protocol, address: service, port };
    const name = `${protocol} ${service} ${port}`;
    if (made.has(name)) continue;
    made.add(name);
    // The second service is persistent: its clients leave templates.
    await client.addService({ ...key, ...(port === 443 ? { persistence: { timeout: 300 } } : {}) });
    await client.addDestination(key, { address: destination, port });
  }
}

beforeAll(async () => {
  run('modprobe', 'sctp');
  namespace = new Namespace();
  for (const last of [1, 2, 11, 12, 101, 102]) {
    namespace.ip('addr', 'add', `10.0.0.${last}/32`, 'dev', 'lo');
  }
  for (const last of ['1', '11', '101']) {
    namespace.ip('-6', 'addr', 'add', `2001:db8::${last}/128`, 'dev', 'lo', 'nodad');
  }
  client = await namespace.open();
  await serve([...FLOWS, ...FLOWS6]);
  release = await traffic(namespace, [...FLOWS, ...FLOWS6]);
});
afterAll(async () => {
  await release();
  await client.close();
  namespace.delete();
});

test('row for row the same as the raw file and as ipvsadm -Lnc', async () => {
  const rows = [...(await client.connections())];
  expectSame(rows, rawRows(namespace));
  expect(rows.map(ipvsadmLine)).toEqual(ipvsadmLines(namespace));
  expect(rows.length).toBeGreaterThanOrEqual(
    [...FLOWS, ...FLOWS6].reduce((sum, { count }) => sum + count, 0),
  );
});

test('the file of a backup director, with origins', async () => {
  feed(namespace, {
    count: 3,
    client: '10.7.0.1:99',
    services: ['10.0.0.9:80'],
    destinations: ['10.0.0.19:80'],
  });
  const rows = [...(await client.connections({}, { origin: true }))];
  expectSame(rows, rawRows(namespace, 'ip_vs_conn_sync'));
  expect(new Set(rows.map(({ origin }) => origin))).toEqual(new Set(['local', 'sync']));
});

test('what persistence engines know, and templates of marks', async () => {
  run('modprobe', 'ip_vs_pe_sip');
  const template = {
    client: '10.7.0.2:0',
    services: ['10.0.0.9:5060'],
    destinations: ['10.0.0.19:5060'],
    template: true,
  } as const;
  feed(
    namespace,
    {
      ...template,
      count: 1,
      protocol: 'udp',
      engine: { name: 'sip', data: 'a84b4c76e66710@pc33.example' },
    },
    {
      ...template,
      count: 1,
      protocol: 'ip',
      services: ['0.0.0.7:0'],
      destinations: ['10.0.0.19:0'],
      fwmark: 7,
    },
  );
  const templates = await client.connections({ template: true });
  expectSame(
    [...templates],
    rawRows(namespace).filter((row) => row.client.port === 0),
  );
  const engines = [...templates].flatMap(({ engine }) => engine ?? []);
  expect(engines).toEqual([{ name: 'sip', data: 'a84b4c76e66710@pc33.example' }]);
  expect(templates.countBy('service').get('fwmark:7')).toBe(1);
  expect([...(await client.connections({ service: 'fwmark:7' }))]).toHaveLength(1);
});

test('filters keep what the kernel in memory keeps of the same rows', async () => {
  const filters: readonly ConnectionFilter[] = [
    {},
    { protocol: 'tcp' },
    { protocol: 'sctp' },
    { service: 'tcp://10.0.0.2:443' },
    { service: 'tcp://10.0.0.1:0' },
    { service: 'tcp://[2001:db8::1]:80' },
    { service: 'tcp://203.0.113.1:80' },
    { destination: '10.0.0.11' },
    { destination: '10.0.0.11:53' },
    { destination: '2001:db8::11' },
    { client: '10.0.0.101' },
    { client: '10.0.0.100/30' },
    { client: '10.0.0.100/32' },
    { client: '2001:db8::/32' },
    { state: 'ESTABLISHED', protocol: 'sctp' },
    { state: 'NO_SUCH_STATE' },
    { template: true },
    { template: false, protocol: 'udp' },
  ];
  const memory = new MemoryKernel();
  memory.setConnections(await client.connections());
  const sync = namespace.openSync();
  for (const filter of filters) {
    const expected = [...memory.openSync().connections(filter)];
    expectSame([...(await client.connections(filter))], expected);
    expectSame([...sync.connections(filter)], expected);
  }
  sync.close();
});

test('each namespace has its own, and so has the one we are in', async () => {
  await inNamespace(async (other) => {
    const elsewhere = await other.open();
    expect((await elsewhere.connections()).length).toBe(0);
    await elsewhere.close();
  });
  const here = openSync();
  expect(here.connections().length).toBe(run('cat', '/proc/net/ip_vs_conn').split('\n').length - 2);
  here.close();
});
