// The connection table, read and counted. What is in it another director tells the real kernel; the one in memory is just
// told.
import type { Connection, ConnectionFilter } from '../../lib/connections';
import type { Ipvs } from '../../lib/client';
import { IpvsError } from '../../lib/errors';
import { failureOf, WEB, type Here, type Place } from './kit';

const end = (address: string, port: number): Connection['client'] => ({ address, port });

/** One of each shape that both kernels can be told of. */
const ROWS: readonly Connection[] = [
  {
    protocol: 'tcp',
    client: end('10.9.0.1', 50001),
    virtual: end('10.0.0.1', 80),
    destination: end('192.0.2.1', 8080),
    state: 'ESTABLISHED',
    expires: 3600,
  },
  {
    protocol: 'tcp',
    client: end('10.9.0.1', 50002),
    virtual: end('10.0.0.1', 80),
    destination: end('192.0.2.2', 8080),
    state: 'FIN_WAIT',
    expires: 3600,
  },
  {
    protocol: 'tcp',
    client: end('10.9.1.1', 50001),
    virtual: end('10.0.0.1', 443),
    destination: end('192.0.2.1', 8080),
    state: 'ESTABLISHED',
    expires: 3600,
  },
  {
    protocol: 'tcp',
    client: end('2001:db8:9::1', 50001),
    virtual: end('2001:db8::1', 80),
    destination: end('2001:db8::a', 8080),
    state: 'ESTABLISHED',
    expires: 3600,
  },
  {
    protocol: 'udp',
    client: end('10.9.0.1', 53),
    virtual: end('10.0.0.1', 53),
    destination: end('192.0.2.1', 53),
    state: 'UDP',
    expires: 3600,
  },
  {
    protocol: 'sctp',
    client: end('10.9.0.2', 3868),
    virtual: end('10.0.0.1', 132),
    destination: end('192.0.2.1', 132),
    state: 'ESTABLISHED',
    expires: 3600,
  },
  {
    protocol: 'udp',
    client: end('10.9.0.0', 0),
    virtual: end('10.0.0.1', 5060),
    destination: end('192.0.2.1', 5060),
    state: 'ASSURED',
    expires: 3600,
    engine: { name: 'sip', data: 'a84b4c76e66710@pc33.example.com' },
  },
  {
    protocol: 'ip',
    client: end('10.9.0.0', 0),
    virtual: end('0.0.0.7', 0),
    destination: end('192.0.2.2', 0),
    state: 'ASSURED',
    expires: 3600,
  },
];

/** The numbers in ROWS that a filter keeps. */
const FILTERS: readonly (readonly [filter: ConnectionFilter, rows: readonly number[]])[] = [
  [{}, [0, 1, 2, 3, 4, 5, 6, 7]],
  [{ protocol: 'tcp' }, [0, 1, 2, 3]],
  [{ protocol: 'udp', template: false }, [4]],
  [{ service: 'tcp://10.0.0.1:80' }, [0, 1]],
  [{ service: { protocol: 'tcp', address: '10.0.0.1', port: 0 } }, [0, 1, 2]],
  [{ service: 'tcp://[2001:db8::1]:80' }, [3]],
  [{ service: 'fwmark:7' }, [7]],
  [{ service: 'tcp://203.0.113.9:80' }, []],
  [{ service: 'fwmark6:7' }, []],
  [{ destination: '192.0.2.1' }, [0, 2, 4, 5, 6]],
  [{ destination: '192.0.2.1:8080' }, [0, 2]],
  [{ destination: '[2001:db8::a]:8080' }, [3]],
  [{ client: '10.9.0.1' }, [0, 1, 4]],
  [{ client: '10.9.0.0/24' }, [0, 1, 4, 5, 6, 7]],
  [{ client: '10.9.0.0/31' }, [0, 1, 4, 6, 7]],
  [{ client: '2001:db8::/32' }, [3]],
  [{ client: '0.0.0.0/0' }, [0, 1, 2, 4, 5, 6, 7]],
  [{ state: 'ESTABLISHED' }, [0, 2, 3, 5]],
  [{ state: 'ESTABLISHED', client: '10.9.0.0/16', protocol: 'tcp' }, [0, 2]],
  [{ state: 'NO_SUCH_STATE' }, []],
  [{ template: true }, [6, 7]],
];

const BAD_FILTERS: readonly (readonly [name: string, filter: unknown, words: RegExp])[] = [
  ['text', 'tcp', /filter: "tcp" is not an object/],
  ['null', null, /filter: null is not an object/],
  ['an array', [WEB], /filter: an array/],
  ['another name', { clients: '10.0.0.1' }, /clients/],
  ['another protocol', { protocol: 'icmp' }, /protocol: "icmp" is no protocol of IPVS/],
  ['half a service', { service: { protocol: 'tcp' } }, /address: undefined/],
  ['a service that is none', { service: 'tcp://10.0.0.1' }, /service: "tcp:\/\/10.0.0.1"/],
  ['a destination by name', { destination: 'localhost:80' }, /host names are not looked up/],
  ['a destination by number', { destination: 8080 }, /destination: 8080 is not text/],
  ['a port too large', { destination: '192.0.2.1:65536' }, /65536/],
  ['no address', { client: '' }, /client: ""/],
  ['a prefix too long', { client: '10.0.0.0/33' }, /"33" is no length of a prefix: use .* 0 to 32/],
  ['a prefix too long', { client: '2001:db8::/129' }, /use a whole number from 0 to 128/],
  ['a negative prefix', { client: '10.0.0.0/-1' }, /"-1" is no length of a prefix/],
  ['no prefix', { client: '10.0.0.0/' }, /"" is no length of a prefix/],
  ['a prefix with a zero', { client: '10.0.0.0/08' }, /"08" is no length of a prefix/],
  ['a prefix as a mask', { client: '10.0.0.0/255.0.0.0' }, /is no length of a prefix/],
  ['two prefixes', { client: '10.0.0.0/8/8' }, /"8\/8" is no length of a prefix/],
  ['bits beyond the prefix', { client: '10.0.0.1/8' }, /has bits set beyond its prefix/],
  ['a state in small letters', { state: 'established' }, /write it as the kernel does/],
  ['a state by number', { state: 1 }, /state: 1 is no state/],
  ['a template that is a word', { template: 'yes' }, /template: "yes" is neither true nor false/],
];

const BAD_OPTIONS: readonly (readonly [name: string, options: unknown, words: RegExp])[] = [
  ['text', 'conntrack', /options: "conntrack" is not an object/],
  ['another name', { from: 'conntrack' }, /from/],
  ['another source', { source: 'proc' }, /use 'ip_vs', 'conntrack' or 'auto'/],
  ['a signal that is none', { signal: {} }, /is no AbortSignal/],
  ['an origin that is a word', { origin: 'sync' }, /origin: "sync" is neither true nor false/],
];

export function connections({ make }: Here): void {
  let place: Place;
  let client: Ipvs;
  // Entries stay for as long as they like: the tests here only read.
  beforeAll(async () => {
    place = await make();
    client = place.client;
    await place.connect(ROWS);
  });
  afterAll(() => place.release());

  /** In an order of our own, and without the seconds, which pass in one of the kernels. */
  const plain = (rows: Iterable<Connection>): string[] =>
    Array.from(rows, ({ protocol, client: from, virtual, destination, state, engine }) =>
      JSON.stringify([protocol, from, virtual, destination, state, engine]),
    ).sort();

  test('has every shape of row', async () => {
    const table = await client.connections();
    expect(table.source).toBe('ip_vs');
    expect(table).toHaveLength(ROWS.length);
    expect(plain(table)).toEqual(plain(ROWS));
    for (const { expires } of table) {
      expect(expires).toBeGreaterThan(3000);
      expect(expires).toBeLessThanOrEqual(3600);
    }
  });

  test('gives one row at a time, from either end', async () => {
    const table = await client.connections();
    const rows = [...table];
    rows.forEach((row, i) => {
      expect(table.at(i)).toEqual(row);
      expect(table.at(i - rows.length)).toEqual(row);
    });
    expect(table.at(rows.length)).toBeUndefined();
    expect(table.at(-rows.length - 1)).toBeUndefined();
  });

  test('has a value for each row in each column', async () => {
    const { columns, states } = await client.connections();
    const { clientAddress, virtualAddress, destinationAddress, origin, ...rest } = columns;
    for (const column of [clientAddress, virtualAddress, destinationAddress]) {
      expect(column).toHaveLength(16 * ROWS.length);
    }
    for (const column of Object.values(rest)) expect(column).toHaveLength(ROWS.length);
    expect(origin).toHaveLength(0);
    for (const state of columns.state) expect(states[state]).toMatch(/^[A-Z_]+$/);
  });

  test.each(FILTERS)('keeps what %j says', async (filter, rows) => {
    const kept = rows.map((row) => ROWS[row] as Connection);
    expect(plain(await client.connections(filter))).toEqual(plain(kept));
  });

  test('counts, most first', async () => {
    const table = await client.connections({ template: false });
    expect([...table.countBy('destination')][0]).toEqual(['192.0.2.1:8080', 2]);
    expect(Object.fromEntries(table.countBy('state'))).toEqual({
      ESTABLISHED: 4,
      FIN_WAIT: 1,
      UDP: 1,
    });
    expect(table.countBy(['protocol', 'state']).get('tcp ESTABLISHED')).toBe(3);
    expect(table.countBy('service').get('tcp://[2001:db8::1]:80')).toBe(1);
    expect(table.top('client', 1)).toEqual([{ key: '10.9.0.1', count: 3 }]);
    expect(table.top('client', 0)).toEqual([]);
  });

  test('tells who made an entry when that is asked for, and no engine then', async () => {
    const table = await client.connections({}, { origin: true });
    expect(table.columns.origin).toHaveLength(ROWS.length);
    for (const row of table) {
      expect(['local', 'sync']).toContain(row.origin);
      expect(row.engine).toBeUndefined();
    }
  });

  test("has nothing of netfilter's where the setting is off; 'auto' does without", async () => {
    const error = await failureOf(client.connections({}, { source: 'conntrack' }));
    expect(error).toMatchObject({ code: 'EOPNOTSUPP', operation: 'connections' });
    expect((error as Error).message).toContain('net.ipv4.vs.conntrack is 0 here');
    const table = await client.connections({}, { source: 'auto' });
    expect([table.source, table.length]).toEqual(['ip_vs', ROWS.length]);
  });

  describe('refuses', () => {
    const invalid = async (filter: unknown, options: unknown, words: RegExp): Promise<void> => {
      const error = await failureOf(client.connections(filter as never, options as never));
      expect(error).toBeInstanceOf(IpvsError);
      expect(error).toMatchObject({ code: 'ERR_IPVS_INVALID', operation: 'connections' });
      expect((error as Error).message).toMatch(/^connections: /);
      expect((error as Error).message).toMatch(words);
    };
    test.each(BAD_FILTERS)('%s as a filter: %j', (_name, filter, words) =>
      invalid(filter, undefined, words),
    );
    test.each(BAD_OPTIONS)('%s as options: %j', (_name, options, words) =>
      invalid({}, options, words),
    );
  });

  test('is not read when the signal came before, nor by a client that is closed', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    expect(await failureOf(client.connections({}, { signal }))).toMatchObject({
      code: 'ABORT_ERR',
      operation: 'connections',
      cause: signal.reason as unknown,
    });
    const other = await place.open();
    await other.close();
    expect(await failureOf(other.connections())).toMatchObject({ code: 'ERR_IPVS_CLOSED' });
  });
}
