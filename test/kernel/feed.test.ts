// Whether what the other tests call a full table is one: every entry that was fed is there, as it was meant.
import { feed } from './feed';
import { Namespace, run } from './helpers';

let namespace: Namespace;

beforeAll(() => {
  run('modprobe', 'ip_vs_pe_sip');
});
beforeEach(() => {
  namespace = new Namespace();
});
afterEach(() => {
  namespace.delete();
});

/** Lines of the table without the seconds, which count down. */
function table(): string[] {
  const [, ...lines] = namespace.run('cat', '/proc/net/ip_vs_conn').trimEnd().split('\n');
  return lines.map((line) => line.replace(/ +\d+(?= sip|$)/, '')).sort();
}

test('entries of every kind are as they were asked for', () => {
  const made = feed(
    namespace,
    {
      count: 3,
      client: '10.0.0.255:65534',
      services: ['192.0.2.1:80', '192.0.2.1:443'],
      destinations: ['198.51.100.1:8080', '198.51.100.2:8081'],
      states: [1, 4, 7],
    },
    {
      count: 1,
      client: '[2001:db8::ff]:1024',
      services: ['[2001:db8:1::1]:53'],
      destinations: ['[2001:db8:2::1]:5353'],
      protocol: 'udp',
      states: [0],
    },
    {
      count: 1,
      client: '10.1.0.1:1024',
      services: ['192.0.2.1:3868'],
      destinations: ['198.51.100.1:3868'],
      protocol: 'sctp',
      states: [8],
    },
    {
      count: 1,
      client: '10.2.0.0:0',
      services: ['192.0.2.1:5060'],
      destinations: ['198.51.100.1:5060'],
      protocol: 'udp',
      template: true,
      engine: { name: 'sip', data: 'a84b4c76e66710@example.com' },
    },
  );
  expect(made).toBe(6);
  expect(table()).toEqual([
    'SCTP 0A010001 0400 C0000201 0F1C C6336401 0F1C ESTABLISHED',
    'TCP 0A0000FF FFFE C0000201 0050 C6336401 1F90 ESTABLISHED',
    'TCP 0A000100 FFFF C0000201 01BB C6336401 1F90 FIN_WAIT',
    'TCP 0A000101 FFFE C0000201 0050 C6336402 1F91 CLOSE_WAIT',
    'UDP 0A020000 0000 C0000201 13C4 C6336401 13C4 ASSURED sip a84b4c76e66710@example.com',
    'UDP 2001:0db8:0000:0000:0000:0000:0000:00ff 0400 2001:0db8:0001:0000:0000:0000:0000:0001 0035 2001:0db8:0002:0000:0000:0000:0000:0001 14E9 UDP',
  ]);
});

test('20 000 are 20 000 different ones, and belong to the destinations that there are', () => {
  const client = namespace.openSync();
  client.addService({ protocol: 'tcp', address: '192.0.2.1', port: 80 });
  for (const address of ['198.51.100.1', '198.51.100.2']) {
    client.addDestination('tcp://192.0.2.1:80', { address, port: 8080 });
  }
  const made = feed(namespace, {
    count: 20_000,
    client: '10.0.0.1:1024',
    services: ['192.0.2.1:80'],
    destinations: ['198.51.100.1:8080', '198.51.100.2:8080'],
  });
  expect(made).toBe(20_000);
  const clients = "awk 'NR > 1 { print $2, $3 }' /proc/net/ip_vs_conn | sort -u | wc -l";
  expect(Number(namespace.run('sh', '-c', clients))).toBe(20_000);
  const counts = client.destinations('tcp://192.0.2.1:80').map((row) => row.activeConnections);
  expect(counts).toEqual([10_000, 10_000]);
  expect(client.daemons()).toEqual([]);
  client.close();
});
