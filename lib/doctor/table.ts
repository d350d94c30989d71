// What is in the table, against what is around it: forwarding, the size of the connection table, other managers.
import type { VirtualServerStatus } from '../model';
import { before, type Check, type Facts, type Table } from './check';
import type { System } from './system';

/** Connections a bucket from which on looking one up shows. */
const CROWDED = 8;

export function checkTable(facts: Facts): Check[] {
  const { table } = facts;
  if (table === undefined) return [];
  const families = ['ipv4', 'ipv6'] as const;
  return [
    ...(facts.netns === undefined
      ? families.map((family) => forwarding(facts, table, family))
      : []),
    connectionTable(facts, table),
  ].filter((check) => check !== undefined);
}

function forwarding(
  { system }: Facts,
  { servers }: Table,
  family: 'ipv4' | 'ipv6',
): Check | undefined {
  const masqueraded = servers.some((server) => masquerades(server, family));
  const name = family === 'ipv4' ? 'ip_forward' : 'conf.all.forwarding';
  const value = system.readFile(`/proc/sys/net/${family}/${name.replaceAll('.', '/')}`)?.trim();
  if (!masqueraded || value === undefined) return undefined;
  const id = family === 'ipv4' ? 'forwarding' : 'forwarding6';
  const what = `net.${family}.${name} = ${value}`;
  if (value !== '0') {
    return { id, status: 'ok', what: `${what}: answers of masq destinations are forwarded` };
  }
  return {
    id,
    status: 'fail',
    what,
    why: 'there are destinations with forward masq, and their answers are dropped on the way back to the client',
    fix: `sysctl -w net.${family}.${name}=1`,
  };
}

// Answers of a destination on this very machine need no forwarding.
function masquerades({ destinations }: VirtualServerStatus, family: 'ipv4' | 'ipv6'): boolean {
  return destinations.some(
    ({ forward, address }) =>
      forward === 'masq' &&
      address.includes(':') === (family === 'ipv6') &&
      !/^(?:127\.|::1$)/.test(address),
  );
}

function connectionTable({ kernel }: Facts, { info, servers }: Table): Check | undefined {
  const size = info.connectionTableSize;
  const connections = servers
    .flatMap(({ destinations }) => destinations)
    .reduce((sum, one) => sum + one.activeConnections + one.inactiveConnections, 0);
  const what = `${connections} connections in ${size} buckets`;
  const id = 'connection-table';
  // From 7.1 on it grows by itself.
  if (!before(kernel, 7, 1) || size === 0 || connections < CROWDED * size) {
    return { id, status: 'ok', what };
  }
  const bits = Math.min(20, Math.ceil(Math.log2(connections)));
  return {
    id,
    status: 'warn',
    what,
    why: `every packet looks through ${Math.round(connections / size)} connections to find its own`,
    fix: `echo options ip_vs conn_tab_bits=${bits} > /etc/modprobe.d/ip_vs.conf, and load ip_vs anew`,
  };
}

const MANAGERS: Readonly<Record<string, string>> = {
  'kube-proxy': 'deletes services it did not make, but for those in its excludeCIDRs',
  'kube-router': 'deletes services it did not make',
  keepalived: 'makes and deletes the services of its configuration',
  ldirectord: 'makes and deletes the services of its configuration',
};

/** Programs that write to the same table: two of them undo each other's work. */
export function checkManagers({ system, netns }: Facts): Check[] {
  const running = new Set(netns === undefined ? processes(system) : []);
  const found = Object.keys(MANAGERS).filter((name) => running.has(name));
  const bridge = system.readDirectory('/sys/class/net').includes('kube-ipvs0');
  if (bridge && netns === undefined && !found.includes('kube-proxy')) found.unshift('kube-proxy');
  if (found.length === 0) {
    return [
      { id: 'managers', status: 'ok', what: 'no other program is seen to manage this table' },
    ];
  }
  return found.map((name) => ({
    id: `managers.${name}`,
    status: 'warn',
    what:
      name === 'kube-proxy' && !running.has(name)
        ? 'the interface kube-ipvs0 is there, as kube-proxy in IPVS mode makes it'
        : `${name} is running`,
    why: `it ${MANAGERS[name] ?? ''}`,
    fix: advice(name),
  }));
}

function advice(name: string): string {
  if (name === 'kube-proxy') {
    return 'leave its services alone and put yours in excludeCIDRs (ipvs.excludeCIDRs); where it no longer runs: kube-proxy --cleanup';
  }
  return `leave its services alone, or stop ${name}; do not flush`;
}

// Fifteen letters of a program's name are all that comm tells.
function processes(system: System): string[] {
  return system
    .readDirectory('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => system.readFile(`/proc/${pid}/comm`)?.trim() ?? '');
}
