// What holds for every cluster: order and spread do not matter, a bad object harms nobody else, nothing is changed, and
// nothing that anybody can write makes it throw.
import fc from 'fast-check';
import { ipvsProgram, serviceMap } from '../../lib/kube';
import type { KubeEndpointSlice, KubeService, NodeProgram, ServiceMap } from '../../lib/kube';
import { endpoint, going, node, portOf, service, slice } from './objects';

const view = { ...node, zone: 'a', addresses: ['192.168.0.2', 'fd00::2'] };

const anyEndpoint = fc.record(
  {
    addresses: fc.nat(40).map((n) => [`10.1.0.${n}`]),
    nodeName: fc.constantFrom('here', 'there'),
    conditions: fc.constantFrom({ ready: true }, {}, going.conditions, {
      ready: false,
      serving: false,
      terminating: true,
    }),
    hints: fc.constantFrom(
      { forZones: [{ name: 'a' }] },
      { forZones: [{ name: 'b' }] },
      { forZones: [{ name: 'b' }], forNodes: [{ name: 'here' }] },
    ),
  },
  { requiredKeys: ['addresses'] },
);

const anySpec = fc.record(
  {
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
    externalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    loadBalancerSourceRanges: fc.constantFrom([], ['203.0.113.0/24'], ['192.168.0.0/16', 'x']),
  },
  { requiredKeys: [] },
);

// A cluster whose services have nothing in common: index i has addresses of its own.
const anyCluster = fc
  .array(fc.tuple(anySpec, fc.array(fc.array(anyEndpoint, { maxLength: 6 }), { maxLength: 3 })), {
    maxLength: 5,
  })
  .map((members) => ({
    services: members.map(([spec], i) =>
      service(
        {
          ...spec,
          clusterIP: `172.30.0.${i + 1}`,
          externalIPs: [`192.0.2.${i + 1}`],
          ports: [{ name: 'p80', port: 80, nodePort: 30000 + i }],
        },
        {
          metadata: { name: `s${i}` },
          status: { loadBalancer: { ingress: [{ ip: `198.51.100.${i + 1}` }] } },
        },
      ),
    ),
    slices: members.flatMap(([, slices], i) =>
      slices.map((endpoints, j) =>
        slice(endpoints, {
          metadata: { name: `s${i}-${j}`, labels: { 'kubernetes.io/service-name': `s${i}` } },
        }),
      ),
    ),
  }));

function programOf(map: ServiceMap): NodeProgram {
  return ipvsProgram(map, view, { clusterCIDRs: ['10.0.0.0/8'], externalLocal: 'separate' });
}

const shuffled = <T>(list: readonly T[]): fc.Arbitrary<T[]> =>
  fc.shuffledSubarray([...list], { minLength: list.length });

test('the order of services and slices does not matter', () => {
  const orders = anyCluster.chain(({ services, slices }) =>
    fc.tuple(fc.constant({ services, slices }), shuffled(services), shuffled(slices)),
  );
  fc.assert(
    fc.property(orders, ([first, services, slices]) => {
      const map = serviceMap(first.services, first.slices, view);
      const again = serviceMap(services, slices, view);
      expect(again).toEqual(map);
      expect(programOf(again)).toEqual(programOf(map));
    }),
    { numRuns: 100 },
  );
});

test('how the endpoints of a service are spread over slices does not matter', () => {
  const spread = fc.array(fc.tuple(anyEndpoint, fc.nat(7)), { maxLength: 30 });
  fc.assert(
    fc.property(anySpec, spread, (spec, endpoints) => {
      const external = { ...spec, externalIPs: ['192.0.2.1'] };
      const whole = slice(endpoints.map(([each]) => each));
      const parts = [0, 1, 2, 3, 4, 5, 6, 7].map((part) =>
        slice(
          endpoints.filter(([, at]) => at === part).map(([each]) => each),
          { metadata: { name: `web-${part}` } },
        ),
      );
      expect(portOf(service(external), parts, view)).toEqual(
        portOf(service(external), [whole], view),
      );
    }),
    { numRuns: 150 },
  );
});

// Nonsense in place of any one value of an object, at any depth.
function spoilt(object: unknown, junk: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  if (typeof object !== 'object' || object === null || Object.keys(object).length === 0)
    return junk;
  const names = Object.keys(object);
  return fc.constantFrom(...names).chain((name) => {
    const inner = (object as Record<string, unknown>)[name];
    return fc
      .oneof(junk, spoilt(inner, junk))
      .map((value) =>
        Array.isArray(object)
          ? object.map((each: unknown, i) => (String(i) === name ? value : each))
          : { ...object, [name]: value },
      );
  });
}

const junk = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    '',
    -1,
    0,
    65536,
    1.5,
    [],
    {},
    [null],
    '\n-A INPUT -j DROP',
    '";',
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const rich = service(
  {
    type: 'LoadBalancer',
    clusterIP: '172.30.9.9',
    clusterIPs: ['172.30.9.9', 'fd00:30::9'],
    ipFamilies: ['IPv4', 'IPv6'],
    externalIPs: ['192.0.2.99'],
    externalTrafficPolicy: 'Local',
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
    loadBalancerSourceRanges: ['203.0.113.0/24'],
    healthCheckNodePort: 32100,
    ports: [{ name: 'p80', protocol: 'TCP', port: 80, nodePort: 32101 }],
  },
  {
    metadata: {
      name: 'bad',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { app: 'x' },
      annotations: {
        'ipvs/scheduler': 'wrr',
        'ipvs/weights': 'node/here=3',
        'ipvs/forward': 'masq',
      },
    },
    status: { loadBalancer: { ingress: [{ ip: '198.51.100.99', ipMode: 'VIP' }] } },
  },
);
const richSlice = slice(
  [endpoint('10.1.0.5', 'here', { hints: { forZones: [{ name: 'a' }] }, zone: 'a' })],
  { metadata: { name: 'bad-1', labels: { 'kubernetes.io/service-name': 'bad' } } },
);

test('a problem in one object never changes what becomes of the others', () => {
  const bad = fc.tuple(spoilt(rich, junk), spoilt(richSlice, junk));
  fc.assert(
    fc.property(anyCluster, bad, ({ services, slices }, [badService, badSlice]) => {
      const before = serviceMap(services, slices, view);
      const after = serviceMap(
        [...services, badService as KubeService],
        [...slices, badSlice as KubeEndpointSlice],
        view,
      );
      const others = (map: ServiceMap): unknown =>
        map.ports.filter(({ service: name }) => /^s\d$/.test(name));
      expect(others(after)).toEqual(others(before));
      expect(after.problems).toEqual(expect.arrayContaining([...before.problems]));
    }),
    { numRuns: 400 },
  );
});

const RULE = /^(?:\*\w+|COMMIT|:KUBE-[A-Z-]+ - \[0:0\]|-A KUBE-[-\w:./,+!" ]+)$/;
const ENTRY =
  /^(?:\d+|[0-9a-f:.]+(?:,(?:tcp|udp|sctp):\d+(?:,[0-9a-f:./]+)?(?: skbmark 0x[0-9a-f]+)?)?)$/;

test('nothing from an object breaks out of a restore line', () => {
  const bad = fc.tuple(spoilt(rich, junk), spoilt(richSlice, junk));
  fc.assert(
    fc.property(bad, ([badService, badSlice]) => {
      const program = programOf(
        serviceMap([badService as KubeService], [badSlice as KubeEndpointSlice], view),
      );
      const lines = Object.values(program.rules).join('').trimEnd().split('\n');
      expect(lines.filter((line) => !RULE.test(line))).toEqual([]);
      const entries = [...program.sets.values()].flatMap((set) => set.entries);
      expect(entries.filter((entry) => !ENTRY.test(entry))).toEqual([]);
      for (const problem of program.problems) expect(problem).not.toMatch(/[\n\r]/);
      for (const { name } of serviceMap([badService as KubeService], [], view).ports) {
        expect(name).toMatch(/^[-\w.]+\/[-\w.]+(?::[-\w.]+)?$/);
      }
    }),
    { numRuns: 400 },
  );
});

test('any JSON at all gives a map, and problems', () => {
  const anything = fc.array(fc.jsonValue({ maxDepth: 4 }), { maxLength: 5 });
  fc.assert(
    fc.property(anything, anything, (services, slices) => {
      const map = serviceMap(services as KubeService[], slices as KubeEndpointSlice[], view);
      expect(map.ports).toEqual([]);
      programOf(map);
    }),
    { numRuns: 200 },
  );
});

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

test('objects are read, never written', () => {
  fc.assert(
    fc.property(anyCluster, ({ services, slices }) => {
      const map = serviceMap(frozen(services), frozen(slices), frozen({ ...view }));
      programOf(frozen(map));
    }),
    { numRuns: 50 },
  );
});
