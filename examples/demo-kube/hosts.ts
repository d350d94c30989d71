// The demo's hosts: two nodes with their pods, and a client outside the cluster. Cables are veth pairs, all made inside the
// hosts, so nothing of it shows on the machine.
//
//   client ── worker-1 ── worker-2 ── oak
//              ├── ash
//              └── elm
import { batch, loadIpv6, Namespaces, run, type Place } from '../demo/netns';

const host = (name: string): Place => ({ name, netns: `ipvs-demo-kube-${name}` });

/** The node that is programmed. */
export const NODE = host('worker-1');
export const ASH = host('ash');
const ELM = host('elm');
const OAK = host('oak');
const FAR = host('worker-2');
export const CLIENT = host('client');
export const PODS = [ASH, ELM, OAK];

/** Which pod runs on which node. */
export const LOCAL = ['ash', 'elm'];

/** Addresses of the node, its own one first. */
export const NODE_ADDRESSES = ['192.168.0.1', 'fd00:192::1'];
/** All that the node may be seen as, in the networks of its pods too. */
export const NODE_FACES = [
  ...NODE_ADDRESSES,
  ...['10.1.1.1', '10.1.2.1', '203.0.113.1', 'fd00:1:1::1', 'fd00:1:2::1', '2001:db8::1'],
];
export const ADDRESSES = {
  ash: ['10.1.1.2', 'fd00:1:1::2'],
  client: ['203.0.113.2', '2001:db8::2'],
  /** The client again, from outside the range that the admin service lets in. */
  stranger: ['203.0.113.200'],
};
/** Where pods have their addresses. */
export const CLUSTER = ['10.0.0.0/8', 'fd00::/30'];

/** A cable between two hosts: the addresses of `from` have 1 for 2, and `to` finds its way through it. */
interface Cable {
  readonly from: Place;
  readonly to: Place;
  readonly ipv4: string;
  readonly ipv6: string;
}

const CABLES: readonly Cable[] = [
  { from: NODE, to: ASH, ipv4: '10.1.1.2', ipv6: 'fd00:1:1::2' },
  { from: NODE, to: ELM, ipv4: '10.1.2.2', ipv6: 'fd00:1:2::2' },
  { from: NODE, to: FAR, ipv4: '192.168.0.2', ipv6: 'fd00:192::2' },
  { from: NODE, to: CLIENT, ipv4: '203.0.113.2', ipv6: '2001:db8::2' },
  { from: FAR, to: OAK, ipv4: '10.2.1.2', ipv6: 'fd00:2:1::2' },
];

const hosts = new Namespaces([NODE, FAR, CLIENT, ...PODS]);

export function makeHosts(): void {
  hosts.make();
  loadIpv6();
  batch(
    CABLES.map(
      ({ from, to }) =>
        `link add to-${to.name} netns ${from.netns} type veth peer name eth0 netns ${to.netns}`,
    ),
  );
  for (const { netns, name } of [NODE, FAR, CLIENT, ...PODS]) {
    const place = { netns, name };
    batch(['link set lo up', ...CABLES.flatMap((cable) => linesFor(place, cable))], place);
  }
  batch(['route add 10.2.0.0/16 via 192.168.0.2', 'route add fd00:2::/32 via fd00:192::2'], NODE);
  batch(['address add 203.0.113.200/24 dev eth0'], CLIENT);
  // Every node of a cluster forwards; the one that is programmed is told so by its program.
  run(
    FAR,
    'sh',
    '-c',
    'echo 1 | tee /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding',
  );
}

export function removeHosts(): void {
  hosts.remove();
}

// No address waits to see whether it is taken, which would cost a second or two; hence the link-local ones by hand.
function linesFor({ name }: Place, { from, to, ipv4, ipv6 }: Cable): string[] {
  const gateway = (address: string): string => address.replace(/2$/, '1');
  if (name === from.name) {
    const device = `to-${to.name}`;
    return [
      `link set ${device} addrgenmode none up`,
      `address add ${gateway(ipv4)}/24 dev ${device}`,
      `address add fe80::1/64 dev ${device} nodad`,
      `address add ${gateway(ipv6)}/64 dev ${device} nodad`,
    ];
  }
  if (name !== to.name) return [];
  return [
    'link set eth0 addrgenmode none up',
    `address add ${ipv4}/24 dev eth0`,
    'address add fe80::2/64 dev eth0 nodad',
    `address add ${ipv6}/64 dev eth0 nodad`,
    `route add 0.0.0.0/0 via ${gateway(ipv4)}`,
    `route add ::/0 via ${gateway(ipv6)}`,
  ];
}
