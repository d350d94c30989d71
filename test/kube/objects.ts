// Objects as the API server has them, for the tests of the Kubernetes half.
import type {
  KubeEndpointSlice,
  KubeService,
  NodeView,
  ServiceMap,
  ServicePort,
} from '../../lib/kube';
import { serviceMap } from '../../lib/kube';

export const node: NodeView = { name: 'here', addresses: ['192.168.0.2'] };

type Fields = Readonly<Record<string, unknown>>;

/** A service called `ns1/web` with TCP port 80 at 172.30.0.10, but for what is said. */
export function service(spec: Fields = {}, more: Fields = {}): KubeService {
  const { metadata = {}, status } = more as { metadata?: Fields; status?: Fields };
  return {
    metadata: { namespace: 'ns1', name: 'web', ...metadata },
    spec: {
      type: 'ClusterIP',
      clusterIP: '172.30.0.10',
      ports: [{ name: 'p80', protocol: 'TCP', port: 80, targetPort: 8080 }],
      ...spec,
    },
    ...(status && { status }),
  };
}

/** A service with a load balancer's address. */
export function balanced(spec: Fields = {}, ingress: unknown = [{ ip: '1.2.3.4' }]): KubeService {
  return service({ type: 'LoadBalancer', ...spec }, { status: { loadBalancer: { ingress } } });
}

/** An endpoint that is ready, on this node or another. */
export function endpoint(address: string, where: string, more: Fields = {}): Fields {
  return { addresses: [address], nodeName: where, conditions: { ready: true }, ...more };
}

/** A slice of `ns1/web` with port 8080. */
export function slice(endpoints: readonly unknown[], more: Fields = {}): KubeEndpointSlice {
  const { metadata = {}, ...rest } = more as { metadata?: Fields };
  return {
    metadata: {
      namespace: 'ns1',
      name: 'web-1',
      labels: { 'kubernetes.io/service-name': 'web' },
      ...metadata,
    },
    addressType: 'IPv4',
    ports: [{ name: 'p80', protocol: 'TCP', port: 8080 }],
    endpoints,
    ...rest,
  };
}

export const LOCAL = endpoint('10.1.0.5', 'here');
export const REMOTE = endpoint('10.1.9.9', 'there');
export const going = { conditions: { ready: false, serving: true, terminating: true } };

/** The one port that comes of a service and its slices. */
export function portOf(
  services: KubeService | readonly KubeService[],
  slices: readonly KubeEndpointSlice[],
  view: NodeView = node,
): ServicePort {
  const map = serviceMap([services].flat(), slices, view);
  const [port] = map.ports;
  if (map.ports.length !== 1 || port === undefined) throw new Error(JSON.stringify(map));
  return port;
}

/** `cluster` and `local` lists of a port, as text. */
export function lists(port: ServicePort): { cluster?: string[]; local?: string[] } {
  const { cluster, local } = port.endpoints;
  const text = (list: typeof cluster): string[] =>
    (list ?? []).map((e) => `${e.address}:${e.port}`);
  return { ...(cluster && { cluster: text(cluster) }), ...(local && { local: text(local) }) };
}

export function problemsOf(...objects: readonly unknown[]): readonly string[] {
  return mapOf(...objects).problems;
}

/** A map of objects told apart by what they have. */
export function mapOf(...objects: readonly unknown[]): ServiceMap {
  const isSlice = (object: unknown): boolean =>
    typeof object === 'object' && object !== null && 'addressType' in object;
  return serviceMap(
    objects.filter((object) => !isSlice(object)) as KubeService[],
    objects.filter(isSlice) as KubeEndpointSlice[],
    node,
  );
}
