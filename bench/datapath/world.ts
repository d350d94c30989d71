// Three ways from a client to a server, each over a director of its own, all in one kernel: one that only forwards, one that
// serves the services by IPVS, one by iptables. The addresses are the same on all three.
import { execFileSync } from 'node:child_process';
import type { KubeEndpointSlice, KubeService, NodeView } from '../../lib/kube';

export const PATHS = ['bare', 'ipvs', 'iptables'] as const;
export type Path = (typeof PATHS)[number];

/** The namespaces of a path. */
export function names(path: Path): { client: string; director: string; server: string } {
  return { client: `${path}-client`, director: `${path}-director`, server: `${path}-server` };
}

export const NODE: NodeView = { name: 'node-0', addresses: ['10.245.0.1', '10.246.0.1'] };
/** The client is a pod, so nothing is masqueraded: what is measured is the choice of a destination. */
export const POD_CIDRS = ['10.244.0.0/14'];
export const ENDPOINTS = 2;
export const BARE_ADDRESS = '10.244.0.1';
export const PORT = 8080;

/** Makes the namespaces, their links and routes. */
export function makeWorld(): void {
  for (const path of PATHS) {
    const { client, director, server } = names(path);
    for (const name of [client, director, server]) {
      run('ip', 'netns', 'add', name);
      ip(name, 'link', 'set', 'lo', 'up');
    }
    join(director, 'inner', '10.245.0.1/24', client, '10.245.0.2/24');
    join(director, 'outer', '10.246.0.1/24', server, '10.246.0.2/24');
    ip(director, 'route', 'add', '10.244.0.0/16', 'via', '10.246.0.2');
    run('ip', 'netns', 'exec', director, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    ip(client, 'route', 'add', 'default', 'via', '10.245.0.1');
    ip(server, 'route', 'add', 'default', 'via', '10.246.0.1');
    // Every endpoint there is.
    ip(server, 'route', 'add', 'local', '10.244.0.0/16', 'dev', 'lo');
  }
}

function join(one: string, device: string, here: string, other: string, there: string): void {
  ip(one, 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other);
  ip(one, 'addr', 'add', here, 'dev', device);
  ip(one, 'link', 'set', device, 'up');
  ip(other, 'addr', 'add', there, 'dev', 'eth0');
  ip(other, 'link', 'set', 'eth0', 'up');
}

function ip(netns: string, ...args: readonly string[]): void {
  run('ip', '-n', netns, ...args);
}

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

export function clusterAddress(index: number): string {
  return address('10.96', index + 1);
}

function address(network: '10.96' | '10.244', index: number): string {
  return `${network}.${index >> 8}.${index & 255}`;
}

export interface Cluster {
  readonly services: readonly KubeService[];
  readonly slices: readonly KubeEndpointSlice[];
}

/** So many plain services of two endpoints; `changed` has another one for its second. */
export function cluster(count: number, changed?: number): Cluster {
  const indices = Array.from({ length: count }, (_, i) => i);
  const name = (index: number): string => `service-${String(index).padStart(5, '0')}`;
  return {
    services: indices.map((index) => ({
      metadata: { namespace: 'shop', name: name(index) },
      spec: {
        type: 'ClusterIP',
        clusterIP: clusterAddress(index),
        ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
      },
    })),
    slices: indices.map((index) => ({
      metadata: {
        namespace: 'shop',
        name: `${name(index)}-1`,
        labels: { 'kubernetes.io/service-name': name(index) },
      },
      addressType: 'IPv4',
      ports: [{ name: 'http', protocol: 'TCP', port: PORT }],
      endpoints: Array.from({ length: ENDPOINTS }, (_, i) => {
        const other = index === changed && i === 1 ? ENDPOINTS * count : 0;
        const at = (other === 0 ? ENDPOINTS * index + i : other) + 1;
        return { addresses: [address('10.244', at)], nodeName: 'node-1' };
      }),
    })),
  };
}
