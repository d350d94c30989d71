// The connection table of a real kernel, row for row what the kernel and ipvsadm say.
import type { Connection, Ipvs } from '../../lib';
import { Namespace, run } from './helpers';
import { ipvsadmLine, ipvsadmLines, rawRows, traffic, type Flow } from './traffic';

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

/** Both without the seconds left, which pass; those may differ by what passed between two reads. */
function expectSame(ours: readonly Connection[], theirs: readonly Connection[]): void {
  const timeless = (row: Connection): object => ({ ...row, expires: undefined });
  expect(ours.map(timeless)).toEqual(theirs.map(timeless));
  const apart = ours.map(({ expires }, i) => Math.abs(expires - (theirs[i]?.expires ?? 0)));
  expect(Math.max(0, ...apart)).toBeLessThan(5);
}

test('row for row the same as the raw file and as ipvsadm -Lnc', async () => {
  const rows = [...(await client.connections())];
  expectSame(rows, rawRows(namespace));
  expect(rows.map(ipvsadmLine)).toEqual(ipvsadmLines(namespace));
  expect(rows.length).toBeGreaterThanOrEqual(
    [...FLOWS, ...FLOWS6].reduce((sum, { count }) => sum + count, 0),
  );
});
