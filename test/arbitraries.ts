// Services, destinations and changes for property tests: everything that the checks let through.
import fc from 'fast-check';
import { familyOf } from '../lib/id';
import type { Destination, DestinationKey, Service, ServiceKey, VirtualServer } from '../lib/model';

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

/** Few enough services and destinations that two states have much in common. */
const STATE_KEYS: readonly ServiceKey[] = [
  { protocol: 'tcp', address: '10.0.0.1', port: 80 },
  { protocol: 'tcp', address: '10.0.0.1', port: 0 },
  { protocol: 'udp', address: '10.0.0.1', port: 80 },
  { protocol: 'sctp', address: '2001:db8::1', port: 80 },
  { fwmark: 1, family: 'ipv4' },
  { fwmark: 1, family: 'ipv6' },
];
const STATE_HOSTS = {
  ipv4: ['192.0.2.1', '192.0.2.2', '192.0.2.10', '127.0.0.1'],
  ipv6: ['2001:db8::a', '2001:db8::b', '2001:db8::1:0', '::1'],
} as const;

/** A whole table that a kernel takes: some services, each with some destinations. */
export const anyState: fc.Arbitrary<readonly VirtualServer[]> = fc
  .tuple(...STATE_KEYS.map((key) => fc.option(stateServer(key), { nil: undefined, freq: 3 })))
  .chain((servers) => {
    const there = servers.filter((server) => server !== undefined);
    return fc.shuffledSubarray(there, { minLength: there.length });
  });

function stateServer(key: ServiceKey): fc.Arbitrary<VirtualServer> {
  const family = familyOf(key);
  const everyPort = 'port' in key && key.port === 0;
  const settings = fc.record(
    {
      scheduler: fc.constantFrom('rr', 'wlc', 'sh', 'mh'),
      schedulerFlags: fc.subarray(['flag-1', 'flag-2', 'flag-3'] as const),
      persistence: fc.record(
        {
          timeout: fc.constantFrom(1, 300, 2678400),
          prefix: fc.constantFrom(1, 24, family === 'ipv4' ? 32 : 128),
          engine: fc.constant('sip'),
        },
        { requiredKeys: ['timeout'] },
      ),
      ...('protocol' in key && key.protocol !== 'udp' ? {} : { onePacket: fc.boolean() }),
    },
    { requiredKeys: everyPort ? ['persistence'] : [] },
  );
  const hosts = [...STATE_HOSTS[family], ...STATE_HOSTS[family === 'ipv4' ? 'ipv6' : 'ipv4']];
  const destinations = fc
    .tuple(
      ...hosts.map((address) =>
        fc.option(stateDestination(key, address), { nil: undefined, freq: 2 }),
      ),
    )
    .chain((all) => {
      const there = all.filter((one) => one !== undefined);
      return fc.shuffledSubarray(there, { minLength: there.length });
    });
  return fc
    .tuple(settings, destinations)
    .map(([set, list]): VirtualServer => ({ ...key, ...set, destinations: list }));
}

function stateDestination(service: ServiceKey, address: string): fc.Arbitrary<Destination> {
  const port = 'port' in service ? service.port : 80;
  const tunnel = fc.constantFrom<object>(
    {},
    { tunnel: { type: 'ipip' } },
    { tunnel: { type: 'gue', port: 6080 } },
    { tunnel: { type: 'gue', port: 1, checksum: 'remote' } },
    { tunnel: { type: 'gre', checksum: true } },
  );
  const tunnelled = tunnel.map((settings): object => ({ port, forward: 'tunnel', ...settings }));
  const same = (familyOf(service) === 'ipv6') === address.includes(':');
  const method = same
    ? fc.oneof(
        fc.constantFrom<object>(
          { port },
          { port, forward: 'masq' },
          { port, forward: 'route' },
          { port: 8080 },
        ),
        tunnelled,
      )
    : tunnelled;
  const rest = fc.record(
    {
      weight: fc.constantFrom(0, 0, 1, 7, 2147483647),
      thresholds: fc.constantFrom(
        { upperThreshold: 100 },
        { upperThreshold: 100, lowerThreshold: 80 },
        { upperThreshold: 1, lowerThreshold: 1 },
      ),
    },
    { requiredKeys: [] },
  );
  return fc.tuple(method, rest).map(([how, { thresholds, ...weight }]) => ({
    address,
    ...(how as { port: number }),
    ...weight,
    ...thresholds,
  }));
}
