// From one map to the next: what is restored, and that it comes to the same as restoring everything.
import fc from 'fast-check';
import type { Family } from '../../lib';
import type { ServiceMap, ServicePort } from '../../lib/kube';
import { iptablesProgram, type IptablesProgram } from '../../lib/iptables';
import { endpoint, LOCAL, mapOf, node, REMOTE, service, slice } from '../kube/objects';
import { anyHistory, anyMap, anyOptions, VIEW } from './maps';
import { restore, type Ruleset } from './rules';

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

test('restoring what changed, change after change, comes to the rules of the last map', () => {
  fc.assert(
    fc.property(anyHistory, anyOptions, (maps, options) => {
      const [first, ...rest] = maps;
      let program = iptablesProgram(first as ServiceMap, VIEW, options);
      const kernel = tables(program);
      for (const map of rest) {
        const update = program.update(map);
        const whole = iptablesProgram(map, VIEW, options);
        for (const family of FAMILIES) {
          kernel[family] = restore(update.rules[family] ?? '', kernel[family]);
        }
        expect(kernel).toEqual(tables(whole));
        expect(update.program.rules).toEqual(whole.rules);
        expect(update.program.problems).toEqual(map.problems);
        program = update.program;
      }
    }),
    { numRuns: 200 },
  );
});

test('restoring everything over whatever was there leaves nothing of it', () => {
  fc.assert(
    fc.property(anyMap, anyMap, anyOptions, (one, other, options) => {
      const before = iptablesProgram(one, VIEW, options);
      const after = iptablesProgram(other, VIEW, options);
      for (const family of FAMILIES) {
        const text = after.rulesOver(family, before.chains(family).nat);
        expect(restore(text, tables(before)[family])).toEqual(tables(after)[family]);
      }
    }),
    { numRuns: 100 },
  );
});

function tables({ rules }: IptablesProgram): Record<Family, Ruleset> {
  return { ipv4: restore(rules.ipv4 ?? ''), ipv6: restore(rules.ipv6 ?? '') };
}

/** That many services of three endpoints. */
function cluster(services: number): ServiceMap {
  const objects = Array.from({ length: services }, (_, i) => [
    service(
      { clusterIP: `172.30.${i >> 8}.${i & 255}` },
      { metadata: { name: `web-${String(i).padStart(4, '0')}` } },
    ),
    slice([LOCAL, REMOTE, endpoint('10.1.0.7', 'there')], {
      metadata: {
        name: `s-${i}`,
        labels: { 'kubernetes.io/service-name': `web-${String(i).padStart(4, '0')}` },
      },
    }),
  ]);
  return mapOf(...objects.flat());
}

const withPort = (map: ServiceMap, at: number, port?: ServicePort): ServiceMap => ({
  ...map,
  ports: port === undefined ? map.ports.filter((_, i) => i !== at) : map.ports.with(at, port),
});
const without = (port: ServicePort, count = 1): ServicePort => ({
  ...port,
  endpoints: { ...port.endpoints, cluster: (port.endpoints.cluster ?? []).slice(count) },
});

const map = cluster(600);
const program = iptablesProgram(map, node, { largeCluster: false });
const [port] = map.ports.slice(300);
const lines = (next: ServiceMap): readonly string[] =>
  (program.update(next).rules.ipv4 ?? '').trimEnd().split('\n');

test('an endpoint that goes: the chain of its service anew, its own removed', () => {
  const text = lines(withPort(map, 300, without(port as ServicePort)));
  expect(text.filter((line) => !/-SVC-|-SEP-/.test(line))).toEqual(['*nat', 'COMMIT']);
  expect(text.filter((line) => line.startsWith(':'))).toHaveLength(2);
  expect(text.filter((line) => line.startsWith('-X'))).toEqual([
    expect.stringMatching(/^-X KUBE-SEP-\w{16}$/),
  ]);
  expect(text).toHaveLength(7);
});

test('a service that goes: its rule out of the portals, its chains removed', () => {
  const text = lines(withPort(map, 300));
  expect(text.filter((line) => line.startsWith('-D'))).toEqual([
    expect.stringMatching(/^-D KUBE-SERVICES -m comment --comment "ns1\/web-0300:p80 cluster IP" /),
  ]);
  expect(text.filter((line) => /^-X KUBE-S(VC|EP)-/.test(line))).toHaveLength(4);
  expect(text).toHaveLength(2 + 4 + 1 + 4);
});

test('a service that comes: its rule at its place among the portals', () => {
  const fewer = iptablesProgram(withPort(map, 300), node);
  const { rules, full } = fewer.update(map);
  expect(full).toBe(false);
  expect(rules.ipv4).toMatch(
    /\n-I KUBE-SERVICES 301 -m comment --comment "ns1\/web-0300:p80 cluster/,
  );
});

test('the last endpoint goes: from a portal to a refusal', () => {
  const gone = {
    ...(port as ServicePort),
    endpoints: { cluster: [], anywhere: false, hairpin: [] },
  };
  const text = lines(withPort(map, 300, gone));
  expect(text).toContainEqual(expect.stringMatching(/^-D KUBE-SERVICES .* cluster IP/));
  expect(text).toContainEqual(expect.stringMatching(/^-I KUBE-SERVICES 1 .* -j REJECT$/));
});

test('a chain that changes in very many places is written whole', () => {
  const half = { ...map, ports: map.ports.filter((_, i) => i % 2 === 0) };
  const { rules, full } = program.update(half);
  expect(full).toBe(false);
  expect(rules.ipv4).toMatch('\n:KUBE-SERVICES - [0:0]\n');
  expect(rules.ipv4).not.toMatch(/^-[DI] /m);
  expect(restore(rules.ipv4 ?? '', restore(program.rules.ipv4 ?? ''))).toEqual(
    restore(iptablesProgram(half, node).rules.ipv4 ?? ''),
  );
});

test('nothing changed: nothing to restore, whether the objects are the same or only equal', () => {
  for (const same of [map, structuredClone(map), { ...map, ports: map.ports.toReversed() }]) {
    expect(program.update(same)).toMatchObject({ rules: {}, full: false });
  }
});

const rich: ServicePort = {
  name: 'ns1/rich:p',
  protocol: 'tcp',
  family: 'ipv4',
  namespace: 'ns1',
  service: 'rich',
  frontends: [
    { kind: 'clusterIP', address: '172.31.0.1', port: 80, policy: 'cluster' },
    {
      kind: 'loadBalancer',
      address: '198.51.100.1',
      port: 80,
      policy: 'local',
      sourceRanges: ['203.0.113.0/24', '192.0.2.0/24'],
    },
  ],
  affinity: { timeout: 60, prefix: 24 },
  externalLocal: true,
  healthCheckNodePort: 32000,
  endpoints: {
    cluster: [
      { address: '10.1.0.1', port: 8080, local: true, weight: 2 },
      { address: '10.1.0.2', port: 8080, local: false },
    ],
    local: [{ address: '10.1.0.1', port: 8080, local: true, weight: 2 }],
    anywhere: true,
    hairpin: [],
  },
  settings: {},
};
// By a path as text, which no type of a port knows.
const changed = (path: string, value: unknown): ServicePort => {
  const copy = structuredClone(rich) as unknown as Record<string, unknown>;
  const names = path.split('.');
  let inner = copy;
  for (const name of names.slice(0, -1)) inner = inner[name] as Record<string, unknown>;
  inner[names.at(-1) ?? ''] = value;
  return copy as unknown as ServicePort;
};

test.each([
  ['name', 'ns1/rich:q'],
  ['protocol', 'udp'],
  ['server', true],
  ['affinity', undefined],
  ['affinity.timeout', 61],
  ['affinity.prefix', 25],
  ['affinity.prefix', undefined],
  ['healthCheckNodePort', 32001],
  ['healthCheckNodePort', undefined],
  ['frontends', rich.frontends.slice(1)],
  ['frontends.0.kind', 'externalIP'],
  ['frontends.0.address', '172.31.0.2'],
  ['frontends.0.port', 81],
  ['frontends.0.policy', 'local'],
  ['frontends.1.policy', 'cluster'],
  ['frontends.1.sourceRanges', undefined],
  ['frontends.1.sourceRanges.1', '192.0.2.0/25'],
  ['endpoints.anywhere', false],
  ['endpoints.cluster', rich.endpoints.cluster?.slice(1)],
  ['endpoints.cluster.1.address', '10.1.0.3'],
  ['endpoints.cluster.1.port', 8081],
  ['endpoints.cluster.0.weight', 3],
  ['endpoints.local', []],
])('%s that becomes %p is noticed, and comes to the rules of the whole', (path, value) => {
  // A server's weights always count.
  const options = { weights: path !== 'server', prefix: 'OWN' };
  const old = iptablesProgram({ ...map, ports: [rich] }, node, options);
  const next = { ...map, ports: [changed(path, value)] };
  const { rules } = old.update(next);
  const whole = iptablesProgram(next, node, options).rules.ipv4 ?? '';
  expect(whole).not.toBe(old.rules.ipv4);
  expect(restore(rules.ipv4 ?? '', restore(old.rules.ipv4 ?? ''))).toEqual(restore(whole));
});

test('what becomes of endpoints elsewhere, and of the family that has no part in it, is not written', () => {
  const moved = {
    ...(port as ServicePort),
    endpoints: {
      ...(port as ServicePort).endpoints,
      cluster: ((port as ServicePort).endpoints.cluster ?? []).map((each) => ({
        ...each,
        local: !each.local,
      })),
    },
  };
  expect(program.update(withPort(map, 300, moved)).rules).toEqual({});
  const { rules } = program.update(withPort(map, 300, without(port as ServicePort)));
  expect(Object.keys(rules)).toEqual(['ipv4']);
});

test('a cluster that becomes large loses its comments, all at once', () => {
  const small = cluster(300);
  const { rules, full } = iptablesProgram(small, node).update(cluster(350));
  expect(full).toBe(true);
  expect(rules.ipv4).not.toMatch('-> 10.1');
  expect(rules.ipv6).toBeUndefined();
  const again = iptablesProgram(cluster(350), node).update(cluster(300));
  expect(again.full).toBe(true);
  expect(again.rules.ipv4?.match(/^-X /gm)).toHaveLength(200);
});

test('a service with very many endpoints comes and goes', () => {
  const endpoints = Array.from({ length: 200_000 }, (_, i) => ({
    address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
    port: 8080,
    local: false,
  }));
  const many = { ...rich, endpoints: { ...rich.endpoints, cluster: endpoints, local: [] } };
  const options = { largeCluster: true };
  const empty = iptablesProgram({ ...map, ports: [] }, node, options);
  const full = empty.update({ ...map, ports: [many] });
  const gone = full.program.update({ ...map, ports: [] });
  expect(gone.rules.ipv4?.match(/^-X KUBE-SEP-/gm)).toHaveLength(200_000);
});

test('another node is another program, whole', () => {
  const addresses = ['192.168.0.2', '192.168.0.3'];
  const view = { ...node, addresses, nodePortAddresses: ['192.168.0.0/16'] };
  const small = iptablesProgram(mapOf(service(), slice([LOCAL])), view);
  const other = small.update(mapOf(service(), slice([LOCAL])), {
    ...view,
    addresses: ['192.168.0.2'],
  });
  expect(other.full).toBe(true);
  expect(other.rules.ipv4).not.toMatch('-d 192.168.0.3 -j KUBE-NODEPORTS');
  expect(other.program.update(mapOf(service(), slice([LOCAL]))).rules).toEqual({});
});

test('bad input changes nothing', () => {
  const evil = { ...(port as ServicePort), name: 'ns1/web"\n-A INPUT -j ACCEPT' };
  expect(() => program.update(withPort(map, 300, evil))).toThrow(/cannot stand in a rule/);
  expect(() => program.update({} as never)).toThrow(/is no service map/);
  const fifth = { ...(port as ServicePort), family: 'ipv5' } as never;
  expect(() => program.update(withPort(map, 300, fifth))).toThrow(/is no service port/);
  expect(() => iptablesProgram(withPort(map, 300, fifth), node)).toThrow(/is no service port/);
  const twice = { ...map, ports: [...map.ports, port as ServicePort] };
  expect(() => program.update(twice)).toThrow(/^map: "ns1\/web-0300:p80" over tcp is there twice/);
  expect(() => iptablesProgram(twice, node)).toThrow(/is there twice/);
  expect(() => program.update(map, {} as never)).toThrow(/^node\.name/);
  expect(program.update(map).rules).toEqual({});
});
