import { BlockList } from 'node:net';
import fc from 'fast-check';
import { formatAddress } from '../../lib/address';
import { contains, parseCidr, parseLenient } from '../../lib/kube/cidr';

const family = fc.constantFrom('ipv4' as const, 'ipv6' as const);
const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });

test('a range has the addresses that node:net says it has', () => {
  const flips = fc.tuple(bytes, bytes, family, fc.nat(128), fc.nat(128));
  fc.assert(
    fc.property(flips, ([base, other, which, length, same]) => {
      const bits = which === 'ipv4' ? 32 : 128;
      const prefix = length % (bits + 1);
      // Alike in so many leading bits, so that both answers come up.
      const near = base.map((byte, i) => {
        const mask = (0xff00 >> Math.min(8, Math.max(0, (same % (bits + 1)) - i * 8))) & 0xff;
        return (byte & mask) | ((other[i] ?? 0) & ~mask);
      });
      const [network, address] = [base, near].map((each) => formatAddress(each, 0, which));
      fc.pre(
        parseLenient(network ?? '')?.family === which &&
          parseLenient(address ?? '')?.family === which,
      );
      const list = new BlockList();
      list.addSubnet(network ?? '', prefix, which);
      const cidr = parseCidr(`${network ?? ''}/${prefix}`);
      if (cidr === undefined) throw new Error(`${network ?? ''}/${prefix}`);
      expect(contains(cidr, address ?? '')).toBe(list.check(address ?? '', which));
      expect(contains(cidr, which === 'ipv4' ? '::1' : '10.0.0.1')).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['203.0.113.77/25', '203.0.113.0/25'],
  ['203.0.113.200/25', '203.0.113.128/25'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['2001:DB8:ffff::1/33', '2001:db8:8000::/33'],
  ['010.0.0.1/8', '10.0.0.0/8'],
])('%s is %s', (text, canonical) => {
  expect(parseCidr(text)?.text).toBe(canonical);
});

test.each([
  '10.0.0.0',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0.0/-1',
  '10.0.0.0/',
  '/8',
  '::/129',
  'x/8',
  '1/8',
])('%s is no range', (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

test('addresses are read as Kubernetes reads them', () => {
  expect(parseLenient('::ffff:10.0.0.1')).toEqual({ family: 'ipv4', address: '10.0.0.1' });
  expect(parseLenient('010.001.000.09')).toEqual({ family: 'ipv4', address: '10.1.0.9' });
  expect(parseLenient('fe80::1%eth0')).toBeUndefined();
  expect(parseLenient('1')).toBeUndefined();
});
