// Services, destinations and changes for property tests: everything that the checks let through.
import fc from 'fast-check';
import type { Destination, DestinationKey, Service, ServiceKey } from '../lib/model';

const ipv6 = fc.ipV6().filter((text) => !/^(0*:)*:?ffff:/i.test(text) && !text.includes('.'));

export const anyDestinationKey: fc.Arbitrary<DestinationKey> = fc.record({
  address: fc.oneof(fc.ipV4(), ipv6),
  port: fc.nat(65535),
});

export const anyServiceKey: fc.Arbitrary<ServiceKey> = fc.oneof(
  fc.record({
    protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
    address: fc.oneof(fc.ipV4(), ipv6),
    port: fc.integer({ min: 1, max: 65535 }),
  }),
  fc.record({
    fwmark: fc.integer({ min: 1, max: 0xffffffff }),
    family: fc.constantFrom('ipv4', 'ipv6'),
  }),
);

const timeout = fc.integer({ min: 1, max: 2678400 });

export const anyService: fc.Arbitrary<Service> = anyServiceKey.chain((key) => {
  const bits =
    'fwmark' in key ? (key.family === 'ipv4' ? 32 : 128) : key.address.includes(':') ? 128 : 32;
  return fc
    .record(
      {
        scheduler: fc.constantFrom('rr', 'wrr', 'wlc', 'sh', 'mh'),
        schedulerFlags: fc.uniqueArray(fc.constantFrom('flag-1', 'flag-2', 'flag-3')),
        persistence: fc.record(
          { timeout, prefix: fc.integer({ min: 1, max: bits }), engine: fc.constant('sip') },
          { requiredKeys: ['timeout'] },
        ),
      },
      { requiredKeys: [] },
    )
    .map((settings): Service => ({ ...key, ...settings }));
});

/** A destination that fits the service, whatever the family. */
export function destinationOf(service: ServiceKey): fc.Arbitrary<Destination> {
  const count = fc.integer({ min: 0, max: 2147483647 });
  return fc
    .record({
      address: fc.oneof(fc.ipV4(), ipv6),
      port: fc.nat(65535),
      weight: count,
      thresholds: fc.tuple(count, count),
      tunnel: fc.oneof(
        fc.constant({ type: 'ipip' as const }),
        fc.record({ type: fc.constant('gre' as const), checksum: fc.boolean() }),
        fc.record({
          type: fc.constant('gue' as const),
          port: fc.integer({ min: 1, max: 65535 }),
          checksum: fc.constantFrom(true, false, 'remote' as const),
        }),
      ),
    })
    .map(({ address, port, weight, thresholds, tunnel }) => ({
      address,
      port: 'port' in service ? service.port : port,
      weight,
      upperThreshold: Math.max(...thresholds),
      lowerThreshold: Math.min(...thresholds),
      forward: 'tunnel' as const,
      tunnel,
    }));
}
