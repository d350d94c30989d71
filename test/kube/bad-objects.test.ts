import { IpvsError } from '../../lib';
import { serviceMap } from '../../lib/kube';
import type { NodeView } from '../../lib/kube';
import {
  balanced,
  endpoint,
  lists,
  LOCAL,
  mapOf,
  node,
  portOf,
  problemsOf,
  REMOTE,
  service,
  slice,
} from './objects';

const spec = (fields: Readonly<Record<string, unknown>>): unknown => service(fields);

test.each<[string, unknown, RegExp]>([
  ['no object', 'service', /^Service: "service" is not an object; passed over$/],
  ['no metadata', { spec: {} }, /^Service: no metadata; passed over$/],
  ['no name', service({}, { metadata: { name: undefined } }), /^Service ns1\/undefined: no name/],
  [
    'a name with a newline',
    service({}, { metadata: { name: 'a\n-j ACCEPT' } }),
    /^Service ns1\/"a\\n-j ACCEPT": no name/,
  ],
  ['a long name', service({}, { metadata: { name: 'a'.repeat(64) } }), /no name/],
  [
    'a spec that is no object',
    { metadata: { name: 'web' }, spec: [] },
    /^Service default\/web: spec: an array is not an object/,
  ],
  ['another type', spec({ type: 'Other' }), /type: "Other" is none of ClusterIP, NodePort/],
  [
    'a cluster IP that is none',
    spec({ clusterIP: '10.0.0.256' }),
    /clusterIP: "10.0.0.256" is no address/,
  ],
  [
    'an external IP that is none',
    spec({ externalIPs: ['10.0.0.1; x'] }),
    /externalIPs: "10.0.0.1; x" is no address/,
  ],
  [
    'external IPs that are no list',
    spec({ externalIPs: '10.0.0.1' }),
    /externalIPs: "10.0.0.1" is not a list/,
  ],
  [
    'an ingress that is none',
    balanced({}, [{ ip: 7 }]),
    /status.loadBalancer.ingress: 7 is no address/,
  ],
  [
    'a port out of range',
    spec({ ports: [{ name: 'p', port: 65536 }] }),
    /ports\[0\]: "p" 65536 is no port; passed over/,
  ],
  [
    'a port of no protocol',
    spec({ ports: [{ port: 1, protocol: 'ICMP' }] }),
    /ports\[0\]: "ICMP" 1 is no port/,
  ],
  [
    'a port with an odd name',
    spec({ ports: [{ name: 'a"b', port: 1 }] }),
    /ports\[0\]: "a\\"b" 1 is no port/,
  ],
  ['null for a port', spec({ ports: [null] }), /ports\[0\]: {} is no port/],
  [
    'a node port out of range',
    spec({ ports: [{ port: 80, nodePort: 70000 }] }),
    /ports\[0\].nodePort: 70000 is no port/,
  ],
  [
    'a port twice',
    spec({ ports: [{ port: 80 }, { port: 81 }] }),
    /ports\[1\]: there is another tcp port with the name ""/,
  ],
  [
    'an odd policy',
    spec({ internalTrafficPolicy: 'local' }),
    /internalTrafficPolicy: "local" is none of Cluster, Local; taken as Cluster/,
  ],
  ['an odd affinity', spec({ sessionAffinity: 'ClientIp' }), /sessionAffinity: "ClientIp" is none/],
  [
    'too long an affinity',
    spec({
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } },
    }),
    /timeoutSeconds: 86401 is not from 1 to 86400; taken as 10800/,
  ],
  [
    'no health check port',
    balanced({ externalTrafficPolicy: 'Local' }),
    /healthCheckNodePort: undefined is no port/,
  ],
  [
    'a range that is none',
    balanced({ loadBalancerSourceRanges: ['x'] }),
    /loadBalancerSourceRanges: "x" is no range; admits nobody/,
  ],
  [
    'a slice of no service',
    slice([LOCAL], { metadata: { labels: {} } }),
    /^EndpointSlice ns1\/web-1: no label kubernetes.io\/service-name/,
  ],
  [
    'a slice of no family',
    slice([LOCAL], { addressType: 'IPv5' }),
    /addressType: "IPv5" is none of IPv4, IPv6, FQDN/,
  ],
  [
    'a slice port out of range',
    slice([LOCAL], { ports: [{ name: 'p80', port: -1 }] }),
    /ports\[0\]: "p80" -1 is no port/,
  ],
  [
    'an endpoint of the other family',
    slice([endpoint('fd00::1', 'here')]),
    /endpoints\[0\].addresses: "fd00::1" is no ipv4 address/,
  ],
  ['an endpoint that is none', slice([7]), /endpoints\[0\]: 7 is not an object/],
  [
    'a condition that is none',
    slice([endpoint('10.1.0.5', 'here', { conditions: { ready: 'yes' } })]),
    /endpoints\[0\].conditions: neither true nor false/,
  ],
  [
    'hints that are none',
    slice([endpoint('10.1.0.5', 'here', { hints: { forZones: 'a' } })]),
    /endpoints\[0\].forZones: "a" is not a list/,
  ],
])('%s is a problem that names the object', (_, object, problem) => {
  expect(problemsOf(object)).toEqual([expect.stringMatching(problem)]);
});

test('null stands for what is not said', () => {
  const nulls = service(
    { externalIPs: null, ipFamilies: null, clusterIPs: null, sessionAffinity: null },
    { metadata: { labels: null, annotations: null } },
  );
  const empty = slice([], { endpoints: null, ports: null });
  const map = mapOf(nulls, empty);
  expect(map.problems).toEqual([]);
  expect(map.ports).toHaveLength(1);
});

test('what is left of a broken object still works', () => {
  const port = portOf(
    service({ externalIPs: ['x', '192.0.2.1'], ports: [{ port: 0 }, { name: 'p80', port: 80 }] }),
    [slice([null, endpoint('x', 'here'), REMOTE])],
  );
  expect(port.frontends.map(({ address }) => address)).toEqual(['172.30.0.10', '192.0.2.1']);
  expect(lists(port).cluster).toEqual(['10.1.9.9:8080']);
});

describe('two services that claim one address and port', () => {
  const claimant = (
    name: string,
    creationTimestamp: unknown,
    more: Readonly<Record<string, unknown>>,
  ): unknown =>
    service(
      { clusterIP: name === 'old' ? '172.30.0.1' : '172.30.0.2', ...more },
      { metadata: { name, creationTimestamp } },
    );
  const frontends = (map: ReturnType<typeof mapOf>): unknown =>
    Object.fromEntries(
      map.ports.map((port) => [port.service, port.frontends.map((f) => f.address || f.port)]),
    );
  const shared = { externalIPs: ['192.0.2.1'] };

  test('the older has it, the other keeps the rest and is a problem', () => {
    const old = claimant('old', '2025-01-01T00:00:00Z', shared);
    const young = claimant('a-young', '2026-01-01T00:00:00Z', shared);
    for (const map of [mapOf(old, young), mapOf(young, old)]) {
      expect(frontends(map)).toEqual({
        old: ['172.30.0.1', '192.0.2.1'],
        'a-young': ['172.30.0.2'],
      });
      expect(map.problems).toEqual([
        'Service ns1/a-young: externalIP tcp://192.0.2.1:80 belongs to ns1/old:p80, which is older; passed over',
      ]);
    }
  });
  test('dates may be Date, and a service without one is the youngest', () => {
    const map = mapOf(claimant('a-young', undefined, shared), claimant('old', new Date(0), shared));
    expect(frontends(map)).toMatchObject({ old: ['172.30.0.1', '192.0.2.1'] });
  });
  test('one node port, and an external address of the node at a node port', () => {
    const ports = { type: 'NodePort', ports: [{ name: 'p80', port: 80, nodePort: 30080 }] };
    const old = claimant('old', '2025-01-01T00:00:00Z', ports);
    expect(mapOf(old, claimant('young', '2026-01-01T00:00:00Z', ports)).problems).toEqual([
      expect.stringMatching(/young: nodePort 30080 of tcp belongs to ns1\/old:p80/),
    ]);
    const onNode = { externalIPs: ['192.168.0.2'], ports: [{ name: 'x', port: 30080 }] };
    expect(mapOf(old, claimant('young', '2026-01-01T00:00:00Z', onNode)).problems).toEqual([
      expect.stringMatching(/young: externalIP tcp:\/\/192.168.0.2:30080 belongs to ns1\/old:p80/),
    ]);
  });
  test('other ports and protocols of one address are nobody else’s', () => {
    const map = mapOf(
      claimant('old', '2025-01-01T00:00:00Z', shared),
      claimant('young', '2026-01-01T00:00:00Z', {
        ...shared,
        ports: [{ port: 443 }, { name: 'u', protocol: 'UDP', port: 80 }],
      }),
    );
    expect(map.problems).toEqual([]);
  });
  test('an address that is both external and the load balancer’s is no conflict', () => {
    const port = portOf(balanced({ externalIPs: ['1.2.3.4'] }), []);
    expect(port.frontends.map(({ kind }) => kind)).toEqual([
      'clusterIP',
      'externalIP',
      'loadBalancer',
    ]);
  });
});

test('of an object that is given twice the newest version counts', () => {
  const of = (resourceVersion: string, clusterIP: string): unknown =>
    service({ clusterIP }, { metadata: { resourceVersion } });
  for (const map of [
    mapOf(of('9', '172.30.0.9'), of('10', '172.30.0.10')),
    mapOf(of('10', '172.30.0.10'), of('9', '172.30.0.9')),
  ]) {
    expect(map.ports[0]?.frontends[0]?.address).toBe('172.30.0.10');
    expect(map.problems).toEqual([
      'Service ns1/web: given more than once; the newest version counts',
    ]);
  }
  expect(problemsOf(service(), service())).toEqual([]);
});

test.each<[unknown, RegExp]>([
  [undefined, /node: undefined is not an object/],
  [{ addresses: [] }, /node.name: undefined is no node name/],
  [{ ...node, addresses: ['10.0.0.1/8'] }, /node.addresses: "10.0.0.1\/8" is not an IP address/],
  [
    { ...node, nodePortAddresses: ['10.0.0.1'] },
    /node.nodePortAddresses: "10.0.0.1" is no range: use 'primary' alone or/,
  ],
  [{ ...node, zone: 1 }, /node.zone: 1/],
])('a node that makes no sense is an error: %j', (view, message) => {
  const call = (): unknown => serviceMap([], [], view as NodeView);
  expect(call).toThrow(IpvsError);
  expect(call).toThrow(message);
});

test('100 000 endpoints in one service', () => {
  const endpoints = Array.from({ length: 100_000 }, (_, i) =>
    endpoint(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 'there'),
  );
  const slices = Array.from({ length: 100 }, (_, i) =>
    slice(endpoints.slice(i * 1000, i * 1000 + 1000), { metadata: { name: `web-${i}` } }),
  );
  const port = portOf(service(), slices);
  expect(port.endpoints.cluster).toHaveLength(100_000);
});
