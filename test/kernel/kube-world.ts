// A small cluster of network namespaces, with real packets and both families: a node with two pods, a pod of another node,
// and a client outside, the last two beyond a router.
//
//   pod 10.1.1.5 ─┐                            ┌─ far 10.1.9.9
//                 ├─ node 192.168.0.2 ─ router ┤
//   other 10.1.2.6┘                            └─ client 203.0.113.9
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { NodeView } from '../../lib/kube';
import type { Family } from '../../lib';
import { Namespace, run } from './helpers';

export type Addresses = Readonly<Record<Family, string>>;
export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

const GATEWAYS = {
  pod: { ipv4: '10.1.1.1', ipv6: 'fd00:10:1:1::1' },
  other: { ipv4: '10.1.2.1', ipv6: 'fd00:10:1:2::1' },
};
export const VIEW: NodeView = {
  name: 'here',
  addresses: [
    ...['192.168.0.2', 'fd00:192::2'],
    ...Object.values(GATEWAYS).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
  ],
};
export const POD_RANGES = ['10.0.0.0/8', 'fd00:10::/32'];
/** Where services have their addresses, and outsiders find the node. */
const SERVICE_RANGES: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['172.30.0.0/24', '198.51.100.0/24', '192.0.2.0/24'],
  ipv6: ['fd00:172::/64', '2001:db8:198::/64', '2001:db8:192::/64'],
};
const POD_RANGES_HERE: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['10.1.1.0/24', '10.1.2.0/24'],
  ipv6: ['fd00:10:1:1::/64', 'fd00:10:1:2::/64'],
};

const PEER = path.join(__dirname, 'programs/peer.js');

export interface Question {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  readonly count: number;
  /** How long to wait for an answer, in milliseconds. */
  readonly patience: number;
  readonly token?: string;
}

/** A host with a program that asks and answers. */
export class Host {
  readonly namespace = new Namespace();
  #process: ChildProcessByStdio<Writable, Readable, null> | undefined;
  readonly #open = new Map<number, (said: readonly never[]) => void>();
  #asked = 0;

  constructor(readonly addresses: Addresses) {}

  async start(): Promise<void> {
    const { ipv4, ipv6 } = this.addresses;
    const args = ['netns', 'exec', this.namespace.name, process.execPath, PEER];
    const env = { ...process.env, udp4: ipv4, udp6: ipv6 };
    const child = spawn('ip', args, { stdio: ['pipe', 'pipe', 'inherit'], env });
    this.#process = child;
    const lines = createInterface({ input: child.stdout });
    // One that ends says why on stderr.
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('the peer ended')));
    await Promise.race([once(lines, 'line'), ended]);
    ended.catch(() => undefined);
    lines.on('line', (line) => {
      const { id, said } = JSON.parse(line) as { id: number; said: readonly never[] };
      this.#open.get(id)?.(said);
      this.#open.delete(id);
    });
  }

  /** What became of each attempt: who answered and as whom it saw us, a code of an error, or `nothing`. */
  ask(question: Question): Promise<readonly string[]> {
    return this.#send({ ...question });
  }

  /** Whether a datagram with this token got here. */
  async saw(token: string): Promise<boolean> {
    const [seen = false] = await this.#send<boolean>({ seen: token });
    return seen;
  }

  #send<T>(what: object): Promise<readonly T[]> {
    const id = (this.#asked += 1);
    this.#process?.stdin.write(`${JSON.stringify({ id, ...what })}\n`);
    return new Promise((resolve) => this.#open.set(id, resolve));
  }

  async stop(): Promise<void> {
    if (this.#process?.exitCode === null) {
      this.#process.stdin.end();
      await once(this.#process, 'exit');
    }
    this.namespace.delete();
  }
}

export class World {
  readonly node = new Host({ ipv4: '192.168.0.2', ipv6: 'fd00:192::2' });
  readonly pod = new Host({ ipv4: '10.1.1.5', ipv6: 'fd00:10:1:1::5' });
  readonly other = new Host({ ipv4: '10.1.2.6', ipv6: 'fd00:10:1:2::6' });
  readonly far = new Host({ ipv4: '10.1.9.9', ipv6: 'fd00:10:1:9::9' });
  readonly client = new Host({ ipv4: '203.0.113.9', ipv6: '2001:db8:203::9' });
  readonly #router = new Host({ ipv4: '192.168.0.1', ipv6: 'fd00:192::1' });

  readonly pods: readonly Host[] = [this.pod, this.other, this.far];
  readonly #hosts: readonly Host[] = [...this.pods, this.node, this.client];

  static async make(): Promise<World> {
    for (const name of ['ipv6', 'dummy', 'iptable_nat', 'ip6table_nat']) run('modprobe', name);
    const world = new World();
    world.#wire();
    await Promise.all(world.#hosts.map((host) => host.start()));
    return world;
  }

  #wire(): void {
    const { node, far, client } = this;
    const router = this.#router;
    for (const { namespace } of [...this.#hosts, router]) {
      // Refusals by ICMP are rationed by default: which of many is answered would be chance.
      sysctl(
        namespace,
        ...['net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0'],
        ...['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'],
      );
    }
    connect(node, GATEWAYS.pod, this.pod, 'pod');
    connect(node, GATEWAYS.other, this.other, 'other');
    connect(router, router.addresses, node, 'node');
    connect(router, { ipv4: '10.1.9.1', ipv6: 'fd00:10:1:9::1' }, far, 'far');
    connect(router, { ipv4: '203.0.113.1', ipv6: '2001:db8:203::1' }, client, 'client');
    for (const family of FAMILIES) {
      const own = node.addresses[family];
      const services = SERVICE_RANGES[family];
      const ranges = [...services, ...POD_RANGES_HERE[family]];
      const { namespace } = router;
      batch(
        namespace,
        ranges.map((range) => `route add ${range} via ${own}`),
      );
      // What the node sends to services of its own is not for the network to send back.
      const tool = family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy';
      const no = family === 'ipv4' ? 'icmp-host-prohibited' : 'icmp6-adm-prohibited';
      const rule = ['-A', 'FORWARD', '-s', own, '-d', services.join()];
      namespace.run(tool, ...rule, '-j', 'REJECT', '--reject-with', no);
      // The other node has the addresses of services too: what its pod sends there gets no further.
      batch(
        far.namespace,
        services.map((range) => `route add blackhole ${range}`),
      );
    }
  }

  /** As whom an endpoint sees those whom the node masquerades. */
  masqueraded(endpoint: string, family: Family): string {
    if (endpoint === this.pod.addresses[family]) return GATEWAYS.pod[family];
    if (endpoint === this.other.addresses[family]) return GATEWAYS.other[family];
    return this.node.addresses[family];
  }

  async delete(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.stop()));
    await this.#router.stop();
  }
}

export function sysctl(namespace: Namespace, ...settings: readonly string[]): void {
  namespace.run('sysctl', '-qw', ...settings);
}

function batch({ name }: Namespace, lines: readonly string[]): void {
  execFileSync('ip', ['-n', name, '-batch', '-'], {
    input: lines.map((line) => `${line}\n`).join(''),
  });
}

// The host beyond a link leaves by it.
function connect(near: Host, gateway: Addresses, beyond: Host, device: string): void {
  const far = beyond.namespace.name;
  const ends = [
    [near.namespace, gateway, device, [`link add ${device} type veth peer name eth0 netns ${far}`]],
    [beyond.namespace, beyond.addresses, 'eth0', []],
  ] as const;
  for (const [namespace, { ipv4, ipv6 }, name, before] of ends) {
    batch(namespace, [
      ...before,
      `address add ${ipv4}/24 dev ${name}`,
      `address add ${ipv6}/64 dev ${name} nodad`,
      `link set ${name} up`,
    ]);
  }
  batch(beyond.namespace, [
    `route add default via ${gateway.ipv4}`,
    `route add default via ${gateway.ipv6}`,
  ]);
}
