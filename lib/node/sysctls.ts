// Which kernel settings a node needs, and which of them must be written.
import { before, type Version } from '../doctor/check';

/** A setting by its path under /proc/sys, such as `net/ipv4/ip_forward`, and its value. */
export interface Setting {
  readonly path: string;
  readonly value: string;
}

/** The settings that IPVS needs to serve a cluster (kube-services.md 6.2), for kernels since 4.1. */
export function wantedSysctls(
  options: { strictArp?: boolean; ipv6?: boolean; kernel?: Version | undefined } = {},
): Setting[] {
  const settings = [
    { path: 'net/ipv4/vs/conntrack', value: '1' },
    { path: 'net/ipv4/vs/expire_nodest_conn', value: '1' },
    { path: 'net/ipv4/vs/expire_quiescent_template', value: '1' },
    { path: 'net/ipv4/ip_forward', value: '1' },
  ];
  if (options.ipv6 === true) settings.push({ path: 'net/ipv6/conf/all/forwarding', value: '1' });
  // Since 5.9 the kernel handles ports that are used again by itself.
  if (before(options.kernel, 5, 9))
    settings.push({ path: 'net/ipv4/vs/conn_reuse_mode', value: '0' });
  if (options.strictArp === true) {
    settings.push({ path: 'net/ipv4/conf/all/arp_ignore', value: '1' });
    settings.push({ path: 'net/ipv4/conf/all/arp_announce', value: '2' });
  }
  return settings;
}

/** A setting that must be written, with what it was. */
export interface SettingChange extends Setting {
  readonly before: string;
}

/**
 * Of the wanted settings, those whose value differs. One that the kernel does not have is a problem, unless it is for
 * an address family that the kernel does not have either.
 */
export function planSysctls(
  wanted: readonly Setting[],
  read: (path: string) => string | undefined,
): { changes: SettingChange[]; problems: string[] } {
  const changes: SettingChange[] = [];
  const problems: string[] = [];
  for (const { path, value } of wanted) {
    const now = read(path)?.trim();
    if (now === undefined) {
      if (!path.startsWith('net/ipv6/'))
        problems.push(
          `the kernel has no ${path.replaceAll('/', '.')}: load what brings it (modprobe ip_vs), or use a kernel that has it`,
        );
    } else if (now !== value) {
      changes.push({ path, value, before: now });
    }
  }
  return { changes, problems };
}
