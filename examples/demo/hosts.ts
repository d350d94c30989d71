// The demo's five hosts: network namespaces joined by cables (veth pairs), made and removed with ip(8). Everything is
// made inside them, so nothing of it shows among the machine's own interfaces, addresses and routes.
//
//   client eth0 ── to-client director to-ash ── eth0 ash      (and so to elm and oak)
import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface Host {
  readonly name: string;
  readonly netns: string;
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

// An ordinary user, root in the lab, need not have the system programs in PATH.
const env = { ...process.env, PATH: `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin` };

const LEAVES = [CLIENT, ...SERVERS];
const ALL = [DIRECTOR, ...LEAVES];

let ours = false;

/** Makes the hosts, after removing what a demo that was killed may have left. */
export function makeHosts(): void {
  for (const { netns } of ALL) refuseBusy(netns);
  ours = true;
  removeHosts();
  // Some kernels have IPv6 as a module, and ip(8) does not ask for it. Where there is none, an address will fail.
  spawnSync('modprobe', ['ipv6'], { env });
  batch([
    ...ALL.map(({ netns }) => `netns add ${netns}`),
    ...LEAVES.map(
      ({ name, netns }) =>
        `link add to-${name} netns ${DIRECTOR.netns} type veth peer name eth0 netns ${netns}`,
    ),
  ]);
  batch(directorLines(), DIRECTOR);
  for (const leaf of LEAVES) batch(leafLines(leaf), leaf);
  // The servers' answers pass through the director, which puts the service's address back into them.
  const forward = [
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding',
  ];
  ip(['netns', 'exec', DIRECTOR.netns, 'sh', '-c', forward.join(' && ')]);
}

/**
 * Removes them, unless they are another demo's. What still runs in one keeps it alive, without a name, until it ends.
 */
export function removeHosts(): void {
  if (!ours) return;
  const there = ALL.filter(({ netns }) => existsSync(`/run/netns/${netns}`));
  if (there.length > 0) batch(there.map(({ netns }) => `netns delete ${netns}`));
}

/** Starts a program of the demo in a host. */
export function startIn({ netns }: Host, program: string, args: string[] = []): ChildProcess {
  return fork(join(__dirname, program), args, {
    env,
    execPath: 'ip',
    execArgv: ['netns', 'exec', netns, process.execPath],
  });
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

// A demo's programs end with it, so whatever runs in its namespaces belongs to one that is under way.
function refuseBusy(netns: string): void {
  if (!existsSync(`/run/netns/${netns}`)) return;
  const busy = spawnSync('ip', ['netns', 'pids', netns], { env, encoding: 'utf8' }).stdout.trim();
  if (busy !== '') {
    throw new Error(`the namespace ${netns} is in use: another demo runs here, let it end first`);
  }
}

function batch(lines: readonly string[], inside?: Host): void {
  const where = inside === undefined ? [] : ['-n', inside.netns];
  ip([...where, '-batch', '-'], `${lines.join('\n')}\n`);
}

function ip(args: readonly string[], input = ''): void {
  const { error, status, stderr } = spawnSync('ip', args, { env, input, encoding: 'utf8' });
  if (error !== undefined) throw new Error(`ip: ${error.message}: install iproute2`);
  if (status === 0) return;
  const hint = process.getuid?.() === 0 ? '' : ' (it needs root: run it with npm run demo)';
  throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}${hint}`);
}
