import { serviceMap, type NodeView } from '../../lib/kube';
import {
  balanced,
  endpoint,
  going,
  lists,
  LOCAL,
  mapOf,
  node,
  portOf,
  REMOTE,
  service,
  slice,
} from './objects';

test('a service without a cluster IP, and one that is only a name, are not proxied', () => {
  for (const spec of [
    { clusterIP: 'None' },
    { clusterIP: '' },
    { clusterIP: undefined },
    { type: 'ExternalName' },
  ]) {
    expect(mapOf(service(spec), slice([LOCAL]))).toEqual({
      ports: [],
      healthChecks: [],
      problems: [],
    });
  }
});

test('services of another proxy and headless ones are left to others', () => {
  const labelled = (label: string): unknown =>
    service({}, { metadata: { labels: { [`service.kubernetes.io/${label}`]: 'x' } } });
  expect(mapOf(labelled('service-proxy-name')).ports).toEqual([]);
  expect(mapOf(labelled('headless')).ports).toEqual([]);
  const headless = slice([LOCAL], {
    metadata: {
      labels: { 'kubernetes.io/service-name': 'web', 'service.kubernetes.io/headless': '' },
    },
  });
  expect(lists(portOf(service(), [headless])).cluster).toEqual([]);
});

test('a proxy with a name takes the services that ask for it, and no others', () => {
  const mine = service(
    {},
    { metadata: { labels: { 'service.kubernetes.io/service-proxy-name': 'x' } } },
  );
  const other = service({}, { metadata: { name: 'other' } });
  const map = serviceMap([mine, other], [], node, { serviceProxyName: 'x' });
  expect(map.ports.map(({ name }) => name)).toEqual(['ns1/web:p80']);
});

test('ports are told apart by name and protocol, and take the number from the slice', () => {
  const dns = service({
    ports: [
      { name: 'dns', protocol: 'UDP', port: 53 },
      { name: 'dns-tcp', protocol: 'TCP', port: 53 },
      { name: 'assoc', protocol: 'SCTP', port: 5000 },
    ],
  });
  const endpoints = slice([LOCAL], {
    ports: [
      { name: 'dns', protocol: 'UDP', port: 1053 },
      { name: 'dns-tcp', protocol: 'TCP', port: 2053 },
      { name: 'assoc', protocol: 'TCP', port: 1 },
    ],
  });
  const { ports } = mapOf(dns, endpoints);
  expect(ports.map((port) => [port.name, port.protocol, lists(port).cluster])).toEqual([
    ['ns1/web:assoc', 'sctp', []],
    ['ns1/web:dns', 'udp', ['10.1.0.5:1053']],
    ['ns1/web:dns-tcp', 'tcp', ['10.1.0.5:2053']],
  ]);
});

test('a port without a name goes by the name of its service, and is TCP', () => {
  const port = portOf(service({ ports: [{ port: 80 }] }), [
    slice([LOCAL], { ports: [{ name: '', port: 8080 }] }),
  ]);
  expect(port).toMatchObject({ name: 'ns1/web', protocol: 'tcp' });
  expect(lists(port).cluster).toEqual(['10.1.0.5:8080']);
});

test('a slice port without a name or a number is none to send to', () => {
  const of = (port: unknown): unknown =>
    lists(portOf(service(), [slice([LOCAL], { ports: [port] })]));
  expect(of({ protocol: 'TCP', port: 8080 })).toEqual({ cluster: [] });
  expect(of({ name: 'p80', protocol: 'TCP' })).toEqual({ cluster: [] });
  expect(of({ name: 'p80', protocol: 'TCP', port: 0 })).toEqual({ cluster: [] });
});

test('dual stack: a port of each family, with the endpoints of its family', () => {
  const dual = service({
    clusterIPs: ['172.30.0.10', 'fd00:30::10'],
    ipFamilies: ['IPv4', 'IPv6'],
    externalIPs: ['192.0.2.1', '2001:DB8::1'],
  });
  const six = slice([endpoint('fd00:0010::5', 'here')], {
    addressType: 'IPv6',
    metadata: { name: 'web-2' },
  });
  const { ports } = mapOf(dual, slice([LOCAL]), six);
  const seen = ports.map((port) => [
    port.family,
    port.frontends.map(({ kind, address }) => `${kind} ${address}`),
    lists(port).cluster,
  ]);
  expect(seen).toEqual([
    ['ipv4', ['clusterIP 172.30.0.10', 'externalIP 192.0.2.1'], ['10.1.0.5:8080']],
    ['ipv6', ['clusterIP fd00:30::10', 'externalIP 2001:db8::1'], ['fd00:10::5:8080']],
  ]);
});

test('addresses in slices of host names are not endpoints', () => {
  const names = slice([{ addresses: ['example.com'] }], { addressType: 'FQDN' });
  expect(mapOf(service(), names)).toMatchObject({ problems: [] });
  expect(lists(portOf(service(), [names])).cluster).toEqual([]);
});

test('only the first address of an endpoint counts', () => {
  const two = slice([{ addresses: ['10.1.0.5', '10.1.0.6'] }]);
  expect(lists(portOf(service(), [two])).cluster).toEqual(['10.1.0.5:8080']);
});

test('addresses are decimal in spite of leading zeros, as Kubernetes reads them', () => {
  const port = portOf(service({ externalIPs: ['010.020.030.040'] }), []);
  expect(port.frontends[1]?.address).toBe('10.20.30.40');
});

test('a load balancer that keeps the address to itself (ipMode Proxy) or has a name is no way in', () => {
  const ingress = [
    { ip: '1.2.3.4', ipMode: 'Proxy' },
    { hostname: 'lb.example' },
    { ip: '1.2.3.5', ipMode: 'VIP' },
  ];
  const { frontends } = portOf(balanced({}, ingress), []);
  expect(frontends.map(({ address }) => address)).toEqual(['172.30.0.10', '1.2.3.5']);
});

test('session affinity lasts as long as the service says, three hours if it does not', () => {
  const affinity = (spec: Readonly<Record<string, unknown>>): unknown =>
    portOf(service(spec), []).affinity;
  const config = { sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } };
  expect(affinity({ sessionAffinity: 'ClientIP', ...config })).toEqual({ timeout: 60 });
  expect(affinity({ sessionAffinity: 'ClientIP' })).toEqual({ timeout: 10800 });
  expect(affinity({ sessionAffinity: 'None', ...config })).toBeUndefined();
});

describe('source ranges', () => {
  const ranges = (given: unknown): unknown =>
    portOf(balanced({ loadBalancerSourceRanges: given }), []).frontends.at(-1)?.sourceRanges;

  test('are of the family of the address, without spaces and host bits', () => {
    expect(ranges([' 203.0.113.7/25 ', '2001:db8::/32'])).toEqual(['203.0.113.0/25']);
  });
  test('none, none of the family, and one that has everybody, all mean everybody', () => {
    expect(ranges([])).toBeUndefined();
    expect(ranges(['2001:db8::/32'])).toBeUndefined();
    expect(ranges(['203.0.113.0/25', '0.0.0.0/0'])).toBeUndefined();
  });
  test('a range that cannot be read does not open the door', () => {
    expect(ranges(['203.0.113.0/33'])).toEqual([]);
    expect(ranges(['office', '203.0.113.0/25'])).toEqual(['203.0.113.0/25']);
  });
  test('are for the load balancer alone', () => {
    const { frontends } = portOf(
      balanced({ loadBalancerSourceRanges: ['203.0.113.0/25'], externalIPs: ['192.0.2.1'] }),
      [],
    );
    expect(frontends.map(({ kind, sourceRanges }) => [kind, sourceRanges?.length])).toEqual([
      ['clusterIP', undefined],
      ['externalIP', undefined],
      ['loadBalancer', 1],
    ]);
  });
});

describe('which endpoints', () => {
  const waiting = { conditions: { ready: false, serving: false, terminating: false } };
  const dead = { conditions: { ready: false, serving: false, terminating: true } };
  const of = (spec: Readonly<Record<string, unknown>>, ...endpoints: unknown[]): unknown =>
    lists(portOf(service({ type: 'NodePort', ...spec }), [slice(endpoints)]));
  const external = {
    externalTrafficPolicy: 'Local',
    ports: [{ name: 'p80', port: 80, nodePort: 30080 }],
  };

  test('conditions that are not given mean ready', () => {
    expect(
      of({}, { addresses: ['10.1.0.5'] }, { addresses: ['10.1.0.6'], conditions: { ready: null } }),
    ).toEqual({
      cluster: ['10.1.0.5:8080', '10.1.0.6:8080'],
    });
  });
  test('those that are not ready get no traffic', () => {
    expect(of({}, LOCAL, endpoint('10.1.0.6', 'here', waiting))).toEqual({
      cluster: ['10.1.0.5:8080'],
    });
    expect(
      of({}, endpoint('10.1.0.6', 'here', waiting), endpoint('10.1.0.7', 'here', dead)),
    ).toEqual({ cluster: [] });
  });
  test('those that are terminating but still serve get traffic when nobody is ready', () => {
    expect(of({}, endpoint('10.1.0.6', 'here', going))).toEqual({ cluster: ['10.1.0.6:8080'] });
    expect(of({}, REMOTE, endpoint('10.1.0.6', 'here', going))).toEqual({
      cluster: ['10.1.9.9:8080'],
    });
  });
  test('policy Local: those of this node; terminating ones there when none is ready there', () => {
    expect(of(external, LOCAL, REMOTE)).toEqual({
      cluster: ['10.1.0.5:8080', '10.1.9.9:8080'],
      local: ['10.1.0.5:8080'],
    });
    expect(of(external, REMOTE, endpoint('10.1.0.6', 'here', going))).toEqual({
      cluster: ['10.1.9.9:8080'],
      local: ['10.1.0.6:8080'],
    });
    expect(of(external, REMOTE)).toEqual({ cluster: ['10.1.9.9:8080'], local: [] });
  });
  test('external policy Local means nothing to a port that nobody can reach from outside', () => {
    expect(of({ type: 'ClusterIP', externalTrafficPolicy: 'Local' }, LOCAL)).toEqual({
      cluster: ['10.1.0.5:8080'],
    });
    expect(of({ externalTrafficPolicy: 'Local' }, LOCAL)).toEqual({ cluster: ['10.1.0.5:8080'] });
  });
  test('internal policy Local has no use for endpoints elsewhere', () => {
    expect(of({ type: 'ClusterIP', internalTrafficPolicy: 'Local' }, LOCAL, REMOTE)).toEqual({
      local: ['10.1.0.5:8080'],
    });
  });
  test('there are endpoints somewhere, or nowhere: what a refusal is told by', () => {
    const anywhere = (...endpoints: unknown[]): boolean =>
      portOf(service({ internalTrafficPolicy: 'Local' }), [slice(endpoints)]).endpoints.anywhere;
    expect(anywhere(REMOTE)).toBe(true);
    expect(anywhere(endpoint('10.1.0.6', 'there', going))).toBe(true);
    expect(anywhere(endpoint('10.1.0.6', 'there', dead))).toBe(false);
    expect(anywhere()).toBe(false);
  });
  test('every endpoint of this node may reach itself, whatever its condition', () => {
    const port = portOf(service(), [slice([REMOTE, endpoint('10.1.0.6', 'here', dead), LOCAL])]);
    expect(port.endpoints.hairpin.map(({ address }) => address)).toEqual(['10.1.0.5', '10.1.0.6']);
  });
  test('an endpoint in two slices counts once, and as the one that is not terminating', () => {
    const again = slice([endpoint('10.1.0.5', 'here', going)], { metadata: { name: 'web-2' } });
    for (const slices of [
      [slice([LOCAL]), again],
      [again, slice([LOCAL])],
    ]) {
      const port = portOf(service(external), slices);
      expect(lists(port).cluster).toEqual(['10.1.0.5:8080']);
    }
  });
});

test('a terminating endpoint gives way to itself in another slice even where it is said to be ready', () => {
  const conditions = { ready: true, serving: true, terminating: true };
  const starting = { conditions: { ready: false, serving: false, terminating: false } };
  const port = portOf(service(), [
    slice([endpoint('10.1.0.5', 'here', { conditions })]),
    slice([endpoint('10.1.0.5', 'here', starting)], { metadata: { name: 'web-2' } }),
  ]);
  expect(lists(port).cluster).toEqual([]);
});

describe('topology', () => {
  const view = { ...node, zone: 'a' };
  const hinted = (address: string, hints: unknown, more = {}): unknown =>
    endpoint(address, 'there', { hints, ...more });
  const zone = (...names: string[]): unknown => ({ forZones: names.map((name) => ({ name })) });
  const nodes = (...names: string[]): unknown => ({ forNodes: names.map((name) => ({ name })) });
  const of = (endpoints: readonly unknown[], where: NodeView = view): unknown =>
    lists(portOf(service(), [slice(endpoints)], where)).cluster;

  test('zone hints keep traffic in the zone', () => {
    expect(of([hinted('10.1.0.5', zone('a')), hinted('10.1.0.6', zone('b'))])).toEqual([
      '10.1.0.5:8080',
    ]);
  });
  test('one ready endpoint without a hint, or no hint for this zone, and all are used', () => {
    expect(of([hinted('10.1.0.5', zone('a')), REMOTE])).toHaveLength(2);
    expect(of([hinted('10.1.0.5', zone('b')), hinted('10.1.0.6', zone('c'))])).toHaveLength(2);
    expect(of([hinted('10.1.0.5', zone('a')), hinted('10.1.0.6', zone('b'))], node)).toHaveLength(
      2,
    );
  });
  test('an endpoint that is not ready has no say', () => {
    const gone = endpoint('10.1.0.7', 'there', going);
    expect(of([hinted('10.1.0.5', zone('a')), hinted('10.1.0.6', zone('b')), gone])).toEqual([
      '10.1.0.5:8080',
    ]);
  });
  test('node hints go before zone hints', () => {
    const both = { ...(nodes('here') as object), ...(zone('b') as object) };
    const other = { ...(nodes('there') as object), ...(zone('a') as object) };
    expect(of([hinted('10.1.0.5', both), hinted('10.1.0.6', other)])).toEqual(['10.1.0.5:8080']);
    expect(
      of([
        hinted('10.1.0.5', { ...(nodes('x') as object), ...(zone('a') as object) }),
        hinted('10.1.0.6', other),
      ]),
    ).toHaveLength(2);
  });
  test('hints do not touch the list of policy Local', () => {
    const port = portOf(
      service({ internalTrafficPolicy: 'Local' }),
      [slice([endpoint('10.1.0.5', 'here', { hints: zone('b') })])],
      view,
    );
    expect(lists(port).local).toEqual(['10.1.0.5:8080']);
  });
});

test('a load balancer asks on the health check port for ready addresses of this node, over all ports', () => {
  const spec = {
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32000,
    ports: [
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ],
  };
  const ports = {
    ports: [
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ],
  };
  const endpoints = slice([LOCAL, REMOTE, endpoint('10.1.0.6', 'here', going)], ports);
  expect(mapOf(balanced(spec), endpoints).healthChecks).toEqual([
    { namespace: 'ns1', service: 'web', family: 'ipv4', port: 32000, localEndpoints: 1 },
  ]);
  expect(
    mapOf(balanced({ ...spec, externalTrafficPolicy: 'Cluster' }), endpoints).healthChecks,
  ).toEqual([]);
});

test('endpoints are in the order of their text', () => {
  const port = portOf(service(), [
    slice([endpoint('10.1.0.5', 'x'), endpoint('1.1.1.1', 'x'), endpoint('1.1.1.11', 'x')]),
  ]);
  expect(lists(port).cluster).toEqual(['1.1.1.11:8080', '1.1.1.1:8080', '10.1.0.5:8080']);
});
