// The rules beside IPVS, in the form that iptables-restore takes. IPVS rewrites and forwards; masquerading, source ranges
// and what else may reach a service address are iptables' part. Nothing in a rule comes from an object but addresses,
// ranges and ports that were read and written anew.
import type { Family, Protocol } from '../model';
import type { FullOptions } from './options';
import type { SetName, Sets } from './sets';
import type { Jump } from './types';

/** A service address that the node itself may not use. */
export interface Barred {
  readonly address: string;
  readonly protocol: Protocol;
  readonly port: number;
}

const NAT = [
  'KUBE-SERVICES',
  'KUBE-POSTROUTING',
  'KUBE-NODE-PORT',
  'KUBE-LOAD-BALANCER',
  'KUBE-MARK-MASQ',
];
const FILTER = [
  'KUBE-FORWARD',
  'KUBE-NODE-PORT',
  'KUBE-PROXY-FIREWALL',
  'KUBE-SOURCE-RANGES-FIREWALL',
  'KUBE-IPVS-FILTER',
  'KUBE-IPVS-OUT-FILTER',
];
const MANGLE = ['KUBE-EXTERNAL-MARK'];

/** Our chains a table, for whoever takes them away. @public */
export const CHAINS: Readonly<Record<'nat' | 'filter' | 'mangle', readonly string[]>> = {
  nat: NAT,
  filter: FILTER,
  mangle: MANGLE,
};

const jump = (table: Jump['table'], from: string, to: string, comment: string): Jump => ({
  table,
  from,
  to,
  comment,
});

/** Whether outside and inside of a family are served apart: that takes a way to tell them apart. */
export function isSeparate(options: FullOptions, family: Family): boolean {
  return options.externalLocal === 'separate' && options.detect[family] !== undefined;
}

/** The way into our chains. */
export function jumpsOf(options: FullOptions): readonly Jump[] {
  return [
    jump('nat', 'OUTPUT', 'KUBE-SERVICES', 'kubernetes service portals'),
    jump('nat', 'PREROUTING', 'KUBE-SERVICES', 'kubernetes service portals'),
    jump('nat', 'POSTROUTING', 'KUBE-POSTROUTING', 'kubernetes postrouting rules'),
    jump('filter', 'FORWARD', 'KUBE-FORWARD', 'kubernetes forwarding rules'),
    jump('filter', 'INPUT', 'KUBE-NODE-PORT', 'kubernetes health check rules'),
    jump('filter', 'INPUT', 'KUBE-PROXY-FIREWALL', 'kube-proxy firewall rules'),
    jump('filter', 'FORWARD', 'KUBE-PROXY-FIREWALL', 'kube-proxy firewall rules'),
    jump('filter', 'INPUT', 'KUBE-IPVS-FILTER', 'kubernetes ipvs access filter'),
    jump('filter', 'OUTPUT', 'KUBE-IPVS-OUT-FILTER', 'kubernetes ipvs access filter'),
    ...(options.externalLocal === 'separate'
      ? [
          jump(
            'mangle',
            'PREROUTING',
            'KUBE-EXTERNAL-MARK',
            'traffic from outside to local endpoints',
          ),
        ]
      : []),
  ];
}

/** The rules of one family, as restore input. */
export function rulesOf(sets: Sets, barred: readonly Barred[], options: FullOptions): string {
  const writer = new Writer(sets, options);
  const tables = [
    table('nat', NAT, writer.nat()),
    table('filter', FILTER, writer.filter(barred)),
    ...(options.externalLocal === 'separate' ? [table('mangle', MANGLE, writer.mangle())] : []),
  ];
  return tables.join('');
}

function table(name: string, chains: readonly string[], rules: readonly string[]): string {
  const lines = [`*${name}`, ...chains.map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT'];
  return lines.map((line) => `${line}\n`).join('');
}

const MASQ = 'KUBE-MARK-MASQ';

class Writer {
  readonly #mark: string;
  readonly #family: Family;

  constructor(
    readonly sets: Sets,
    readonly options: FullOptions,
  ) {
    this.#family = sets.family;
    // Unsigned, as bit 31 would be a minus sign.
    this.#mark = `0x${((1 << options.masqueradeBit) >>> 0).toString(16).padStart(8, '0')}`;
  }

  nat(): readonly string[] {
    return [
      this.#rule(
        'KUBE-SERVICES',
        `-s ${this.#family === 'ipv4' ? '127.0.0.0/8' : '::1/128'}`,
        'RETURN',
      ),
      ...this.#ifAny('KUBE-LOOP-BACK', 'dst,dst,src', 'KUBE-POSTROUTING', 'MASQUERADE', {
        comment: 'an endpoint that reached itself through a service',
      }),
      ...this.#ifAny('KUBE-LOAD-BALANCER', 'dst,dst', 'KUBE-SERVICES', 'KUBE-LOAD-BALANCER', {
        comment: 'load balancer addresses',
      }),
      ...this.#ownTraffic('KUBE-LOAD-BALANCER-LOCAL', 'KUBE-LOAD-BALANCER'),
      ...this.#ifAny('KUBE-LOAD-BALANCER-LOCAL', 'dst,dst', 'KUBE-LOAD-BALANCER', 'RETURN', {
        comment: 'load balancer addresses that keep the client address',
      }),
      ...this.#nodePorts('tcp', 'KUBE-NODE-PORT-TCP', 'KUBE-NODE-PORT-LOCAL-TCP', 'dst'),
      ...this.#nodePorts('udp', 'KUBE-NODE-PORT-UDP', 'KUBE-NODE-PORT-LOCAL-UDP', 'dst'),
      ...this.#nodePorts(
        'sctp',
        'KUBE-NODE-PORT-SCTP-HASH',
        'KUBE-NODE-PORT-LOCAL-SCTP-HASH',
        'dst,dst',
      ),
      ...this.#clusterIPs(),
      ...this.#ifAny('KUBE-EXTERNAL-IP', 'dst,dst', 'KUBE-SERVICES', MASQ, {
        comment: 'external addresses',
      }),
      ...this.#externalIPs('KUBE-EXTERNAL-IP'),
      ...this.#ownTraffic('KUBE-EXTERNAL-IP-LOCAL', 'KUBE-SERVICES'),
      ...this.#externalIPs('KUBE-EXTERNAL-IP-LOCAL'),
      this.#rule('KUBE-SERVICES', '-m addrtype --dst-type LOCAL', 'KUBE-NODE-PORT'),
      this.#rule('KUBE-LOAD-BALANCER', '', MASQ),
      ...this.#ifAny('KUBE-CLUSTER-IP', 'dst,dst', 'KUBE-SERVICES', 'ACCEPT'),
      ...this.#ifAny('KUBE-LOAD-BALANCER', 'dst,dst', 'KUBE-SERVICES', 'ACCEPT'),
      this.#rule('KUBE-POSTROUTING', `-m mark ! --mark ${this.#mark}/${this.#mark}`, 'RETURN'),
      this.#rule('KUBE-POSTROUTING', '', `MARK --xor-mark ${this.#mark}`),
      this.#rule(
        'KUBE-POSTROUTING',
        comment('kubernetes service traffic requiring SNAT'),
        `MASQUERADE${this.options.randomFully ? ' --random-fully' : ''}`,
      ),
      this.#rule(MASQ, '', `MARK --or-mark ${this.#mark}`),
    ];
  }

  filter(barred: readonly Barred[]): readonly string[] {
    const ranges = 'KUBE-SOURCE-RANGES-FIREWALL';
    return [
      ...this.#ifAny('KUBE-LOAD-BALANCER-FW', 'dst,dst', 'KUBE-PROXY-FIREWALL', ranges, {
        comment: 'load balancer addresses with source ranges',
      }),
      ...this.#ifAny('KUBE-LOAD-BALANCER-SOURCE-CIDR', 'dst,dst,src', ranges, 'RETURN', {
        comment: 'sources in range',
      }),
      ...this.#ifAny('KUBE-LOAD-BALANCER-SOURCE-IP', 'dst,dst,src', ranges, 'RETURN', {
        comment: 'the node itself, which comes from the service address',
      }),
      this.#rule(ranges, '', 'DROP'),
      ...this.#refusals(),
      ...barred.map(({ address, protocol, port }) =>
        this.#rule(
          'KUBE-IPVS-OUT-FILTER',
          `-s ${address} -m ipvs --vaddr ${address} --vproto ${protocol} --vport ${port}`,
          'DROP',
        ),
      ),
      this.#rule('KUBE-FORWARD', `-m mark --mark ${this.#mark}/${this.#mark}`, 'ACCEPT'),
      this.#rule('KUBE-FORWARD', '-m conntrack --ctstate RELATED,ESTABLISHED', 'ACCEPT'),
      this.#rule(
        'KUBE-NODE-PORT',
        `${comment('health check node ports')} ${this.#in('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')}`,
        'ACCEPT',
      ),
      ...this.#accessFilter(),
    ];
  }

  mangle(): readonly string[] {
    const match = this.options.detect[this.#family];
    if (match === undefined || !this.sets.has('KUBE-EXTERNAL-MARK')) return [];
    const set = this.sets.name('KUBE-EXTERNAL-MARK');
    return [
      this.#rule('KUBE-EXTERNAL-MARK', match.notLocal, `SET --map-set ${set} dst,dst --map-mark`),
    ];
  }

  // Local traffic is told first and left alone; the rest is masqueraded, so that answers come back through this node.
  #nodePorts(protocol: Protocol, all: SetName, local: SetName, dims: string): readonly string[] {
    const only = `-p ${protocol}`;
    return [
      ...this.#ownTraffic(local, 'KUBE-NODE-PORT', dims, only),
      ...this.#ifAny(local, dims, 'KUBE-NODE-PORT', 'RETURN', {
        before: only,
        comment: `${protocol} node ports that keep the client address`,
      }),
      ...this.#ifAny(all, dims, 'KUBE-NODE-PORT', MASQ, {
        before: only,
        comment: `${protocol} node ports`,
      }),
    ];
  }

  // With a virtual service for inside, the node's own traffic may go to other nodes, from an address they cannot answer.
  #ownTraffic(set: SetName, chain: string, dims = 'dst,dst', before = ''): readonly string[] {
    if (!isSeparate(this.options, this.#family)) return [];
    return this.#ifAny(set, dims, chain, MASQ, {
      before,
      comment: 'the node itself',
      after: '-m addrtype --src-type LOCAL',
    });
  }

  #clusterIPs(): readonly string[] {
    const text = 'cluster addresses';
    const match = this.options.detect[this.#family];
    const dims = this.options.masqueradeAll || match !== undefined ? 'dst,dst' : 'src,dst';
    return this.#ifAny('KUBE-CLUSTER-IP', dims, 'KUBE-SERVICES', MASQ, {
      comment: text,
      after: this.options.masqueradeAll ? '' : (match?.notLocal ?? ''),
    });
  }

  #externalIPs(set: SetName): readonly string[] {
    const fromOutside = '-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL';
    const text = 'external addresses';
    return [
      ...this.#ifAny(set, 'dst,dst', 'KUBE-SERVICES', 'ACCEPT', {
        comment: text,
        after: fromOutside,
      }),
      ...this.#ifAny(set, 'dst,dst', 'KUBE-SERVICES', 'ACCEPT', {
        comment: text,
        after: '-m addrtype --dst-type LOCAL',
      }),
    ];
  }

  // New connections only: those that endpoints on their way out still have go on.
  #refusals(): readonly string[] {
    const chain = 'KUBE-PROXY-FIREWALL';
    const after = '-m conntrack --ctstate NEW';
    const outside = this.options.detect[this.#family]?.notLocal ?? '';
    return [
      ...this.#ifAny('KUBE-NO-ENDPOINTS', 'dst,dst', chain, 'REJECT --reject-with tcp-reset', {
        before: '-p tcp',
        comment: 'no endpoints',
        after,
      }),
      ...this.#ifAny('KUBE-NO-ENDPOINTS', 'dst,dst', chain, 'REJECT', {
        comment: 'no endpoints',
        after,
      }),
      ...this.#ifAny('KUBE-NO-LOCAL-ENDPOINTS', 'dst,dst', chain, 'DROP', {
        comment: 'no endpoints on this node for traffic from outside',
        after: `${outside} ${after}`,
      }),
    ];
  }

  // Service addresses are addresses of this host: without this, whatever listens on it would be reached through them.
  #accessFilter(): readonly string[] {
    const chain = 'KUBE-IPVS-FILTER';
    const icmp =
      this.#family === 'ipv4'
        ? '-p icmp -m icmp --icmp-type 8'
        : '-p ipv6-icmp -m icmp6 --icmpv6-type 128';
    return [
      ...(this.options.icmpEcho ? [this.#rule(chain, icmp, 'RETURN')] : []),
      this.#rule(chain, this.#in('KUBE-LOAD-BALANCER', 'dst,dst'), 'RETURN'),
      this.#rule(chain, this.#in('KUBE-CLUSTER-IP', 'dst,dst'), 'RETURN'),
      this.#rule(chain, this.#in('KUBE-EXTERNAL-IP', 'dst,dst'), 'RETURN'),
      this.#rule(chain, this.#in('KUBE-EXTERNAL-IP-LOCAL', 'dst,dst'), 'RETURN'),
      this.#rule(chain, this.#in('KUBE-HEALTH-CHECK-NODE-PORT', 'dst'), 'RETURN'),
      this.#rule(chain, `-m conntrack --ctstate NEW ${this.#in('KUBE-IPVS-IPS', 'dst')}`, 'REJECT'),
    ];
  }

  #in(set: SetName, dims: string): string {
    return `-m set --match-set ${this.sets.name(set)} ${dims}`;
  }

  #ifAny(
    set: SetName,
    dims: string,
    chain: string,
    target: string,
    more: { readonly before?: string; readonly comment?: string; readonly after?: string } = {},
  ): readonly string[] {
    if (!this.sets.has(set)) return [];
    const said = more.comment === undefined ? '' : comment(more.comment);
    const match = [more.before, said, this.#in(set, dims), more.after].filter(Boolean).join(' ');
    return [this.#rule(chain, match, target)];
  }

  #rule(chain: string, match: string, target: string): string {
    return `-A ${chain} ${match === '' ? '' : `${match} `}-j ${target}`;
  }
}

function comment(text: string): string {
  return `-m comment --comment "${text}"`;
}
