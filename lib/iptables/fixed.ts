// The chains that are always there: what all ports put into them, what ends them, and the way into them.
import type { Settings } from './options';
import { comment, type Head } from './part';
import type { IptablesJump } from './types';

/** A chain of all: rules of every port, then its own. */
export interface Top {
  readonly which: keyof Head | undefined;
  readonly tail: string;
}

/** The chains of a table that are always there, in order. */
export function tops(settings: Settings, table: 'filter' | 'nat'): ReadonlyMap<string, Top> {
  const { prefix } = settings;
  const top = (name: string, which: Top['which'], tail: string): readonly [string, Top] => [
    `${prefix}-${name}`,
    { which, tail },
  ];
  if (table === 'nat') {
    return new Map([
      top('SERVICES', 'portals', nodePorts(settings)),
      top('NODEPORTS', 'nodePorts', ''),
      top('POSTROUTING', undefined, postrouting(settings)),
      top('MARK-MASQ', undefined, `-A ${prefix}-MARK-MASQ -j MARK --or-mark ${settings.mark}\n`),
    ]);
  }
  return new Map([
    top('SERVICES', 'services', ''),
    top('EXTERNAL-SERVICES', 'external', ''),
    top('FORWARD', undefined, forward(settings)),
    top('NODEPORTS', 'health', ''),
    top('PROXY-FIREWALL', 'firewall', ''),
    ...(settings.localhostNodePorts ? [top('FIREWALL', undefined, loopbackGuard(prefix))] : []),
  ]);
}

function nodePorts(settings: Settings): string {
  const { prefix, family, nodePorts: open, localhostNodePorts } = settings;
  const said = comment(
    'kubernetes service nodeports; NOTE: this must be the last rule in this chain',
  );
  const rule = (match: string): string =>
    `-A ${prefix}-SERVICES ${said} ${match} -j ${prefix}-NODEPORTS\n`;
  if (open !== undefined) return open.map((address) => rule(`-d ${address}`)).join('');
  const except =
    family === 'ipv6' ? ' ! -d ::1/128' : localhostNodePorts ? '' : ' ! -d 127.0.0.0/8';
  return rule(`-m addrtype --dst-type LOCAL${except}`);
}

function postrouting({ prefix, mark, randomFully }: Settings): string {
  const rule = `-A ${prefix}-POSTROUTING`;
  const said = comment('kubernetes service traffic requiring SNAT');
  return (
    `${rule} -m mark ! --mark ${mark}/${mark} -j RETURN\n` +
    `${rule} -j MARK --xor-mark ${mark}\n` +
    `${rule} ${said} -j MASQUERADE${randomFully ? ' --random-fully' : ''}\n`
  );
}

function forward({ prefix, mark, conntrackLiberal, nfacct }: Settings): string {
  const rule = `-A ${prefix}-FORWARD`;
  const counted = nfacct ? ' -m nfacct --nfacct-name ct_state_invalid_dropped_pkts' : '';
  const drop = `${rule} -m conntrack --ctstate INVALID${counted} -j DROP\n`;
  return (
    (conntrackLiberal ? '' : drop) +
    `${rule} ${comment('kubernetes forwarding rules')} -m mark --mark ${mark}/${mark} -j ACCEPT\n` +
    `${rule} ${comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n`
  );
}

// Routing to loopback addresses would let neighbours in.
function loopbackGuard(prefix: string): string {
  return `-A ${prefix}-FIREWALL ${comment('block incoming localnet connections')} -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n`;
}

const NEW = '-m conntrack --ctstate NEW';

/** The way into the chains of a family. */
export function jumpsOf({ prefix, localhostNodePorts }: Settings): readonly IptablesJump[] {
  const jumps =
    (table: IptablesJump['table'], to: string, match: string, said: string) =>
    (...chains: readonly string[]): readonly IptablesJump[] =>
      chains.map((from) => ({ table, from, to: `${prefix}-${to}`, match, comment: said }));
  const outside = 'kubernetes externally-visible service portals';
  const portals = 'kubernetes service portals';
  return [
    ...jumps('filter', 'EXTERNAL-SERVICES', NEW, outside)('INPUT', 'FORWARD'),
    ...jumps('filter', 'NODEPORTS', '', 'kubernetes health check service ports')('INPUT'),
    ...jumps('filter', 'SERVICES', NEW, portals)('FORWARD', 'OUTPUT'),
    ...jumps('filter', 'FORWARD', '', 'kubernetes forwarding rules')('FORWARD'),
    ...jumps(
      'filter',
      'PROXY-FIREWALL',
      NEW,
      'kubernetes load balancer firewall',
    )('INPUT', 'OUTPUT', 'FORWARD'),
    ...jumps('nat', 'SERVICES', '', portals)('OUTPUT', 'PREROUTING'),
    ...jumps('nat', 'POSTROUTING', '', 'kubernetes postrouting rules')('POSTROUTING'),
    ...(localhostNodePorts ? jumps('filter', 'FIREWALL', '', '')('INPUT', 'OUTPUT') : []),
  ];
}
