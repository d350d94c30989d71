// Random calls of a client, valid and invalid mixed, about few enough keys that they get in each other's way.
import fc from 'fast-check';
import type { Ipvs } from '../../lib/client';
import { familyOf } from '../../lib/id';
import type {
  Change,
  Destination,
  DestinationKey,
  Family,
  Service,
  ServiceKey,
  SyncDaemon,
} from '../../lib/model';
import { DEVICE, DOWN_DEVICE, inOrder } from '../contract/kit';

/** A call as data, so that a failing sequence can be read and shrunk. */
export type Action =
  | Change
  | {
      readonly op: 'apply';
      readonly changes: readonly Change[];
      readonly onError: 'stop' | 'continue';
    }
  | { readonly op: 'startDaemon'; readonly daemon: SyncDaemon }
  | { readonly op: 'stopDaemon'; readonly role: SyncDaemon['role'] }
  | { readonly op: 'setTimeouts'; readonly timeouts: object }
  | { readonly op: 'service' | 'destinations' | 'zero'; readonly service: ServiceKey }
  | { readonly op: 'services' | 'daemons' | 'timeouts' | 'info' | 'flush' | 'zeroAll' };

const LONGEST = 50;

const KEYS: readonly ServiceKey[] = [
  { protocol: 'tcp', address: '10.0.0.1', port: 80 },
  { protocol: 'udp', address: '10.0.0.1', port: 80 },
  { protocol: 'tcp', address: '10.0.0.1', port: 0 },
  { protocol: 'sctp', address: '2001:db8::1', port: 80 },
  { fwmark: 1, family: 'ipv4' },
  { fwmark: 1, family: 'ipv6' },
];
const HOSTS = {
  ipv4: ['192.0.2.1', '192.0.2.2', '127.0.0.1'],
  ipv6: ['2001:db8::a', '2001:db8::b', '::1'],
} as const;
const NO_HOSTS = {
  ipv4: ['224.0.0.1', '0.0.0.0', '255.255.255.255'],
  ipv6: ['ff02::1', 'fe80::1', '::'],
} as const;

// Most of the time left out, so that most calls get as far as the kernel.
const seldom = <T>(value: fc.Arbitrary<T>, without = 4): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: without, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
/** An object with some of these settings. */
const settings = (of: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> =>
  fc
    .record(of)
    .map((all) =>
      Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)),
    );

const key = fc.constantFrom(...KEYS);

const scheduler = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom('rr', 'wlc', 'sh', 'mh', 'none') },
  // A kernel that does not have it asks for its module: dear.
  { weight: 2, arbitrary: fc.constantFrom('nosuch', 'ftp') },
);
const persistence = settings({
  timeout: fc.constantFrom(1, 300, 2678400),
  prefix: seldom(fc.constantFrom(1, 24, 32, 64, 128), 1),
  engine: seldom(fc.constant('sip')),
});
const service: fc.Arbitrary<Service> = fc
  .tuple(
    key,
    settings({
      scheduler: seldom(scheduler, 1),
      schedulerFlags: seldom(fc.subarray(['fallback', 'port', 'flag-1', 'flag-2', 'flag-3'])),
      persistence: seldom(persistence, 1),
      onePacket: seldom(fc.boolean()),
    }),
  )
  .map(([identity, rest]) => ({ ...identity, ...rest }));

const destinationKey = (family: Family): fc.Arbitrary<DestinationKey> =>
  fc.record({
    address: fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(...HOSTS[family]) },
      { weight: 1, arbitrary: fc.constantFrom(...NO_HOSTS[family]) },
    ),
    port: fc.constantFrom(80, 80, 80, 0),
  });
const often = <T>(sound: fc.Arbitrary<T>, unsound: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 15, arbitrary: sound }, { weight: 1, arbitrary: unsound });
const destinationSettings = fc
  .tuple(
    often<object>(
      fc.constantFrom(
        {},
        {},
        {},
        { forward: 'masq' },
        { forward: 'route' },
        { forward: 'tunnel' },
        { forward: 'tunnel', tunnel: { type: 'ipip' } },
        { forward: 'tunnel', tunnel: { type: 'gue', port: 6080 } },
        { forward: 'tunnel', tunnel: { type: 'gue', port: 1, checksum: 'remote' } },
        { forward: 'tunnel', tunnel: { type: 'gre', checksum: true } },
      ),
      fc.constantFrom({ tunnel: { type: 'ipip' } }, { forward: 'tunnel', tunnel: { type: 'gue' } }),
    ),
    often<object>(
      fc.constantFrom({}, { weight: 0 }, { weight: 7 }, { weight: 2147483647 }),
      fc.constantFrom({ weight: -1 }, { weight: 2147483648 }),
    ),
    often<object>(
      fc.constantFrom(
        {},
        {},
        { upperThreshold: 2147483647 },
        { upperThreshold: 100, lowerThreshold: 80 },
        { upperThreshold: 1, lowerThreshold: 1 },
      ),
      fc.constantFrom({ lowerThreshold: 1 }, { upperThreshold: -1 }),
    ),
  )
  .map(([method, weight, thresholds]): object => ({ ...method, ...weight, ...thresholds }));

const KEYS_OF = {
  ipv4: KEYS.filter((one) => familyOf(one) === 'ipv4'),
  ipv6: KEYS.filter((one) => familyOf(one) === 'ipv6'),
} as const;

/** Changes of a service of one family and a destination of another, or the same. */
function destinationChange(of: Family, to: Family): fc.Arbitrary<Change> {
  const service = fc.constantFrom(...KEYS_OF[of]);
  const full = fc
    .tuple(destinationKey(to), destinationSettings)
    .map(([identity, rest]): Destination => ({ ...identity, ...rest }));
  return fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constantFrom('addDestination', 'addDestination', 'setDestination'),
        service,
        destination: full,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant('deleteDestination'),
        service,
        destination: destinationKey(to),
      }),
    },
  );
}

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constantFrom('addService', 'setService'), service }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('deleteService'), service: key }),
  },
  { weight: 5, arbitrary: destinationChange('ipv4', 'ipv4') },
  { weight: 4, arbitrary: destinationChange('ipv6', 'ipv6') },
  { weight: 1, arbitrary: destinationChange('ipv4', 'ipv6') },
  { weight: 1, arbitrary: destinationChange('ipv6', 'ipv4') },
);

const daemon = fc
  .tuple(
    fc.record({
      role: fc.constantFrom('master' as const, 'backup' as const),
      interface: fc.constantFrom(DEVICE, DEVICE, DEVICE, DOWN_DEVICE, 'lo', 'nosuch0'),
      syncId: fc.constantFrom(0, 255, 256),
    }),
    settings({
      group: seldom(fc.constantFrom('224.0.0.82', 'ff02::81', '10.0.0.1')),
      port: seldom(fc.constantFrom(1, 65535)),
      ttl: seldom(fc.constantFrom(1, 255)),
      maxLength: seldom(fc.constantFrom(1, 1400, 65507)),
    }),
  )
  .map(([identity, rest]) => ({ ...identity, ...rest }));

const seconds = seldom(fc.constantFrom(1, 60, 2147483, 0), 1);

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 30, arbitrary: change },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('apply' as const),
      changes: fc.array(change, { maxLength: 12 }),
      onError: fc.constantFrom('stop' as const, 'continue' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('startDaemon' as const), daemon }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('stopDaemon' as const),
      role: fc.constantFrom('master' as const, 'backup' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('setTimeouts' as const),
      timeouts: settings({ tcp: seconds, tcpFin: seconds, udp: seconds }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constantFrom('service' as const, 'destinations' as const, 'zero' as const),
      service: key,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constantFrom('services', 'daemons', 'timeouts', 'info', 'zeroAll'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('flush' as const) }) },
);

/** Something to set and delete at the start; then anything. */
export const sequence: fc.Arbitrary<readonly Action[]> = fc
  .tuple(
    fc.subarray([...KEYS], { minLength: 4 }),
    fc.array(action, { maxLength: LONGEST, size: 'max' }),
  )
  .map(([keys, actions]) => [
    ...keys.flatMap((identity): Change[] => [
      { op: 'addService', service: { ...identity, persistence: { timeout: 300 } } },
      ...HOSTS[familyOf(identity)].map((address): Change => {
        const destination = { address, port: 80 };
        return { op: 'addDestination', service: identity, destination };
      }),
    ]),
    ...actions,
  ]);

/** Makes the call; what it answers, a refusal too, comes back as data to compare. */
export async function perform(client: Ipvs, it: Action): Promise<unknown> {
  try {
    return { answer: await call(client, it) };
  } catch (error) {
    return { refusal: described(error) };
  }
}

async function call(client: Ipvs, it: Action): Promise<unknown> {
  switch (it.op) {
    case 'addService':
    case 'setService':
      return client[it.op](it.service);
    case 'addDestination':
    case 'setDestination':
      return client[it.op](it.service, it.destination);
    case 'deleteDestination':
      return client.deleteDestination(it.service, it.destination);
    case 'deleteService':
    case 'service':
    case 'destinations':
    case 'zero':
      return client[it.op](it.service);
    case 'apply': {
      const outcomes = await client.apply(it.changes, { onError: it.onError });
      return outcomes.map(({ status, error }) => [status, error && described(error)]);
    }
    case 'startDaemon':
      return client.startDaemon(it.daemon);
    case 'stopDaemon':
      return client.stopDaemon({ role: it.role });
    case 'setTimeouts':
      return client.setTimeouts(it.timeouts);
    case 'services':
      return inOrder(await client.services());
    case 'zeroAll':
      return client.zero();
    case 'daemons':
    case 'timeouts':
    case 'info':
    case 'flush':
      return client[it.op]();
  }
}

function described(error: unknown): unknown {
  const { name, code, operation, errno, service, destination, message } = error as Record<
    string,
    unknown
  >;
  return { name, code, operation, errno, service, destination, message };
}
