// What goes into an iptables program beyond the service map, and what comes out.
import type { LocalDetector, NodeView, ServiceMap } from '../kube/types';
import type { Family } from '../model';

/** @public */
export interface IptablesProgramOptions {
  /** Masquerade everything that goes to a cluster IP. @defaultValue `false` */
  readonly masqueradeAll?: boolean;
  /** Short for `detectLocal: { cidrs }`. */
  readonly clusterCIDRs?: readonly string[];
  /** @defaultValue none: traffic to cluster IPs is not masqueraded */
  readonly detectLocal?: LocalDetector;
  /** Which bit of the firewall mark asks for masquerading, 0…31. @defaultValue `14` */
  readonly masqueradeBit?: number;
  /** Choose ports at random when masquerading; iptables before 1.6.2 cannot. @defaultValue `true` */
  readonly randomFully?: boolean;
  /** @defaultValue both */
  readonly families?: readonly Family[];
  /** IPv4 node ports answer on loopback addresses. @defaultValue `true` */
  readonly localhostNodePorts?: boolean;
  /**
   * The kernel takes packets beyond the window (`nf_conntrack_tcp_be_liberal`), so that invalid ones need not be dropped.
   * @defaultValue `false`
   */
  readonly conntrackLiberal?: boolean;
  /** Count by `xt_nfacct` as kube-proxy does; the objects must exist. @defaultValue `false` */
  readonly nfacct?: boolean;
  /** Leave comments of endpoints out. @defaultValue from 1001 endpoints in a family on */
  readonly largeCluster?: boolean;
  /**
   * What the names of chains begin with: up to 7 capital letters and digits, as a chain's name may have 28 characters. One
   * other than kube-proxy's lets a program live beside it; give it a `masqueradeBit` of its own too.
   * @defaultValue `'KUBE'`
   */
  readonly prefix?: string;
  /**
   * Weights of endpoints (annotation `ipvs/weights`) are their shares of new connections; 0 gets none. Those of virtual
   * servers (`fromServers`) always are. @defaultValue `false`: equal shares, as kube-proxy gives
   */
  readonly weights?: boolean;
}

/** How to see virtual servers as a service map. @public */
export interface FromServersOptions {
  /**
   * What becomes of a server that asks for more than rules can do, where they can come near to it: `'refuse'` leaves it
   * out, `'approximate'` writes what comes nearest. Both report it. @defaultValue `'refuse'`
   */
  readonly unsupported?: 'refuse' | 'approximate';
}

/** A rule of a built-in chain that leads to one of ours. It goes first in that chain, once. @public */
export interface IptablesJump {
  readonly table: 'nat' | 'filter';
  readonly from: string;
  readonly to: string;
  /** In front of the comment. Empty: everything. */
  readonly match: string;
  /** Empty: none. */
  readonly comment: string;
}

/** Everything one node needs in iptables mode. @public */
export interface IptablesProgram {
  /**
   * Input of `iptables-restore --noflush` and of `ip6tables-restore --noflush`: our chains, whole. Made when first asked
   * for.
   */
  readonly rules: Readonly<Partial<Record<Family, string>>>;
  /**
   * The same for a node that has these chains in its nat table: those that were written under the same prefix for a port
   * or an endpoint that is no more are removed. Empty for a family that was not asked for.
   */
  rulesOver(family: Family, chains: Iterable<string>): string;
  /** Chains of each table of a family, in the order of the text. */
  chains(family: Family): Readonly<Record<'filter' | 'nat', readonly string[]>>;
  readonly jumps: Readonly<Partial<Record<Family, readonly IptablesJump[]>>>;
  /** Node ports answer on loopback addresses: `net.ipv4.conf.all.route_localnet` must be 1. */
  readonly routeLocalnet: boolean;
  /** Those of the map. */
  readonly problems: readonly string[];
  /**
   * The program of a map that has changed, and what to restore on a node that has the rules of this one. Options stay as
   * they were. The work is one look at each port, and none at what is the same object as before. Throws IpvsError
   * `ERR_IPVS_INVALID` as `iptablesProgram` does.
   * @param node - @defaultValue the same as before
   */
  update(map: ServiceMap, node?: NodeView): IptablesUpdate;
}

/** From the rules of one program to those of the next. @public */
export interface IptablesUpdate {
  readonly program: IptablesProgram;
  /**
   * Input of `iptables-restore --noflush` and of `ip6tables-restore --noflush`, a family without change left out. Chains of
   * a port are written whole or removed. In the chains of all ports, single rules go (`-D`) and come (`-I`, with their
   * place), so that the result is rule for rule that of `program.rules`. Where the rules there are not those of the
   * program before, the kernel may refuse it, and changes nothing then: restore `program.rulesOver()`.
   */
  readonly rules: Readonly<Partial<Record<Family, string>>>;
  /**
   * The rules of some family are whole, and not only what changed: the node has changed, or the cluster has become large or
   * small.
   */
  readonly full: boolean;
}
