// Entries that only packets from another host can make: of calls that a persistence engine follows, and of services whose
// destinations are of the other family. Row for row what the kernel and ipvsadm say of them.
import path from 'node:path';
import type { Connection, Ipvs } from '../../lib';
import { Namespace, run } from './helpers';
import { expectSame, ipvsadmLine, ipvsadmLines, rawRows } from './traffic';

jest.setTimeout(60_000);

const PROGRAM = path.join(__dirname, 'programs/datagrams.pl');
const CLIENTS = ['10.0.0.101', '10.0.0.102', '2001:db8::101'];

let director: Namespace;
let hosts: Namespace;
let client: Ipvs;

// One cable: clients at its other end, and servers behind them.
beforeAll(async () => {
  for (const module of ['ip_vs_pe_sip', 'ipip', 'ip6_tunnel', 'ipv6']) run('modprobe', module);
  director = new Namespace();
  hosts = new Namespace();
  director.ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v0', 'netns', hosts.name);
  for (const [namespace, addresses] of [
    [director, ['10.0.0.1', '2001:db8::1']],
    [hosts, CLIENTS],
  ] as const) {
    for (const address of addresses) {
      if (address.includes(':')) namespace.ip('addr', 'add', `${address}/64`, 'dev', 'v0', 'nodad');
      else namespace.ip('addr', 'add', `${address}/24`, 'dev', 'v0');
    }
    namespace.ip('link', 'set', 'v0', 'up');
  }
  director.ip('route', 'add', '198.51.100.0/24', 'via', '10.0.0.101');
  director.ip('-6', 'route', 'add', '2001:db8:2::/64', 'via', '2001:db8::101');
  client = await director.open();
});
afterAll(async () => {
  await client.close();
  director.delete();
  hosts.delete();
});
afterEach(() => client.flush());

interface Packet {
  readonly from: string;
  readonly port: number;
  readonly to: string;
  readonly service: number;
  readonly text: string;
}

function send(...packets: readonly Packet[]): void {
  const words = packets.flatMap(({ from, port, to, service, text }) => {
    return [from, String(port), to, String(service), text];
  });
  hosts.run('perl', PROGRAM, ...words);
}

/** The rows of one service, after everybody told the same of all of them. */
async function rowsOf(service: `udp://${string}`): Promise<Connection[]> {
  const rows = [...(await client.connections())];
  expectSame(rows, rawRows(director));
  expect(rows.map(ipvsadmLine)).toEqual(ipvsadmLines(director));
  return [...(await client.connections({ service }))];
}

/** A call as telephones begin it. */
function invite(callId: string, from: string): string {
  return [
    'INVITE sip:bob@example.com SIP/2.0',
    `Via: SIP/2.0/UDP ${from}:5060;branch=z9hG4bK776asdhds`,
    'From: Alice <sip:alice@example.com>;tag=1928301774',
    'To: Bob <sip:bob@example.com>',
    `Call-ID: ${callId}`,
    'CSeq: 314159 INVITE',
    'Max-Forwards: 70',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

describe('persistence by the Call-ID of SIP', () => {
  const CALL = 'a84b4c76e66710@pc33.example.com';
  const OTHER = '3848276298220188511@10.0.0.101';
  /** Two messages of one call, and then one of another, each from a port of its own. */
  const calls = (service: number): Packet[] =>
    [CALL, CALL, OTHER].map((call, i) => ({
      from: '10.0.0.101',
      port: 5060 + i,
      to: '10.0.0.1',
      service,
      text: invite(call, '10.0.0.101'),
    }));

  async function serve(port: number, onePacket: boolean): Promise<void> {
    const key = { protocol: 'udp', address: '10.0.0.1', port } as const;
    const persistence = { timeout: 300, engine: 'sip' };
    await client.addService({ ...key, scheduler: 'rr', persistence, onePacket });
    for (const last of [11, 12]) {
      await client.addDestination(key, { address: `198.51.100.${last}`, port });
    }
  }
  const engineOf = ({ engine }: Connection): string => `${engine?.name} ${engine?.data}`;

  test('each call has a template, and its packets go where that says', async () => {
    await serve(5061, false);
    send(...calls(5061));
    const rows = await rowsOf('udp://10.0.0.1:5061');
    const templates = rows.filter(({ client: { port } }) => port === 0);
    expect(templates.map(engineOf).sort()).toEqual([`sip ${OTHER}`, `sip ${CALL}`]);
    const destinationOf = (call: string): unknown =>
      templates.find(({ engine }) => engine?.data === call)?.destination;
    expect(destinationOf(CALL)).not.toEqual(destinationOf(OTHER));
    const connections = rows
      .filter(({ client: { port } }) => port !== 0)
      .sort((one, other) => one.client.port - other.client.port);
    // Taking turns, the second would have gone elsewhere.
    expect(connections.map(({ destination }) => destination)).toEqual(
      [CALL, CALL, OTHER].map(destinationOf),
    );
  });

  test('scheduled packet by packet, templates are all that is left', async () => {
    await serve(5060, true);
    send(...calls(5060));
    const rows = await rowsOf('udp://10.0.0.1:5060');
    expect(rows.map(({ client: { port } }) => port)).toEqual([0, 0]);
    expect(rows.map(engineOf).sort()).toEqual([`sip ${OTHER}`, `sip ${CALL}`]);
  });
});

describe('a destination of the other family, through a tunnel', () => {
  test.each([
    ['IPv4 behind IPv6', '2001:db8::101', '2001:db8::1', '198.51.100.21'],
    ['IPv6 behind IPv4', '10.0.0.101', '10.0.0.1', '2001:db8:2::21'],
  ])('%s', async (_name, from, to, destination) => {
    const key = { protocol: 'udp', address: to, port: 53 } as const;
    const service = `udp://${to.includes(':') ? `[${to}]` : to}:53` as const;
    await client.addService(key);
    await client.addDestination(key, { address: destination, port: 53, forward: 'tunnel' });
    send(...[1024, 1025].map((port) => ({ from, port, to, service: 53, text: 'x' })));
    const rows = await rowsOf(service);
    rows.sort((one, other) => one.client.port - other.client.port);
    expect(rows).toMatchObject(
      [1024, 1025].map((port) => ({
        client: { address: from, port },
        virtual: { address: to, port: 53 },
        destination: { address: destination, port: 53 },
        state: 'UDP',
      })),
    );
    const filtered = await client.connections({ destination });
    expect(filtered).toHaveLength(2);
    expect(filtered.countBy('destination').size).toBe(1);
  });
});
