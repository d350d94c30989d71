// What plan() makes of single cases. What it promises of any: plan-properties.test.ts.
import { memoryIpvs } from '../lib/memory';
import type { Destination, VirtualServer } from '../lib/model';
import { plan, type PlanOptions } from '../lib/plan';

const WEB = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const DNS = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const;
const MARK = { fwmark: 7, family: 'ipv6' } as const;
const A = { address: '192.0.2.1', port: 80 } as const;
const B = { address: '192.0.2.2', port: 80 } as const;
const C = { address: '192.0.2.10', port: 80 } as const;
const all: PlanOptions = { owns: () => true };

const web = (...destinations: Destination[]): VirtualServer => ({ ...WEB, destinations });
const dns = (...destinations: Destination[]): VirtualServer => ({ ...DNS, destinations });
const lines = (
  desired: readonly VirtualServer[],
  actual: readonly VirtualServer[],
  options?: PlanOptions,
): string[] => String(plan(desired, actual, options)).split('\n');

/** A destination as a kernel tells of it. */
const busy = (destination: Destination, connections: number): Destination => ({
  ...destination,
  ...{ activeConnections: connections, inactiveConnections: 0, persistentConnections: 0 },
});

describe('what is the same', () => {
  test('settings left out mean their defaults, on both sides', async () => {
    const client = memoryIpvs();
    const desired = [
      web(A, { ...B, forward: 'tunnel' }),
      { ...MARK, persistence: { timeout: 300 }, destinations: [] },
    ];
    await client.apply(plan(desired, []));
    const actual = await client.snapshot();
    expect(plan(desired, actual).changes).toEqual([]);
    expect(plan(actual, desired).changes).toEqual([]);
  });

  test('another spelling of an address is the same address', () => {
    const one = { protocol: 'tcp', address: '2001:db8::1', port: 80 } as const;
    const other = { ...one, address: '2001:DB8:0:0::1' };
    const desired = { ...one, destinations: [{ address: '2001:db8::a', port: 80 }] };
    const actual = { ...other, destinations: [{ address: '2001:0db8::000a', port: 80 }] };
    expect(plan([desired], [actual], all).empty).toBe(true);
  });

  test('scheduler flags are the same by name and by number, in any order', () => {
    const named = { ...WEB, scheduler: 'sh', schedulerFlags: ['port', 'fallback'] } as const;
    const numbered = { ...WEB, scheduler: 'sh', schedulerFlags: ['flag-1', 'flag-2'] } as const;
    expect(plan([{ ...named, destinations: [] }], [{ ...numbered, destinations: [] }]).empty).toBe(
      true,
    );
  });

  test('rows that a dump repeats count once', () => {
    expect(plan([web(A)], [web(A, A), web(B)], all).empty).toBe(true);
  });
});

describe('in place, and in order', () => {
  test('every setting is edited', () => {
    const before: VirtualServer = {
      ...WEB,
      scheduler: 'sh',
      schedulerFlags: ['port'],
      persistence: { timeout: 300, prefix: 24, engine: 'sip' },
      destinations: [{ ...A, forward: 'tunnel', tunnel: { type: 'gue', port: 6080 } }],
    };
    const after = web({ ...A, forward: 'route', upperThreshold: 10, lowerThreshold: 5 });
    expect(lines([after], [before])).toEqual([
      '~ tcp://10.0.0.1:80 scheduler sh → wlc, flags port → none, persistence 300 s → none, prefix /24 → /32, engine sip → none',
      '~ tcp://10.0.0.1:80 192.0.2.1:80 forward tunnel → route, upper-threshold 0 → 10, lower-threshold 0 → 5, tunnel gue:6080 → none',
    ]);
    expect(lines([before], [after])).toEqual([
      '~ tcp://10.0.0.1:80 192.0.2.1:80 forward route → tunnel, upper-threshold 10 → 0, lower-threshold 5 → 0, tunnel none → gue:6080',
      '~ tcp://10.0.0.1:80 scheduler wlc → sh, flags none → port, persistence none → 300 s, prefix /32 → /24, engine none → sip',
    ]);
  });

  test('new services first, then gains, edits, losses, and deletions last', () => {
    const desired = [
      { ...DNS, scheduler: 'rr', onePacket: true, destinations: [{ ...A, weight: 2 }] },
      {
        ...WEB,
        scheduler: 'rr',
        destinations: [{ ...A, weight: 3 }, { ...B, weight: 0 }, C],
      },
    ];
    const actual = [web(A, B, { address: '192.0.2.3', port: 80 }), { ...MARK, destinations: [] }];
    expect(lines(desired, actual, all)).toEqual([
      '+ udp://10.0.0.1:53 scheduler rr one-packet yes',
      '+ udp://10.0.0.1:53 192.0.2.1:80 forward masq weight 2',
      '~ tcp://10.0.0.1:80 192.0.2.1:80 weight 1 → 3',
      '+ tcp://10.0.0.1:80 192.0.2.10:80 forward masq weight 1',
      '~ tcp://10.0.0.1:80 scheduler wlc → rr',
      '~ tcp://10.0.0.1:80 192.0.2.2:80 weight 1 → 0',
      '- tcp://10.0.0.1:80 192.0.2.3:80',
      '- fwmark6:7',
    ]);
  });

  test('a service goes over to mh only when it has no more destinations than it keeps', () => {
    const { changes } = plan([{ ...web(A), scheduler: 'mh' }], [web(B)], all);
    expect(changes.map(({ op }) => op)).toEqual([
      'addDestination',
      'deleteDestination',
      'setService',
    ]);
  });
});

describe('what is ours', () => {
  test('nothing but what is wanted, unless somebody says so', () => {
    expect(lines([web(A)], [web(A, B), dns(A)])).toEqual(['- tcp://10.0.0.1:80 192.0.2.2:80']);
    expect(lines([web(A)], [web(A, B), dns(A)], { owns: (key) => 'port' in key })).toEqual([
      '- tcp://10.0.0.1:80 192.0.2.2:80',
      '- udp://10.0.0.1:53',
    ]);
  });

  test('what is wanted and denied stays as it is, and is told; what is not there is added', () => {
    const denied = plan([web(A), dns(A)], [web(B)], { owns: () => false });
    expect(String(denied).split('\n')[0]).toBe('+ udp://10.0.0.1:53 scheduler wlc');
    expect(denied.conflicts).toMatchObject([
      { service: WEB, changes: [{ op: 'addDestination' }, { op: 'deleteDestination' }] },
    ]);
    expect(plan([web(A)], [web(A)], { owns: () => false }).conflicts).toEqual([]);
  });

  test('a service of a protocol that no change can name is nobody’s', () => {
    const odd = { ...WEB, protocol: 'ip-47', destinations: [] } as unknown as VirtualServer;
    expect(plan([], [odd], all).empty).toBe(true);
  });
});

describe('draining', () => {
  test('weight 0 first; it goes once its connections have', () => {
    const drain: PlanOptions = { drain: true };
    const first = plan([web(A)], [web(A, busy({ ...B, forward: 'route' }, 3))], drain);
    expect(String(first)).toBe('~ tcp://10.0.0.1:80 192.0.2.2:80 weight 1 → 0 (drains)');
    expect(first.changes[0]).toMatchObject({ destination: { forward: 'route', weight: 0 } });
    expect(first.draining).toEqual([{ service: WEB, destination: B, connections: 3 }]);
    const waits = plan([web(A)], [web(A, busy({ ...B, weight: 0 }, 1))], drain);
    expect([waits.empty, waits.draining.length]).toEqual([true, 1]);
    const unknown = plan([web(A)], [web(A, { ...B, weight: 0 })], drain);
    expect(unknown.draining).toEqual([{ service: WEB, destination: B, connections: undefined }]);
    const last = plan([web(A)], [web(A, busy({ ...B, weight: 0 }, 0))], drain);
    expect(String(last)).toBe('- tcp://10.0.0.1:80 192.0.2.2:80');
  });

  test('wanted again, it has its weight again', () => {
    expect(lines([web(A, { ...B, weight: 4 })], [web(A, busy({ ...B, weight: 0 }, 9))])).toEqual([
      '~ tcp://10.0.0.1:80 192.0.2.2:80 weight 0 → 4',
    ]);
  });

  test('UDP at once, unless a function says otherwise', () => {
    const gone = ['- udp://10.0.0.1:53 192.0.2.2:80'];
    expect(lines([dns(A)], [dns(A, busy(B, 3))], { drain: true })).toEqual(gone);
    const asked: unknown[] = [];
    const drain = (service: object, destination: object): boolean => {
      asked.push([service, destination]);
      return true;
    };
    expect(lines([dns(A)], [dns(A, busy(B, 3))], { drain })).toEqual([
      '~ udp://10.0.0.1:53 192.0.2.2:80 weight 1 → 0 (drains)',
    ]);
    expect(asked).toEqual([[DNS, busy(B, 3)]]);
    expect(lines([dns(A)], [dns(A, busy(B, 3))], { drain: () => false })).toEqual(gone);
  });

  test('a service that goes stays until its destinations have drained', () => {
    const options: PlanOptions = { ...all, drain: true };
    expect(lines([], [web(busy(A, 0), busy({ ...B, weight: 0 }, 1))], options)).toEqual([
      '~ tcp://10.0.0.1:80 192.0.2.1:80 weight 1 → 0 (drains)',
    ]);
    const idle = web(busy({ ...A, weight: 0 }, 0), busy({ ...B, weight: 0 }, 0));
    expect(lines([], [idle], options)).toEqual(['- tcp://10.0.0.1:80']);
  });

  test('what our checks would not let us set again goes undrained', () => {
    const odd = { address: '192.0.2.2', port: 8080, forward: 'route' } as const;
    expect(lines([web(A)], [web(A, busy(odd, 3))], { drain: true })).toEqual([
      '- tcp://10.0.0.1:80 192.0.2.2:8080',
    ]);
  });
});

describe('keepWeights', () => {
  const desired = [web({ ...A, weight: 5 }, { ...B, weight: 5, forward: 'route' }, C)];
  const actual = [web({ ...A, weight: 0 }, { ...B, weight: 2 })];

  test('leaves the weights of what stays', () => {
    expect(lines(desired, actual, { keepWeights: true })).toEqual([
      '+ tcp://10.0.0.1:80 192.0.2.10:80 forward masq weight 1',
      '~ tcp://10.0.0.1:80 192.0.2.2:80 forward masq → route',
    ]);
  });

  test('or of some', () => {
    const keepWeights = (_: unknown, { weight }: Destination): boolean => weight !== 0;
    expect(lines(desired, actual, { keepWeights })[0]).toBe(
      '~ tcp://10.0.0.1:80 192.0.2.1:80 weight 0 → 5',
    );
  });
});

describe('allow', () => {
  test('what may not happen is withheld', () => {
    const some = plan([{ ...web(A), scheduler: 'rr' }], [web(A, B), dns(A)], {
      ...all,
      allow: ['setService'],
    });
    expect(some.changes.map(({ op }) => op)).toEqual(['setService']);
    expect(some.withheld.map(({ op }) => op)).toEqual(['deleteDestination', 'deleteService']);
  });

  test('no destinations without their service', () => {
    const { changes, withheld } = plan([web(A)], [], { allow: ['addDestination'] });
    expect(changes).toEqual([]);
    expect(withheld.map(({ op }) => op)).toEqual(['addService', 'addDestination']);
  });

  test('nothing is taken from a service that may not have what replaces it', () => {
    const swap = plan([web(B, { ...C, weight: 0 })], [web(A, C)], {
      allow: ['deleteDestination', 'setDestination'],
    });
    expect(swap.changes).toEqual([]);
    expect(swap.withheld.map(({ op }) => op)).toEqual([
      'deleteDestination',
      'addDestination',
      'setDestination',
    ]);
  });
});

describe('in other forms', () => {
  const both = plan(
    [
      { ...MARK, scheduler: 'sh', schedulerFlags: ['port'], destinations: [] },
      {
        ...DNS,
        persistence: { timeout: 60, prefix: 20, engine: 'sip' },
        onePacket: true,
        destinations: [
          { ...A, port: 53, upperThreshold: 10, lowerThreshold: 5 },
          { ...B, port: 53, forward: 'tunnel', tunnel: { type: 'gre', checksum: true } },
        ],
      },
      web({ ...A, forward: 'route', weight: 0 }),
    ],
    [web(A, B), { protocol: 'sctp', address: '10.0.0.1', port: 9, destinations: [] }],
    all,
  );

  test('lines for ipvsadm', () => {
    expect(both.toIpvsadm()).toEqual([
      '-A -u 10.0.0.1:53 -s wlc -p 60 -M 255.255.240.0 --pe sip -o',
      '-a -u 10.0.0.1:53 -r 192.0.2.1:53 -m -w 1 -x 10 -y 5',
      '-a -u 10.0.0.1:53 -r 192.0.2.2:53 -i -w 1 --tun-type gre --tun-csum',
      '-A -f 7 -6 -s sh -b sh-port',
      '-e -t 10.0.0.1:80 -r 192.0.2.1:80 -g -w 0',
      '-d -t 10.0.0.1:80 -r 192.0.2.2:80',
      '-D --sctp-service 10.0.0.1:9',
    ]);
  });

  test('JSON, and one change after another', () => {
    expect([...both]).toEqual(both.changes);
    const json = JSON.parse(JSON.stringify(both)) as object;
    expect(json).toEqual({
      changes: both.changes,
      withheld: [],
      conflicts: [],
      draining: [],
    });
    expect(both.changes[3]).toEqual({
      op: 'addService',
      service: { ...MARK, scheduler: 'sh', schedulerFlags: ['port'], onePacket: false },
    });
  });

  test('an empty plan says nothing', () => {
    const none = plan([], []);
    expect([String(none), none.empty, none.toIpvsadm()]).toEqual(['', true, []]);
  });
});

function failureOf(make: () => unknown): unknown {
  try {
    return make();
  } catch (error) {
    return error;
  }
}

describe('bad input', () => {
  const cases: readonly [string, unknown, unknown, unknown, RegExp][] = [
    ['a service twice', [web(), web(A)], [], {}, /^plan tcp:\/\/10\.0\.0\.1:80: wanted twice: /],
    [
      'a destination twice',
      [web(A, A)],
      [],
      {},
      /^plan tcp:\/\/10\.0\.0\.1:80 192\.0\.2\.1:80: wanted twice in one service: /,
    ],
    ['a destination twice that is there', [web(A, A)], [web(A)], {}, /wanted twice in one service/],
    ['a destination twice, there twice', [web(A, A)], [web(A, A)], {}, /1:80: wanted twice in one/],
    ['one new twice', [web(A, B, B)], [web(A)], {}, /192\.0\.2\.2:80: wanted twice/],
    [
      'a bad setting',
      [{ ...WEB, scheduler: 'RR', destinations: [] }],
      [],
      {},
      /^plan tcp:\/\/10\.0\.0\.1:80: scheduler: "RR" is no scheduler: use one of/,
    ],
    [
      'a bad weight',
      [web({ ...A, weight: -1 })],
      [],
      {},
      /^plan tcp:\/\/10\.0\.0\.1:80 192\.0\.2\.1:80: weight: -1 is out of range: /,
    ],
    [
      'a misspelt one',
      [{ ...WEB, schedular: 'rr', destinations: [] }],
      [],
      {},
      /did you mean scheduler/,
    ],
    ['no destinations', [WEB], [], {}, /destinations: undefined is not an array: /],
    ['no server', [7], [], {}, /^plan: desired: 7 is no virtual server: /],
    ['no key', [{ destinations: [] }], [], {}, /^plan: protocol: undefined is no protocol/],
    ['no list', 7, [], {}, /^plan: desired: 7 is not iterable: /],
    ['no actual list', [], undefined, {}, /^plan: actual: undefined is not iterable: /],
    [
      'services without destinations',
      [],
      [WEB],
      {},
      /^plan: actual: destinations: undefined is not/,
    ],
    [
      'no actual address',
      [web(A)],
      [web({ address: 'x', port: 1 })],
      {},
      /^plan tcp.*actual: address: "x" is not/,
    ],
    [
      'an unknown option',
      [],
      [],
      { own: 1 },
      /^plan: own: no such setting of a plan: did you mean owns\?/,
    ],
    ['owns', [], [], { owns: true }, /^plan: owns: true is not a function: /],
    ['drain', [], [], { drain: 30 }, /^plan: drain: 30 is neither a boolean nor a function/],
    ['allow', [], [], { allow: ['add'] }, /^plan: allow: "add" is no change: use addService, /],
    [
      'allow as text',
      [],
      [],
      { allow: 'addService' },
      /^plan: allow: "addService" is not iterable/,
    ],
  ];
  test.each(cases)('%s', (_, desired, actual, options, message) => {
    const make = (): unknown =>
      plan(desired as VirtualServer[], actual as VirtualServer[], options as PlanOptions);
    expect(make).toThrow(message);
    expect(failureOf(make)).toMatchObject({ code: 'ERR_IPVS_INVALID', operation: 'plan' });
  });
});
