// What is plain is checked by looking alone, everything else the long way. Both must find the same, and say the same.
import fc from 'fast-check';
import { IpvsError } from '../lib/errors';
import { toServiceKey } from '../lib/id';
import type { VirtualServer } from '../lib/model';
import { plan } from '../lib/plan';
import { canonicalFamily } from '../lib/plain';
import { areDistinct } from '../lib/plan/there';
import { parseAddress } from '../lib/address';
import { checkedDestination, toFullDestination } from '../lib/settings';
import { looseDestination, looseService } from './loose';

const RUNS = { numRuns: 5_000 };

function attempt<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    return (error as Error).message;
  }
}

test('a destination is taken, or refused, as the long way does it', () => {
  let taken = 0;
  const service = fc.constantFrom('tcp://10.0.0.1:80', 'udp://[2001:db8::1]:8080', 'fwmark:7');
  fc.assert(
    fc.property(service, looseDestination, (id, destination) => {
      const key = toServiceKey(id);
      const found = attempt(() => toFullDestination(key, destination));
      expect(found).toStrictEqual(attempt(() => checkedDestination(key, destination)));
      if (typeof found !== 'string') taken++;
    }),
    RUNS,
  );
  expect(taken).toBeGreaterThan(500);
});

/** One that nobody wants: with it there, nothing is found by looking alone. */
const MORE = { address: '198.51.100.99', port: 9 } as const;

const WEB = { protocol: 'tcp', address: '10.0.0.1', port: 80, scheduler: 'rr' } as const;

/** What a plan for one service does, without what it says of MORE. */
function changesOf(wanted: unknown, found: unknown): unknown {
  return attempt(() => {
    const { changes } = plan([wanted as VirtualServer], [found as VirtualServer], {});
    return changes.filter(
      (change) => !('destination' in change && change.destination.address === MORE.address),
    );
  });
}

/** A destination as the kernel tells of it, or nearly so. */
const told = (destination: object): object => ({
  forward: 'masq',
  weight: 1,
  upperThreshold: 0,
  lowerThreshold: 0,
  ...destination,
  activeConnections: 1,
});
const order = fc.constantFrom<(there: object[]) => object[]>(
  (there) => there,
  (there) => there.map(told),
  (there) => there.map(told).reverse(),
  (there) => there.map((one, i) => (i === 0 ? told(one) : { ...told(one), weight: 2 })),
  (there) => there.map((one) => told({ ...one, tunnel: { type: 'ipip' } })),
  (there) => there.map((one) => told({ ...one, tunnel: { type: 'gre', checksum: false } })),
  (there) => [...there.slice(1), ...there.slice(0, 1)],
);
const tidyDestination = fc.record(
  {
    address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.10', '10.0.1.1', '2001:db8::1'),
    port: fc.constantFrom(80, 8080),
    weight: fc.constantFrom(0, 1),
    forward: fc.constantFrom('masq', 'masq', 'route', 'tunnel'),
    upperThreshold: fc.constantFrom(0, 9),
    lowerThreshold: fc.constantFrom(0, 0, 0, 5),
  },
  { requiredKeys: ['address', 'port'] },
);
const tidy = fc.uniqueArray(tidyDestination, { maxLength: 4, selector: ({ address }) => address });
const pool = fc.oneof(
  { weight: 2, arbitrary: tidy },
  { weight: 1, arbitrary: fc.array(fc.oneof(tidyDestination, looseDestination), { maxLength: 4 }) },
);

test('what is found unchanged by looking alone is what the long way finds so', () => {
  let [quiet, refused] = [0, 0];
  fc.assert(
    fc.property(
      fc.oneof(fc.constant(WEB), looseService),
      pool,
      order,
      (service, wanted, arranged) => {
        const there = arranged(wanted);
        const found = changesOf(
          { ...service, destinations: wanted },
          { ...service, destinations: there },
        );
        const expected = changesOf(
          { ...service, destinations: wanted },
          { ...service, destinations: [...there, MORE] },
        );
        expect(found).toStrictEqual(expected);
        if (typeof found === 'string') refused++;
        else if ((found as unknown[]).length === 0 && wanted.length > 0) quiet++;
      },
    ),
    RUNS,
  );
  expect(quiet).toBeGreaterThan(300);
  expect(refused).toBeGreaterThan(300);
});

test('one that is wanted twice is refused, though it is there twice', () => {
  const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
  const addresses = ['10.1.0.1', '10.1.0.2', '10.1.0.1'];
  const destinations = addresses.map((address) => ({ address, port: 8080 }));
  const servers = [{ ...service, destinations }];
  expect(() => plan(servers, servers)).toThrow(IpvsError);
  expect(() => plan(servers, servers)).toThrow(/10\.1\.0\.1:8080: wanted twice/);
});

test('texts are distinct when no two are the same, in whatever order', () => {
  const text = fc.string({ unit: fc.constantFrom('1', '2', '.'), maxLength: 3 });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 6 }), (texts) => {
      expect(areDistinct(texts)).toBe(new Set(texts).size === texts.length);
    }),
    RUNS,
  );
});

test('an address has a family here when it is its own canonical text', () => {
  const text = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.ipV6().map((one) => parseAddress(one)?.address ?? one),
    fc.constantFrom('2001:DB8::1', '2001:db8:0::1', '::ffff:1.2.3.4', '10.0.0.01', '::', ''),
  );
  fc.assert(
    fc.property(text, (address) => {
      const parsed = parseAddress(address);
      const family = parsed?.address === address ? parsed.family : undefined;
      expect(canonicalFamily(address)).toBe(family);
    }),
    RUNS,
  );
});
