// Services and destinations as a caller may give them: mostly right, often plain, now and then wrong in any way.
import fc from 'fast-check';

const odd = fc.constantFrom<unknown>(
  undefined,
  null,
  -1,
  -0,
  0.5,
  NaN,
  65536,
  2 ** 31,
  '80',
  [],
  {},
);
const mostly = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: odd });
const address = mostly(
  fc.constantFrom(
    '10.0.0.1',
    '10.0.0.2',
    '2001:db8::1',
    '2001:DB8:0::1',
    '10.0.0.3',
    '10.0.0.01',
    '::ffff:1.2.3.4',
  ),
);
const port = mostly(fc.constantFrom(0, 80, 8080, 65535));
const count = mostly(fc.constantFrom(0, 1, 2147483647));
/** The plain fields, and now and then others. */
function withOthers(
  plain: fc.Arbitrary<object>,
  others: Record<string, fc.Arbitrary<unknown>>,
): fc.Arbitrary<object> {
  const few = fc.record(others, { requiredKeys: [] });
  return fc.oneof(
    { weight: 4, arbitrary: plain },
    { weight: 1, arbitrary: fc.tuple(plain, few).map(([one, more]) => ({ ...one, ...more })) },
  );
}
export const looseService = withOthers(
  fc.record(
    {
      protocol: mostly(fc.constantFrom('tcp', 'udp', 'sctp')),
      address,
      port,
      scheduler: mostly(fc.constantFrom('rr', 'wlc', 'ftp')),
    },
    { requiredKeys: ['protocol', 'address', 'port'] },
  ),
  {
    onePacket: fc.boolean(),
    persistence: fc.constantFrom({ timeout: 300 }, { timeout: 0 }),
    family: fc.constantFrom('ipv4', 'ipv6'),
    fwmark: fc.constantFrom(7, undefined),
    stats: fc.constant({}),
    sheduler: fc.constantFrom('rr', undefined),
  },
);
export const looseDestination = withOthers(
  fc.record(
    {
      address,
      port,
      forward: mostly(fc.constantFrom('masq', 'route', 'tunnel', 'local')),
      weight: count,
    },
    { requiredKeys: ['address', 'port'] },
  ),
  {
    upperThreshold: count,
    lowerThreshold: count,
    tunnel: fc.constantFrom({ type: 'ipip' }, { type: 'gre', checksum: true }, undefined),
    stats: fc.constant({}),
    wieght: fc.constantFrom(1, undefined),
  },
);
