// The demo's five hosts: network namespaces joined by cables (veth pairs), made and removed with ip(8). Everything is
// made inside them, so nothing of it shows among the machine's own interfaces, addresses and routes.
//
//   client eth0 ── to-client director to-ash ── eth0 ash      (and so to elm and oak)
import { batch, loadIpv6, Namespaces, run, type Place } from './netns';

export interface Host extends Place {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Where clients send their requests; the director owns these addresses. */
export const VIRTUAL = { ipv4: '198.51.100.1', ipv6: 'fd00:a::1' };

const PREFIX = 'ipvs-demo-';
const host = (name: string, ipv4: string, ipv6: string): Host => {
  return { name, netns: PREFIX + name, ipv4, ipv6 };
};

export const DIRECTOR = host('director', VIRTUAL.ipv4, VIRTUAL.ipv6);
export const CLIENT = host('client', '192.0.2.2', 'fd00::2');
export const SERVERS = [
  host('ash', '10.0.1.2', 'fd00:1::2'),
  host('elm', '10.0.2.2', 'fd00:2::2'),
  host('oak', '10.0.3.2', 'fd00:3::2'),
];

const LEAVES = [CLIENT, ...SERVERS];
const hosts = new Namespaces([DIRECTOR, ...LEAVES]);

/** Makes the hosts, after removing what a demo that was killed may have left. */
export function makeHosts(): void {
  hosts.make();
  loadIpv6();
  batch(
    LEAVES.map(
      ({ name, netns }) =>
        `link add to-${name} netns ${DIRECTOR.netns} type veth peer name eth0 netns ${netns}`,
    ),
  );
  batch(directorLines(), DIRECTOR);
  for (const leaf of LEAVES) batch(leafLines(leaf), leaf);
  // The servers' answers pass through the director, which puts the service's address back into them.
  const forward = [
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding',
  ];
  run(DIRECTOR, 'sh', '-c', forward.join(' && '));
}

export function removeHosts(): void {
  hosts.remove();
}

// The director's end of a cable has the same network, and 1 for 2.
const gateway = (address: string): string => address.replace(/2$/, '1');

// No address waits to see whether it is taken (duplicate address detection): that would cost a second or two. Hence also
// the link-local addresses by hand; routers find their neighbours with them.
function leafLines({ ipv4, ipv6 }: Host): string[] {
  return [
    'link set lo up',
    'link set eth0 addrgenmode none up',
    `address add ${ipv4}/24 dev eth0`,
    'address add fe80::2/64 dev eth0 nodad',
    `address add ${ipv6}/64 dev eth0 nodad`,
    `route add 0.0.0.0/0 via ${gateway(ipv4)}`,
    `route add ::/0 via ${gateway(ipv6)}`,
  ];
}

function directorLines(): string[] {
  return [
    'link set lo up',
    `address add ${VIRTUAL.ipv4}/32 dev lo`,
    `address add ${VIRTUAL.ipv6}/128 dev lo nodad`,
    ...LEAVES.flatMap(({ name, ipv4, ipv6 }) => [
      `link set to-${name} addrgenmode none up`,
      `address add ${gateway(ipv4)}/24 dev to-${name}`,
      `address add fe80::1/64 dev to-${name} nodad`,
      `address add ${gateway(ipv6)}/64 dev to-${name} nodad`,
    ]),
  ];
}
