// Machines made up, and what is in their IPVS.
import type { Ipvs } from '../../lib/client';
import type { System } from '../../lib/doctor';
import { IpvsError } from '../../lib/errors';
import { memoryIpvs } from '../../lib/memory';

interface Made {
  readonly release?: string;
  readonly platform?: string;
  /** What programs print, by their command lines. */
  readonly programs?: Readonly<Record<string, string | undefined>>;
}

/** A machine where all is well, but for what a test says. */
export function machine(
  files: Readonly<Record<string, string | undefined>> = {},
  { release = '6.1.0', platform = 'linux', programs = {} }: Made = {},
): System {
  const all: Readonly<Record<string, string | undefined>> = {
    '/proc/self/status': 'Name:\tnode\nCapEff:\t000001ffffffffff\n',
    '/proc/self/uid_map': '         0          0 4294967295\n',
    '/proc/modules': 'ip_vs_rr 16384 1 - Live 0x0\nip_vs 188416 3 ip_vs_rr, Live 0x0\n',
    '/proc/sys/net/ipv4/ip_forward': '1\n',
    '/proc/sys/net/ipv6/conf/all/forwarding': '0\n',
    '/proc/sys/net/ipv4/vs/conntrack': '0\n',
    '/proc/sys/net/ipv4/vs/conn_reuse_mode': '1\n',
    '/proc/sys/net/ipv4/vs/expire_nodest_conn': '1\n',
    '/proc/sys/net/ipv4/vs/expire_quiescent_template': '1\n',
    '/proc/sys/net/ipv4/vs/run_estimation': '1\n',
    '/proc/sys/net/ipv4/vs/drop_entry': '0\n',
    '/proc/1/comm': 'systemd\n',
    '/sys/class/net/lo/mtu': '65536\n',
    ...files,
  };
  return {
    platform,
    release,
    readFile: (path) => all[path],
    run: (program, args) => programs[[program, ...args].join(' ')],
    readDirectory: (directory) => [
      ...new Set(
        Object.keys(all)
          .filter((path) => all[path] !== undefined && path.startsWith(`${directory}/`))
          .map((path) => path.slice(directory.length + 1).split('/')[0] ?? ''),
      ),
    ],
  };
}

export const empty = (): Promise<Ipvs> => Promise.resolve(memoryIpvs());

/** IPVS with these services in it: the service, and destinations as `192.0.2.1:80 masq`. */
export function holding(
  servers: Readonly<Record<string, readonly string[]>>,
  persistence?: { readonly timeout: number },
): () => Promise<Ipvs> {
  return async () => {
    const client = memoryIpvs();
    for (const [id, destinations] of Object.entries(servers)) {
      const [, protocol, address = '', port] = /^(tcp|udp):\/\/(.*):(\d+)$/.exec(id) ?? [];
      const key = {
        protocol: protocol === 'udp' ? 'udp' : 'tcp',
        address: address.replace(/[[\]]/g, ''),
        port: Number(port),
      } as const;
      await client.addService({ ...key, ...(persistence === undefined ? {} : { persistence }) });
      for (const text of destinations) {
        const [host = '', forward] = text.split(' ');
        await client.addDestination(key, {
          address: host,
          port: key.port,
          forward: forward === 'route' ? 'route' : 'masq',
        });
      }
    }
    return client;
  };
}

export function failing(code: string, message: string, errno?: number): () => Promise<Ipvs> {
  return () => Promise.reject(new IpvsError(message, { code, operation: 'open', errno }));
}
