// Service maps of every kind, for the properties of the iptables writer: services and endpoints of both families by way of
// serviceMap, virtual servers by way of fromServers.
import fc from 'fast-check';
import type { VirtualServer } from '../../lib';
import { serviceMap, type NodeView, type ServiceMap, type ServicePort } from '../../lib/kube';
import { fromServers } from '../../lib/iptables';
import { going, service, slice } from '../kube/objects';

export const VIEW: NodeView = {
  name: 'here',
  zone: 'a',
  addresses: ['192.168.0.2', '10.9.0.2', 'fd00::2', '127.0.0.1'],
};

const spec = fc.record(
  {
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
    externalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    loadBalancerSourceRanges: fc.constantFrom(
      [],
      ['203.0.113.0/24', '2001:db8:1::/48'],
      ['192.168.0.0/16', 'fd00::/8', 'x'],
    ),
    protocol: fc.constantFrom('TCP', 'UDP', 'SCTP'),
    families: fc.constantFrom(['IPv4'], ['IPv6'], ['IPv4', 'IPv6']),
    external: fc.boolean(),
    healthCheckNodePort: fc.constant(32000),
    weights: fc.constantFrom('node/here=3', 'default=0', 'node/there=0'),
  },
  { requiredKeys: ['protocol', 'families', 'external'] },
);

const endpoint = fc.record(
  {
    host: fc.integer({ min: 1, max: 20 }),
    nodeName: fc.constantFrom('here', 'there'),
    conditions: fc.constantFrom({ ready: true }, {}, going.conditions, { ready: false }),
  },
  { requiredKeys: ['host', 'nodeName'] },
);

/** A service and its endpoints; which one it is only its place in a cluster tells. */
const member = fc.tuple(spec, fc.array(endpoint, { maxLength: 5 }));
export type Member = typeof member extends fc.Arbitrary<infer M> ? M : never;

/** Services as an API server has them; undefined: there is none of that number. */
export function kubeMap(members: readonly (Member | undefined)[]): ServiceMap {
  const there = [...members.entries()].flatMap(([i, each]) =>
    each === undefined ? [] : [[i, each] as const],
  );
  return serviceMap(
    there.map(([i, [each]]) => toService(i, each)),
    there.flatMap(([i, [each, endpoints]]) =>
      each.families.map((family) => toSlice(i, each.protocol, family, endpoints)),
    ),
    VIEW,
  );
}

function toService(
  i: number,
  { weights, external, protocol, ...rest }: Member[0],
): ReturnType<typeof service> {
  const addresses = rest.families.map((family) =>
    family === 'IPv4' ? `172.30.0.${i + 1}` : `fd00:30::${i + 1}`,
  );
  const ips = rest.families.map((family) =>
    family === 'IPv4' ? `198.51.100.${i + 1}` : `2001:db8:2::${i + 1}`,
  );
  return service(
    {
      ...rest,
      clusterIP: addresses[0],
      clusterIPs: addresses,
      ipFamilies: rest.families,
      externalIPs: external ? [`192.0.2.${i + 1}`, `2001:db8:3::${i + 1}`] : [],
      ports: [
        { name: 'p', protocol, port: 80, nodePort: 30000 + i },
        ...(i % 3 === 0 ? [{ name: 'q', protocol, port: 81, nodePort: 31000 + i }] : []),
      ],
    },
    {
      metadata: {
        name: `s${i}`,
        ...(weights !== undefined && { annotations: { 'ipvs/weights': weights } }),
      },
      status: { loadBalancer: { ingress: ips.map((ip) => ({ ip })) } },
    },
  );
}

function toSlice(
  i: number,
  protocol: string,
  family: string,
  endpoints: Member[1],
): ReturnType<typeof slice> {
  return slice(
    endpoints.map(({ host, ...rest }) => ({
      ...rest,
      addresses: [family === 'IPv4' ? `10.1.0.${host}` : `fd00:10::${host}`],
    })),
    {
      metadata: {
        name: `s${i}-${family}`,
        labels: { 'kubernetes.io/service-name': `s${i}` },
      },
      addressType: family,
      ports: ['p', 'q'].map((name) => ({ name, protocol, port: 8080 })),
    },
  );
}

const destination = fc.record({
  host: fc.integer({ min: 1, max: 20 }),
  port: fc.constantFrom(0, 8080),
  weight: fc.constantFrom(0, 1, 1, 2, 5, 2147483647),
});

const server = fc.record({
  protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
  family: fc.constantFrom('ipv4' as const, 'ipv6' as const),
  scheduler: fc.constantFrom('rr', 'wrr', 'fo', 'wlc', 'sh'),
  persistence: fc.constantFrom(undefined, { timeout: 300 }, { timeout: 9, prefix: 20 }),
  destinations: fc.uniqueArray(destination, { maxLength: 5, selector: ({ host }) => host }),
});
export type Server = typeof server extends fc.Arbitrary<infer S> ? S : never;

/** Virtual servers, told apart by their place. */
export function serverMap(servers: readonly (Server | undefined)[]): ServiceMap {
  const made = [...servers.entries()].flatMap(([i, each]): VirtualServer[] => {
    if (each === undefined) return [];
    const { family, destinations, persistence, ...rest } = each;
    const four = family === 'ipv4';
    return [
      {
        ...rest,
        ...(persistence && { persistence }),
        address: four ? `10.0.0.${i + 1}` : `fd00:40::${i + 1}`,
        port: 80,
        destinations: destinations.map(({ host, ...more }) => ({
          ...more,
          address: four ? `192.0.2.${host}` : `2001:db8::${host}`,
        })),
      },
    ];
  });
  return fromServers(made, { unsupported: 'approximate' });
}

/** Several in one. */
export function together(...maps: readonly ServiceMap[]): ServiceMap {
  return {
    ports: maps.flatMap(({ ports }) => ports),
    healthChecks: maps.flatMap(({ healthChecks }) => healthChecks),
    problems: maps.flatMap(({ problems }) => problems),
  };
}

/** Everything there is to program, of both origins. */
export const anyMap: fc.Arbitrary<ServiceMap> = fc
  .tuple(fc.array(member, { maxLength: 8 }), fc.array(server, { maxLength: 5 }))
  .map(([members, servers]) => together(kubeMap(members), serverMap(servers)));

const PLACES = 10;
const places = <T>(each: fc.Arbitrary<T>): fc.Arbitrary<(T | undefined)[]> =>
  fc.array(fc.option(each, { nil: undefined }), { minLength: PLACES, maxLength: PLACES });
const cluster = fc.tuple(places(member), places(server));

/**
 * A map, and others that came of it one after the other by changing, adding and removing some. What stays the same is the
 * same object in some of them, and one that is only equal in others.
 */
export const anyHistory: fc.Arbitrary<readonly ServiceMap[]> = fc
  .tuple(
    cluster,
    fc.array(
      fc.tuple(
        cluster,
        fc.array(fc.nat(3), { minLength: PLACES, maxLength: PLACES }),
        fc.boolean(),
      ),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .map(([first, turns]) => {
    let [members, servers] = first;
    let map = together(kubeMap(members), serverMap(servers));
    const maps = [map];
    for (const [[otherMembers, otherServers], dice, sharing] of turns) {
      const pick = <T>(mine: T, other: T, i: number): T => (dice[i] === 0 ? other : mine);
      members = members.map((each, i) => pick(each, otherMembers[i], i));
      servers = servers.map((each, i) => pick(each, otherServers[i], PLACES - 1 - i));
      const next = together(kubeMap(members), serverMap(servers));
      map = sharing ? { ...next, ports: next.ports.map(sharedWith(map.ports)) } : next;
      maps.push(map);
    }
    return maps;
  });

function sharedWith(ports: readonly ServicePort[]): (port: ServicePort) => ServicePort {
  const known = new Map(ports.map((port) => [JSON.stringify(port), port]));
  return (port) => known.get(JSON.stringify(port)) ?? port;
}

/** Options that change what is written where. */
export const anyOptions = fc.record(
  {
    clusterCIDRs: fc.constantFrom(['10.0.0.0/8', 'fd00:10::/32']),
    masqueradeAll: fc.boolean(),
    masqueradeBit: fc.constantFrom(0, 14, 31),
    localhostNodePorts: fc.boolean(),
    conntrackLiberal: fc.boolean(),
    largeCluster: fc.boolean(),
    weights: fc.boolean(),
    prefix: fc.constantFrom('KUBE', 'IPVSTST'),
  },
  { requiredKeys: [] },
);
