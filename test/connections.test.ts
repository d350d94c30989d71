// Tables and filters, on the kernel in memory: what is counted and kept is what decoding every row would give.
import fc from 'fast-check';
import { BlockList, isIPv6 } from 'node:net';
import type { Connection, ConnectionFilter, ConnectionKey, IpvsSync } from '../lib';
import { joinHostPort } from '../lib/address';
import { IpvsError } from '../lib/errors';
import { MemoryKernel } from '../lib/memory';

// Few of each, so that rows meet; an IPv4 and an IPv6 address with the same bytes among them.
const addresses4 = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.1.255', '192.0.2.10');
const addresses6 = fc.constantFrom('2001:db8::1', '2001:db8:0:8000::', 'a00:1::', '::');
const ports = fc.constantFrom(0, 53, 80, 65535);
const ends = (address: fc.Arbitrary<string>): fc.Arbitrary<Connection['client']> =>
  fc.record({ address, port: ports });

const anyConnection: fc.Arbitrary<Connection> = fc
  .constantFrom(addresses4, addresses6)
  .chain((family) =>
    fc.record(
      {
        protocol: fc.constantFrom('tcp', 'udp', 'sctp', 'ip', 'icmp', 'icmpv6', 'ip-47'),
        client: ends(family),
        virtual: ends(family),
        destination: ends(fc.oneof(addresses4, addresses6)),
        state: fc.constantFrom(
          'ESTABLISHED',
          'NONE',
          'UDP',
          'C-REPLIED',
          'ERR!',
          'QUITE_A_NEW_ONE',
        ),
        expires: fc.nat(2 ** 32 - 1),
        engine: fc.record({
          name: fc.constantFrom('sip', 'fifteen_letters'),
          data: fc.string({ unit: 'grapheme', maxLength: 20 }),
        }),
      },
      { requiredKeys: ['protocol', 'client', 'virtual', 'destination', 'state', 'expires'] },
    ),
  );
const anyTable = fc.array(anyConnection, { maxLength: 40 });

function reading(rows: readonly Connection[]): IpvsSync {
  const kernel = new MemoryKernel();
  kernel.setConnections(rows);
  return kernel.openSync();
}

test('rows come out as they went in, one by one and by the way', () => {
  fc.assert(
    fc.property(anyTable, (rows) => {
      const table = reading(rows).connections();
      expect(table).toHaveLength(rows.length);
      expect([...table]).toEqual(rows);
      rows.forEach((row, i) => {
        expect(table.at(i)).toEqual(row);
        expect(table.at(i - rows.length)).toEqual(row);
      });
      expect(table.at(rows.length)).toBeUndefined();
      expect(table.at(-rows.length - 1)).toBeUndefined();
    }),
  );
});

test('with their origins, and then without their engines', () => {
  fc.assert(
    fc.property(anyTable, fc.constantFrom('local', 'sync'), (plain, origin) => {
      const rows = plain.map((row) => ({ ...row, origin }));
      const client = reading(rows);
      expect([...client.connections({}, { origin: true })]).toEqual(
        rows.map((row) => ({ ...row, engine: undefined })),
      );
      expect([...client.connections()]).toEqual(plain);
    }),
  );
});

function textOf(
  key: ConnectionKey,
  { protocol, virtual, destination, ...row }: Connection,
): string {
  switch (key) {
    case 'protocol':
      return protocol;
    case 'state':
      return row.state;
    case 'client':
      return row.client.address;
    case 'destination':
      return joinHostPort(destination.address, destination.port);
    case 'service': {
      if (protocol !== 'ip') return `${protocol}://${joinHostPort(virtual.address, virtual.port)}`;
      // The mark is the first four bytes.
      const six = isIPv6(virtual.address);
      const bytes = six
        ? virtual.address.split(':').slice(0, 2)
        : virtual.address.split('.').map(Number);
      const mark = six
        ? bytes.reduce<number>(
            (sum, part) => sum * 65536 + (Number.parseInt(String(part), 16) || 0),
            0,
          )
        : bytes.reduce<number>((sum, part) => sum * 256 + Number(part), 0);
      return `${six ? 'fwmark6' : 'fwmark'}:${mark}`;
    }
  }
}

test('counting is what decoding every row and counting texts would be', () => {
  const key = fc.constantFrom<ConnectionKey>(
    'protocol',
    'state',
    'service',
    'destination',
    'client',
  );
  const keys = fc.oneof(key, fc.uniqueArray(key, { minLength: 1, maxLength: 3 }));
  fc.assert(
    fc.property(anyTable, keys, fc.nat(5), (rows, by, limit) => {
      // Markless templates of one mark share a text, whatever port they claim; the kernel makes none with a port.
      const sane = rows.map((row) =>
        row.protocol === 'ip' ? { ...row, virtual: { ...markOf(row), port: 0 } } : row,
      );
      const table = reading(sane).connections();
      const expected = new Map<string, number>();
      for (const row of sane) {
        const text = [by]
          .flat()
          .map((one) => textOf(one, row))
          .join(' ');
        expected.set(text, (expected.get(text) ?? 0) + 1);
      }
      const counted = table.countBy(by);
      expect(counted).toEqual(expected);
      const counts = [...counted.values()];
      expect(counts).toEqual([...counts].sort((a, b) => b - a));
      const top = [...counted].slice(0, limit).map(([text, count]) => ({ key: text, count }));
      expect(table.top(by, limit)).toEqual(top);
    }),
  );
});

/** A mark where an address would be: nothing after the first four bytes. */
function markOf({ virtual }: Connection): { address: string } {
  return { address: isIPv6(virtual.address) ? 'a00:1::' : virtual.address };
}

test('more groups than there is room for at first', () => {
  const rows = Array.from({ length: 5000 }, (_, i) => ({
    protocol: 'tcp',
    client: { address: `10.0.${(i % 2500) >> 8}.${(i % 2500) & 255}`, port: 1000 },
    virtual: { address: '10.1.0.1', port: 80 },
    destination: { address: '10.2.0.1', port: 80 },
    state: 'ESTABLISHED',
    expires: 1,
  }));
  const counted = reading(rows).connections().countBy('client');
  expect(counted.size).toBe(2500);
  expect(new Set(counted.values())).toEqual(new Set([2]));
});

/** What a filter means, by other means than ours. */
function keeps(filter: ConnectionFilter, row: Connection): boolean {
  const { protocol, service, destination, client, state, template } = filter;
  const served = service === undefined || textOf('service', row) === service;
  const { address, port } = row.destination;
  const ends = [address, joinHostPort(address, port)];
  return (
    (protocol === undefined || row.protocol === protocol) &&
    served &&
    (destination === undefined || ends.includes(destination)) &&
    (client === undefined || inNetwork(row.client.address, client)) &&
    (state === undefined || row.state === state) &&
    (template === undefined || (row.client.port === 0) === template)
  );
}

function inNetwork(address: string, network: string): boolean {
  const [first = '', prefix] = network.split('/');
  const family = isIPv6(first) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(first, Number(prefix ?? (family === 'ipv6' ? 128 : 32)), family);
  return isIPv6(address) === isIPv6(first) && list.check(address, family);
}

test('filters keep what they say', () => {
  const filters: fc.Arbitrary<ConnectionFilter> = fc.record(
    {
      protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
      service: fc.constantFrom('tcp://10.0.0.1:80', 'udp://[2001:db8::1]:53', 'fwmark:167772161'),
      destination: fc.constantFrom('10.0.0.1', '192.0.2.10:80', 'a00:1::', '[2001:db8::1]:0'),
      client: fc.constantFrom(
        '10.0.0.2',
        '10.0.0.0/31',
        '10.0.0.0/23',
        '0.0.0.0/0',
        '::/0',
        '2001:db8::/48',
        '2001:db8::/49',
      ),
      state: fc.constantFrom('NONE', 'ESTABLISHED', 'QUITE_A_NEW_ONE', 'CLOSE'),
      template: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(anyTable, filters, (rows, filter) => {
      const sane = rows.map((row) =>
        row.protocol === 'ip' ? { ...row, virtual: { ...markOf(row), port: 0 } } : row,
      );
      const kept = [...reading(sane).connections(filter)];
      expect(kept).toEqual(sane.filter((row) => keeps(filter, row)));
    }),
    { numRuns: 300 },
  );
});

const row: Connection = {
  protocol: 'tcp',
  client: { address: '10.0.0.1', port: 1000 },
  virtual: { address: '10.1.0.1', port: 80 },
  destination: { address: '10.2.0.1', port: 80 },
  state: 'ESTABLISHED',
  expires: 1,
};

test('a service of port 0 is every port of its address', () => {
  const other = { ...row, virtual: { address: '10.1.0.1', port: 443 } };
  const client = reading([row, other, { ...row, virtual: { address: '10.1.0.2', port: 80 } }]);
  expect([...client.connections({ service: 'tcp://10.1.0.1:0' })]).toEqual([row, other]);
});

test.each([
  [{ protocol: 'icmp' }, /protocol: "icmp"/],
  [{ service: 'http://10.0.0.1:80' }, /service: "http/],
  [{ destination: '10.0.0.300' }, /destination: "10.0.0.300"/],
  [{ destination: '10.0.0.1:99999' }, /99999/],
  [{ destination: 7 }, /destination: 7 is not text/],
  [{ client: '10.0.0.0/33' }, /from 0 to 32/],
  [{ client: '::/129' }, /from 0 to 128/],
  [{ client: '10.0.0.0/' }, /no length of a prefix/],
  [{ client: '10.0.0.0/08' }, /no length of a prefix/],
  [{ client: '10.0.0.1/8' }, /bits set beyond its prefix/],
  [{ client: '2001:db8::1/64' }, /bits set beyond its prefix/],
  [{ client: 'localhost' }, /client: "localhost"/],
  [{ client: null }, /client: null is not text/],
  [{ state: 'established' }, /state: "established" is no state: write it as the kernel does/],
  [{ state: 'SIXTEEN_LETTERS_' }, /is no state/],
  [{ template: 1 }, /template: 1 is neither true nor false/],
  [{ clients: '10.0.0.1' }, /clients: .* did you mean client\?/],
  ['tcp', /filter: "tcp" is not an object/],
  [null, /filter: null is not an object/],
  [[], /filter: an array is not an object/],
])('filter %j is refused', async (filter, words) => {
  const refusal = { code: 'ERR_IPVS_INVALID', operation: 'connections' };
  const kernel = new MemoryKernel();
  const failed = await kernel
    .open()
    .connections(filter as ConnectionFilter)
    .catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(IpvsError);
  expect(failed).toMatchObject(refusal);
  expect((failed as IpvsError).message).toMatch(words);
  expect(() => kernel.openSync().connections(filter as ConnectionFilter)).toThrow(words);
});

test('options are checked, and what cannot be counted is said', () => {
  const client = reading([row]);
  const table = client.connections();
  expect(() => client.connections({}, { sorce: 1 } as object)).toThrow(/sorce: no such setting/);
  expect(() => client.connections({}, { signal: 1 as never })).toThrow(
    /signal: 1 is no AbortSignal/,
  );
  expect(() => client.connections({}, { origin: 1 as never })).toThrow(/origin: 1/);
  expect(() => client.connections({}, null as never)).toThrow(/options: null/);
  expect(() => table.countBy('port' as ConnectionKey)).toThrow(
    /key: "port" .* use protocol, state/,
  );
  expect(() => table.countBy([])).toThrow(/key: an empty array/);
  expect(() => table.top('state', -1)).toThrow(/limit: -1/);
});

test.each([
  [{ ...row, protocol: 'http' }, /protocol: "http"/],
  [{ ...row, virtual: { address: '2001:db8::1', port: 80 } }, /virtual: not of the family/],
  [{ ...row, client: undefined }, /client.address: undefined/],
  [{ ...row, state: 'established' }, /state: "established"/],
  [{ ...row, expires: -1 }, /expires: -1/],
])('a kernel in memory takes no row %j', (wrong, words) => {
  const kernel = new MemoryKernel();
  kernel.setConnections([row]);
  expect(() => {
    kernel.setConnections([row, wrong as Connection]);
  }).toThrow(words);
  expect([...kernel.openSync().connections()]).toEqual([row]);
});

test('signals and closing call it off', async () => {
  const kernel = new MemoryKernel();
  kernel.setConnections([row]);
  const client = kernel.open();
  const reason = new Error('enough');
  const aborted = { code: 'ABORT_ERR', operation: 'connections', cause: reason };
  await expect(client.connections({}, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject(
    aborted,
  );
  const controller = new AbortController();
  const reading = client.connections({}, { signal: controller.signal });
  controller.abort(reason);
  await expect(reading).rejects.toMatchObject(aborted);
  // A signal that comes too late changes nothing.
  const late = new AbortController();
  const table = await client.connections({}, { signal: late.signal });
  late.abort();
  expect([...table]).toEqual([row]);
  const closing = client.connections();
  await client.close();
  await expect(closing).rejects.toMatchObject({ code: 'ERR_IPVS_CLOSED' });
  await expect(client.connections()).rejects.toMatchObject({ code: 'ERR_IPVS_CLOSED' });
});
