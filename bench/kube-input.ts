// A cluster of any size, for measuring and for trying things out: services and endpoint slices as the API server has
// them, the same ones for the same numbers. Of every ten services one has a node port, one a load balancer with policy
// Local and source ranges, one an external address, one affinity; the rest are plain. Endpoints are spread over a hundred
// nodes, of which `node-0` is the one to program, and over slices of at most a hundred, as the controller does it.
//
//   node build/programs/bench/kube-input.js [SERVICES [ENDPOINTS]] > cluster.json
import type { KubeEndpointSlice, KubeService, NodeView } from '../lib/kube';

export interface Cluster {
  readonly services: readonly KubeService[];
  readonly slices: readonly KubeEndpointSlice[];
}

export const NODE: NodeView = { name: 'node-0', zone: 'zone-0', addresses: ['192.168.0.1'] };

const NODES = 100;
const SLICE = 100;

/** An IPv4 address of `10.<network>.0.0/16` and those after it. */
function address(network: number, index: number): string {
  return `10.${network + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
}

/** Services with that many endpoints each. */
export function makeCluster(services: number, endpoints: number): Cluster {
  const indices = Array.from({ length: services }, (_, i) => i);
  return {
    services: indices.map(makeService),
    slices: indices.flatMap((i) => makeSlices(i, endpoints)),
  };
}

function makeService(index: number): KubeService {
  const kind = index % 10;
  const local = { externalTrafficPolicy: 'Local', healthCheckNodePort: 20000 + (index % 10000) };
  const nodePort = kind === 1 || kind === 2 ? { nodePort: 30000 + (index % 30000) } : {};
  return {
    metadata: {
      namespace: `team-${index % 50}`,
      name: `service-${index}`,
      creationTimestamp: '2026-01-01T00:00:00Z',
      resourceVersion: String(index + 1),
    },
    spec: {
      type: kind === 1 ? 'NodePort' : kind === 2 ? 'LoadBalancer' : 'ClusterIP',
      clusterIP: address(96, index),
      clusterIPs: [address(96, index)],
      ipFamilies: ['IPv4'],
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, ...nodePort }],
      ...(kind === 2 && { ...local, loadBalancerSourceRanges: ['203.0.113.0/24'] }),
      ...(kind === 3 && { externalIPs: [address(200, index)] }),
      ...(kind === 4 && { sessionAffinity: 'ClientIP' }),
    },
    status: { loadBalancer: kind === 2 ? { ingress: [{ ip: address(210, index) }] } : {} },
  };
}

function makeSlices(index: number, endpoints: number): readonly KubeEndpointSlice[] {
  const namespace = `team-${index % 50}`;
  return Array.from({ length: Math.ceil(endpoints / SLICE) }, (_, part) => ({
    metadata: {
      namespace,
      name: `service-${index}-${part}`,
      labels: { 'kubernetes.io/service-name': `service-${index}` },
      resourceVersion: '1',
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: Array.from({ length: Math.min(SLICE, endpoints - part * SLICE) }, (_each, i) => {
      const at = index * endpoints + part * SLICE + i;
      return {
        addresses: [address(0, at)],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: `node-${at % NODES}`,
        zone: `zone-${at % 3}`,
      };
    }),
  }));
}

/** As `kubectl get services,endpointslices -A -o json` prints it. */
export function toList({ services, slices }: Cluster): unknown {
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      ...services.map((each) => ({ apiVersion: 'v1', kind: 'Service', ...each })),
      ...slices.map((each) => ({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        ...each,
      })),
    ],
  };
}

if (require.main === module) {
  const [services = 100, endpoints = 10] = process.argv.slice(2).map(Number);
  process.stdout.write(`${JSON.stringify(toList(makeCluster(services, endpoints)))}\n`);
}
