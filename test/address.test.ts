import fc from 'fast-check';
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import {
  formatAddress,
  joinHostPort,
  parseAddress,
  parsePort,
  splitHostPort,
  whyNotAddress,
  writeAddress,
} from '../lib/address';

const bytes = new Uint8Array(16);
const isMapped = (text: string): boolean => /^::ffff:/.test(text);

test('an IPv4 address is taken exactly when node:net takes it', () => {
  const nearly = fc.stringMatching(/^[0-9]{1,3}(\.[0-9]{0,3}){2,4}$/);
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), nearly, fc.string()), (text) => {
      expect(writeAddress(text, bytes, 0) === 'ipv4').toBe(isIPv4(text));
    }),
    { numRuns: 2000 },
  );
});

test('an IPv6 address is printed as node:net prints it', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = new SocketAddress({ address: text, family: 'ipv6' }).address;
      // The system prints these two blocks with dots; we take none of the first and print the second in groups.
      fc.pre(!canonical.includes('.'));
      expect(parseAddress(text)).toEqual({ family: 'ipv6', address: canonical });
    }),
    { numRuns: 2000 },
  );
});

test('what is not an IPv6 address for node:net is none here', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9a-f:.]{2,24}$/), (text) => {
      if (parseAddress(text)?.family === 'ipv6') expect(isIPv6(text)).toBe(true);
    }),
    { numRuns: 5000 },
  );
});

test('sixteen bytes survive being printed and read back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (address) => {
      const text = formatAddress(address, 0, 'ipv6');
      fc.pre(!isMapped(text));
      expect(writeAddress(text, bytes, 0)).toBe('ipv6');
      expect(bytes).toEqual(address);
    }),
  );
});

test('writing leaves nothing behind from an earlier address', () => {
  writeAddress('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', bytes, 0);
  writeAddress('10.0.0.1', bytes, 0);
  expect([...bytes]).toEqual([10, 0, 0, 1, ...Array<number>(12).fill(0)]);
});

test.each([
  ['010.0.0.1', /leading zeros/],
  ['10.0.0', /four numbers/],
  ['256.0.0.1', /four numbers/],
  ['1', /four numbers/],
  ['fe80::1%eth0', /zone/],
  ['::ffff:10.0.0.1', /IPv4-mapped.*IPv4 address itself/],
  ['::ffff:a00:1', /IPv4-mapped/],
  ['[2001:db8::1]', /brackets/],
  ['example.org', /host names are not looked up/],
  ['', /not an IP address/],
])('%s is refused, and the reason says what to write', (text, why) => {
  expect(parseAddress(text)).toBeUndefined();
  expect(whyNotAddress(text)).toMatch(why);
});

test.each(['0', '80', '65535'])('port %s is taken', (text) => {
  expect(parsePort(text)).toBe(Number(text));
});

test.each(['-1', '65536', '080', '', ' 80', '8o', '1e3', '0x50', '99999999999'])(
  'port %j is refused',
  (text) => {
    expect(parsePort(text)).toBeUndefined();
  },
);

test('host and port survive being joined and split', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65535), (host, port) => {
      expect(splitHostPort(joinHostPort(host, port))).toEqual({ host, port: String(port) });
    }),
  );
});
