// Clusters of any kind, for properties of the rules written for them.
import fc from 'fast-check';
import { serviceMap, type ServiceMap } from '../../lib/kube';
import { going, node, service, slice } from '../kube/objects';

export const view = { ...node, zone: 'a', addresses: ['192.168.0.2', 'fd00::2'] };

const anyEndpoint = fc.record(
  {
    host: fc.integer({ min: 1, max: 40 }),
    nodeName: fc.constantFrom('here', 'there'),
    conditions: fc.constantFrom({ ready: true }, {}, going.conditions, { ready: false }),
  },
  { requiredKeys: ['host'] },
);
const anySpec = fc.record(
  {
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
    externalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    healthCheckNodePort: fc.constant(32000),
    externalIPs: fc.constantFrom(['192.0.2.1'], ['192.0.2.9', '192.0.2.1', '2001:db8::1']),
    loadBalancerSourceRanges: fc.constantFrom(
      [],
      ['203.0.113.0/24', '2001:db8:7::/48'],
      ['198.51.100.0/25', '192.168.0.0/16', 'fd00::/8'],
      ['nonsense'],
    ),
  },
  { requiredKeys: [] },
);
const anyPorts = fc.uniqueArray(
  fc.tuple(
    fc.constantFrom('', 'http', 'dns-tcp', 'sip'),
    fc.constantFrom('TCP', 'UDP', 'SCTP'),
    fc.boolean(),
  ),
  { minLength: 1, maxLength: 3, selector: ([name]) => name },
);
const anyMember = fc.tuple(anySpec, anyPorts, fc.array(anyEndpoint, { maxLength: 7 }));

/** Service maps of up to four services in both families, made from objects. */
export const anyMap: fc.Arbitrary<ServiceMap> = fc
  .array(anyMember, { maxLength: 4 })
  .map((members) => {
    const services = members.map(([spec, ports], i) =>
      service(
        {
          ...spec,
          clusterIP: `172.30.${i}.1`,
          clusterIPs: [`172.30.${i}.1`, `fd00:30::${i + 1}`],
          ipFamilies: ['IPv4', 'IPv6'],
          externalIPs: (spec.externalIPs ?? []).map((each) => each.replace(/2\.|::/, `$&${i}`)),
          ports: ports.map(([name, protocol, open], j) => ({
            ...{ name, protocol, port: 80 + j },
            ...(open && spec.type !== 'ClusterIP' && { nodePort: 30000 + 10 * i + j }),
          })),
        },
        {
          metadata: { name: `s${i}` },
          status: {
            loadBalancer: { ingress: [{ ip: `198.51.100.${i + 1}` }, { ip: `2001:db8:9::${i}` }] },
          },
        },
      ),
    );
    const slices = members.flatMap(([, ports, endpoints], i) =>
      ['IPv4', 'IPv6'].map((addressType) =>
        slice(
          endpoints.map(({ host, ...rest }) => ({
            ...rest,
            addresses: [addressType === 'IPv4' ? `10.1.0.${host}` : `fd00:10::${host}`],
          })),
          {
            metadata: {
              name: `s${i}-${addressType}`,
              labels: { 'kubernetes.io/service-name': `s${i}` },
            },
            addressType,
            ports: ports.map(([name, protocol], j) => ({ name, protocol, port: 8080 + j })),
          },
        ),
      ),
    );
    return serviceMap(services, slices, view);
  });
