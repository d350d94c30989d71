import fc from 'fast-check';
import { IpvsError } from '../lib/errors';
import { destinationId, destinationKey, serviceId, serviceKey } from '../lib/id';
import type { ServiceKey, ServiceRef } from '../lib/model';
import { anyDestinationKey, anyServiceKey } from './arbitraries';

test('a key survives being printed as an id and read back', () => {
  fc.assert(
    fc.property(anyServiceKey, (key) => {
      const canonical = serviceKey(key);
      expect(serviceKey(serviceId(canonical))).toEqual(canonical);
    }),
  );
  fc.assert(
    fc.property(anyDestinationKey, (key) => {
      const canonical = destinationKey(key);
      expect(destinationKey(destinationId(canonical))).toEqual(canonical);
    }),
  );
});

test('two spellings of one address make one key', () => {
  expect(serviceKey('tcp://[2001:DB8:0:0::1]:80')).toEqual(serviceKey('tcp://[2001:db8::1]:80'));
  expect(serviceId(serviceKey({ protocol: 'tcp', address: '2001:0db8::0001', port: 80 }))).toBe(
    'tcp://[2001:db8::1]:80',
  );
});

test.each<[ServiceRef, ServiceKey]>([
  ['tcp://10.0.0.1:80', { protocol: 'tcp', address: '10.0.0.1', port: 80 }],
  ['udp://[2001:db8::1]:53', { protocol: 'udp', address: '2001:db8::1', port: 53 }],
  ['sctp://10.0.0.1:132', { protocol: 'sctp', address: '10.0.0.1', port: 132 }],
  ['fwmark:7', { fwmark: 7, family: 'ipv4' }],
  ['fwmark6:4294967295', { fwmark: 4294967295, family: 'ipv6' }],
])('%s names a service', (ref, key) => {
  expect(serviceKey(ref)).toEqual(key);
});

test.each([
  ['http://10.0.0.1:80', /name one such as tcp/],
  ['10.0.0.1:80', /name one such as tcp/],
  ['tcp://10.0.0.1', /name one such as tcp/],
  ['tcp://10.0.0.1:65536', /port "65536"/],
  ['tcp://10.0.0.1:-1', /port "-1"/],
  ['tcp://10.0.0.1:080', /port "080"/],
  ['tcp://2001:db8::1:80', /name one such as/],
  ['tcp://[10.0.0.1]:80', /brackets/],
  ['tcp://[fe80::1%eth0]:80', /zone/],
  ['tcp://[::ffff:10.0.0.1]:80', /IPv4-mapped/],
  ['fwmark:0', /from 1 to 4294967295/],
  ['fwmark:4294967296', /from 1 to 4294967295/],
  ['fwmark:0x10', /from 1 to/],
  ['fwmark:7\n', /from 1 to/],
  [undefined, /undefined is no service/],
  [null, /null is no service/],
  [7, /7 is no service/],
  [{}, /protocol: undefined/],
  [{ protocol: 'icmp', address: '10.0.0.1', port: 1 }, /protocol: "icmp".*'tcp', 'udp' or 'sctp'/],
  [{ protocol: 'tcp', address: '10.0.0.1', port: -1 }, /port: -1.*0 to 65535/],
  [{ protocol: 'tcp', address: '10.0.0.1', port: 65536 }, /port: 65536/],
  [{ protocol: 'tcp', address: '10.0.0.1', port: '80' }, /port: "80"/],
  [{ protocol: 'tcp', address: '10.0.0.1', port: 80.5 }, /port: 80.5/],
  [{ protocol: 'tcp', address: '10.0.0.1', port: NaN }, /port: NaN/],
  [{ protocol: 'tcp', address: 167772161, port: 80 }, /address: 167772161 is not text/],
  [{ fwmark: 7 }, /family: undefined/],
  [{ fwmark: 0, family: 'ipv4' }, /fwmark: 0 is out of range/],
  [{ fwmark: 7, family: 'ipv4', port: 80 }, /not both/],
])('%j is refused by name', (ref, why) => {
  const parse = (): unknown => serviceKey(ref as ServiceRef);
  expect(parse).toThrow(IpvsError);
  expect(parse).toThrow(why);
});

test.each([
  ['192.0.2.10', /address:port/],
  ['192.0.2.10:99999', /port "99999"/],
  ['[192.0.2.10]:80', /brackets/],
  ['2001:db8::1:80', /address:port/],
  [null, /null is no destination/],
  [{ address: '192.0.2.10' }, /port: undefined/],
])('%j is no destination, and the error says why', (ref, why) => {
  expect(() => destinationKey(ref as never)).toThrow(why);
});
