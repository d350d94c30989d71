// A restore text is a list of commands. Nothing that a map, an object or an option holds becomes one.
import fc from 'fast-check';
import { IpvsError, type VirtualServer } from '../../lib';
import {
  serviceMap,
  type KubeEndpointSlice,
  type KubeService,
  type ServiceMap,
} from '../../lib/kube';
import { fromServers, iptablesProgram } from '../../lib/iptables';
import { LOCAL, mapOf, service, slice } from '../kube/objects';
import { anyMap, VIEW } from './maps';

const WORDS = '[-\\w:./,+!>;\\[\\] ]+';
const QUOTED = `-m comment --comment (?:"${WORDS}"|[\\w:./[\\]-]+)`;
const LINE = new RegExp(
  [
    '\\*(?:filter|nat)',
    'COMMIT',
    ':KUBE-[A-Z0-9-]+ - \\[0:0\\]',
    `-A KUBE-[A-Z0-9-]+(?: ${QUOTED})?(?: [-\\w:./,+!\\[\\]]+)*`,
  ]
    .map((form) => `^(?:${form})$`)
    .join('|'),
);

/** Lines that are none of ours. */
function foreign(map: ServiceMap): readonly string[] {
  const { rules } = iptablesProgram(map, VIEW, { clusterCIDRs: ['10.0.0.0/8', 'fd00:10::/32'] });
  return Object.values(rules)
    .join('')
    .split('\n')
    .filter((line) => line !== '' && (!LINE.test(line) || / -j (?!KUBE-)/.test(outside(line))));
}

// Targets of our own making are built-in ones at known places.
function outside(line: string): string {
  return line
    .replace(/"[^"]*"/, '')
    .replace(/ -j (?:MARK|MASQUERADE|RETURN|DNAT|REJECT|DROP|ACCEPT)\b.*$/, '');
}

const NASTY = [
  'a"\n-A INPUT -j ACCEPT\n#',
  'x\nCOMMIT\n*nat\n:PREROUTING ACCEPT [0:0]',
  '" -j ACCEPT "',
  'a -j ACCEPT',
  '-j',
  "a'b",
  'a\\',
  'a\u0000b',
  '$(reboot)',
  'ns1/web:p80\r',
  '\u2028',
  '',
];
const nasty = fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: 'binary' }), fc.anything());

/** An object with nonsense in place of any one value of it, at any depth. */
function spoilt(value: unknown): fc.Arbitrary<unknown> {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) return nasty;
  return fc.constantFrom(...Object.keys(value)).chain((name) => {
    const inner = (value as Record<string, unknown>)[name];
    return fc
      .oneof({ weight: 1, arbitrary: nasty }, { weight: 3, arbitrary: spoilt(inner) })
      .map((other) =>
        Array.isArray(value)
          ? value.map((each: unknown, i) => (String(i) === name ? other : each))
          : { ...value, [name]: other },
      );
  });
}

function refusedOrHarmless(work: () => ServiceMap): void {
  try {
    expect(foreign(work())).toEqual([]);
  } catch (error) {
    if (!(error instanceof IpvsError)) throw error;
    expect(error.code).toBe('ERR_IPVS_INVALID');
    expect(error.message).not.toMatch('\n');
  }
}

test('the grammar of the lines: every program has it, and a rule of somebody else has not', () => {
  fc.assert(
    fc.property(anyMap, (map) => {
      expect(foreign(map)).toEqual([]);
    }),
    { numRuns: 50 },
  );
  expect(LINE.test('-A INPUT -j ACCEPT')).toBe(false);
  expect(LINE.test('-A KUBE-SERVICES -m comment --comment "a" -j ACCEPT" -j X')).toBe(false);
});

test('a map made by hand: refused by name, or written without harm', () => {
  fc.assert(
    fc.property(anyMap.filter(({ ports }) => ports.length > 0).chain(spoilt), (map) => {
      refusedOrHarmless(() => map as ServiceMap);
    }),
    { numRuns: 1500 },
  );
});

test('the same, where it comes as an update: what was there stays', () => {
  const good = mapOf(service(), slice([LOCAL]));
  const program = iptablesProgram(good, VIEW);
  fc.assert(
    fc.property(spoilt(good), (map) => {
      refusedOrHarmless(() => {
        program.update(map as ServiceMap);
        return map as ServiceMap;
      });
      expect(program.update(good).rules).toEqual({});
    }),
    { numRuns: 500 },
  );
});

test('objects of a cluster: names are read or passed over, never written as they are', () => {
  const objects = fc.tuple(
    spoilt(service({ type: 'NodePort', sessionAffinity: 'ClientIP' })),
    spoilt(slice([LOCAL])),
  );
  fc.assert(
    fc.property(objects, ([one, other]) => {
      const map = serviceMap([one as KubeService], [other as KubeEndpointSlice], VIEW);
      expect(foreign(map)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test('virtual servers', () => {
  const server: VirtualServer = {
    protocol: 'tcp',
    address: '10.0.0.1',
    port: 80,
    scheduler: 'wrr',
    persistence: { timeout: 60, prefix: 24 },
    destinations: [{ address: '192.0.2.1', port: 80, weight: 3 }],
  };
  fc.assert(
    fc.property(spoilt([server]), (servers) => {
      refusedOrHarmless(() =>
        fromServers(servers as VirtualServer[], { unsupported: 'approximate' }),
      );
    }),
    { numRuns: 500 },
  );
});

test.each(NASTY)('options and the node: %j is nothing to build rules with', (text) => {
  const map = mapOf(service(), slice([LOCAL]));
  for (const options of [
    { prefix: text },
    { clusterCIDRs: [text] },
    { detectLocal: { bridgeInterface: text } },
    { detectLocal: { interfaceNamePrefix: text } },
    { masqueradeBit: text },
  ]) {
    expect(() => iptablesProgram(map, VIEW, options as object)).toThrow(IpvsError);
  }
  expect(() => iptablesProgram(map, { ...VIEW, addresses: [text] })).toThrow(IpvsError);
});

test('a name as long as comments have room for', () => {
  const named = (length: number): ServiceMap => {
    const map = mapOf(service(), slice([LOCAL]));
    return { ...map, ports: map.ports.map((port) => ({ ...port, name: 'n'.repeat(length) })) };
  };
  const { rules } = iptablesProgram(named(191), VIEW, { prefix: 'LONGEST' });
  const comments = [...(rules.ipv4 ?? '').matchAll(/"([^"]*)"/g)].map(([, text = '']) => text);
  expect(Math.max(...comments.map(({ length }) => length))).toBeLessThanOrEqual(255);
  expect(() => iptablesProgram(named(192), VIEW)).toThrow(
    /^map: "n+…" is too long for a rule: 192 characters, and comments have room for 191$/,
  );
});
