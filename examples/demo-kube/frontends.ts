// Every way into the shop, and what is expected of it: who answers, and as whom they see the one who asks.
import { ADDRESSES, LOCAL, NODE_ADDRESSES, NODE_FACES } from './hosts';

export type Origin = 'pod' | 'node' | 'outside';
export const ORIGINS: readonly Origin[] = ['pod', 'node', 'outside'];

/** As whom a pod sees the one who asks; a pod that reaches itself through a service is always seen as the node. */
export type Seen = 'itself' | 'node';

export type Expected =
  | { readonly pods: readonly string[]; readonly seen: Seen }
  /** One pod, the same one each time. */
  | { readonly one: true; readonly seen: Seen }
  | { readonly answer: 'refused' | 'dropped' };

export interface Frontend {
  readonly title: string;
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  readonly expected: Readonly<Partial<Record<Origin | 'stranger', Expected>>>;
}

const ALL = ['ash', 'elm', 'oak'];
const [NODE_ADDRESS = ''] = NODE_ADDRESSES;

const everywhere = (pod: Seen, others: Seen): Frontend['expected'] => ({
  pod: { pods: ALL, seen: pod },
  node: { pods: ALL, seen: others },
  outside: { pods: ALL, seen: others },
});
const same = (expected: Expected): Frontend['expected'] => ({
  pod: expected,
  node: expected,
  outside: expected,
});
const tcp = (
  title: string,
  address: string,
  expected: Frontend['expected'],
  port = 80,
): Frontend => ({ title, protocol: 'tcp', address, port, expected });
const udp = (title: string, address: string): Frontend => ({
  title,
  protocol: 'udp',
  address,
  port: 53,
  expected: everywhere('itself', 'node'),
});

// Cluster addresses: pods are seen as they are, everybody else comes as the node, so that answers find their way back.
const clusterIP = everywhere('itself', 'node');

export const FRONTENDS: readonly Frontend[] = [
  tcp('cart, cluster IP', '172.30.0.10', clusterIP),
  tcp('cart, cluster IP of IPv6', 'fd00:30::10', clusterIP),
  tcp('stock, cluster IP', '172.30.0.20', clusterIP),
  tcp('stock, node port', NODE_ADDRESS, everywhere('node', 'node'), 30080),
  tcp('admin, cluster IP', '172.30.0.30', clusterIP),
  tcp('admin, load balancer for 203.0.113.0/25', '198.51.100.30', {
    pod: { answer: 'dropped' },
    node: { answer: 'dropped' },
    outside: { pods: ALL, seen: 'node' },
    stranger: { answer: 'dropped' },
  }),
  tcp('web, cluster IP', '172.30.0.40', clusterIP),
  tcp('web, load balancer, policy Local', '198.51.100.40', {
    pod: { pods: LOCAL, seen: 'itself' },
    node: { pods: LOCAL, seen: 'node' },
    outside: { pods: LOCAL, seen: 'itself' },
  }),
  tcp(
    'web, node port, policy Local',
    NODE_ADDRESS,
    {
      pod: { pods: LOCAL, seen: 'itself' },
      node: { pods: LOCAL, seen: 'node' },
      outside: { pods: LOCAL, seen: 'itself' },
    },
    30040,
  ),
  tcp('login, session affinity', '172.30.0.50', {
    pod: { one: true, seen: 'itself' },
    node: { one: true, seen: 'node' },
    outside: { one: true, seen: 'node' },
  }),
  udp('dns, cluster IP over UDP', '172.30.0.53'),
  udp('dns, cluster IP of IPv6 over UDP', 'fd00:30::53'),
  tcp('soon, a service without pods', '172.30.0.60', same({ answer: 'refused' })),
  tcp(
    'db, headless: a pod’s own address',
    '10.2.1.2',
    {
      pod: { pods: ['oak'], seen: 'itself' },
      node: { pods: ['oak'], seen: 'node' },
      outside: { pods: ['oak'], seen: 'itself' },
    },
    8080,
  ),
];

/** The addresses that somebody may be seen as; service addresses are the node's own, too. */
export function facesOf(origin: Origin | 'stranger', seen: Seen): readonly string[] {
  const services = FRONTENDS.map(({ address }) => address);
  if (seen === 'node' || origin === 'node') return [...NODE_FACES, ...services];
  const { ash, client, stranger } = ADDRESSES;
  return { pod: ash, outside: client, stranger }[origin];
}
