// What the Kubernetes half is made of. Objects are structural, so what a client library returns fits as it is; fields that
// are looked at are checked when they are read, never trusted to have their type.
import type { Family, Forward, Protocol, Scheduler, SchedulerFlag, VirtualServer } from '../model';

/** What of an object's metadata is looked at. @public */
export interface KubeMetadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of two services that claim one address and port, the older has it. */
  readonly creationTimestamp?: string | Date;
  readonly resourceVersion?: string;
}

/** A Service of `core/v1`. @public */
export interface KubeService {
  readonly metadata?: KubeMetadata;
  readonly spec?: unknown;
  readonly status?: unknown;
}

/** An EndpointSlice of `discovery.k8s.io/v1`. @public */
export interface KubeEndpointSlice {
  readonly metadata?: KubeMetadata;
  readonly addressType?: string;
  readonly endpoints?: readonly unknown[] | null;
  readonly ports?: readonly unknown[] | null;
}

/** What a proxy must know about the node it runs on. @public */
export interface NodeView {
  readonly name: string;
  /** Label `topology.kubernetes.io/zone`. @defaultValue none: zone hints are not followed */
  readonly zone?: string;
  /**
   * Every address of the node's interfaces but the one that service addresses are bound to. Loopback and IPv6 link-local
   * ones may be among them; they are passed over.
   */
  readonly addresses: readonly string[];
  /** The node's own address, one a family. @defaultValue the first of `addresses` in each family */
  readonly primary?: readonly string[];
  /** CIDRs of the addresses that node ports are open on, or `['primary']`. @defaultValue every address */
  readonly nodePortAddresses?: readonly string[];
}

/** How to see the objects, beyond what the node is. @public */
export interface ServiceMapOptions {
  /**
   * Take only services labelled `service.kubernetes.io/service-proxy-name` with this name.
   * @defaultValue none: only services without that label
   */
  readonly serviceProxyName?: string;
}

/** One way in to a service port. @public */
export interface Frontend {
  readonly kind: 'clusterIP' | 'externalIP' | 'loadBalancer' | 'nodePort';
  /** Empty for a node port: which addresses it is open on is the node's matter, see `nodePortAddresses`. */
  readonly address: string;
  readonly port: number;
  /** Which endpoints this way leads to: `internalTrafficPolicy` for a cluster IP, else `externalTrafficPolicy`. */
  readonly policy: 'cluster' | 'local';
  /**
   * CIDRs that may use a load balancer's address. Absent: everybody may. Empty: nobody, as ranges were given and none of
   * them could be read.
   */
  readonly sourceRanges?: readonly string[];
}

/** An address and port that answers for a service port. @public */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** On this node. */
  readonly local: boolean;
  /** By annotation `ipvs/weights`, or that of a virtual server's destination. @defaultValue `1` */
  readonly weight?: number;
}

/** Endpoints of a service port, chosen by policy, topology and condition. Each list is in the order of its text. @public */
export interface EndpointLists {
  /** For frontends of policy `cluster`. Absent where no frontend of the port can use it; never absent for being empty. */
  readonly cluster?: readonly Endpoint[];
  /** For frontends of policy `local`. Absent where the port has none. */
  readonly local?: readonly Endpoint[];
  /** Some endpoint could take traffic, here or elsewhere: no endpoints for a frontend is then a matter of policy. */
  readonly anywhere: boolean;
  /** Every endpoint on this node in whatever condition: an endpoint that reaches itself through the service needs masquerading. */
  readonly hairpin: readonly Endpoint[];
}

/** What annotations of a service ask of IPVS. @public */
export interface IpvsSettings {
  readonly scheduler?: Scheduler;
  readonly schedulerFlags?: readonly SchedulerFlag[];
  /** For external and load-balancer addresses. */
  readonly forward?: Forward;
}

/**
 * One port of a service in one family, after policy and topology have chosen its endpoints: neutral between IPVS and
 * iptables.
 * @public
 */
export interface ServicePort {
  /**
   * `namespace/name`, with `:port` where the port has a name; the id of a virtual server, such as `tcp://10.0.0.1:80`. Safe
   * in a restore line.
   */
  readonly name: string;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly namespace: string;
  readonly service: string;
  /** Cluster IP first, then external, load-balancer and node port. */
  readonly frontends: readonly Frontend[];
  /**
   * Session affinity by client address, in seconds. Clients that share `prefix` leading bits count as one; absent: every
   * client apart, as always with Kubernetes.
   */
  readonly affinity?: { readonly timeout: number; readonly prefix?: number };
  /** Some way in is from outside, and leads to endpoints of this node alone. */
  readonly externalLocal: boolean;
  readonly healthCheckNodePort?: number;
  readonly endpoints: EndpointLists;
  readonly settings: IpvsSettings;
  /**
   * Made of a virtual server, see `fromServers` of `ipvs/iptables`: weights are shares, and it may have an address of the
   * node's own. @defaultValue `false`
   */
  readonly server?: boolean;
}

/** What a load balancer asks a node for: whether it has endpoints of a service. @public */
export interface HealthCheck {
  readonly namespace: string;
  readonly service: string;
  readonly family: Family;
  readonly port: number;
  /** Addresses of this node that are ready, over all ports of the service. */
  readonly localEndpoints: number;
}

/** Services as this node sees them. @public */
export interface ServiceMap {
  /** In the order of name, protocol and family. */
  readonly ports: readonly ServicePort[];
  readonly healthChecks: readonly HealthCheck[];
  /** What was wrong with which object, a line each, and what was done about it. */
  readonly problems: readonly string[];
}

/** How to tell traffic of the node's own pods from that of others. @public */
export type LocalDetector =
  | { readonly cidrs: readonly string[] }
  | { readonly bridgeInterface: string }
  | { readonly interfaceNamePrefix: string };

/** @public */
export interface IpvsProgramOptions {
  /** @defaultValue `'rr'` */
  readonly scheduler?: Scheduler;
  /** Masquerade everything that goes to a cluster IP. @defaultValue `false` */
  readonly masqueradeAll?: boolean;
  /** Short for `detectLocal: { cidrs }`. */
  readonly clusterCIDRs?: readonly string[];
  /** @defaultValue none: only the node's own traffic to cluster IPs is masqueraded */
  readonly detectLocal?: LocalDetector;
  /** Which bit of the firewall mark asks for masquerading, 0…31. @defaultValue `14` */
  readonly masqueradeBit?: number;
  /** Choose ports at random when masquerading; iptables before 1.6.2 cannot. @defaultValue `true` */
  readonly randomFully?: boolean;
  /** Virtual services here are nobody's business but their owner's: carried to whoever applies the program. */
  readonly excludeCIDRs?: readonly string[];
  /** @defaultValue both */
  readonly families?: readonly Family[];
  /** Refuse connections to ports without endpoints at once, as kube-proxy's iptables mode does. @defaultValue `true` */
  readonly reject?: boolean;
  /**
   * How `externalTrafficPolicy: Local` is served: `'shared'` by one virtual service for traffic from inside and outside, as
   * kube-proxy does; `'separate'` by a second one, which takes what comes from outside by firewall mark.
   * @defaultValue `'shared'`
   */
  readonly externalLocal?: 'shared' | 'separate';
  /** Let service addresses answer a ping. @defaultValue `false` */
  readonly icmpEcho?: boolean;
}

/** An ip set and what is in it. @public */
export interface IpSet {
  /** Such as `hash:ip,port`. */
  readonly type: string;
  readonly family: Family;
  /** What follows the type in `ipset create`. */
  readonly create: string;
  readonly entries: readonly string[];
}

/** A rule of a built-in chain that leads to one of ours. It goes first in that chain, once. @public */
export interface Jump {
  readonly table: 'nat' | 'filter' | 'mangle';
  readonly from: string;
  readonly to: string;
  readonly comment: string;
}

/** Everything one node needs in IPVS mode. @public */
export interface NodeProgram {
  readonly servers: readonly VirtualServer[];
  /** To be bound to the node's dummy interface, with a full prefix. */
  readonly addresses: readonly string[];
  /** Every set of the families asked for, empty ones too, by name. */
  readonly sets: ReadonlyMap<string, IpSet>;
  /** Input of `iptables-restore --noflush` and of `ip6tables-restore --noflush`: our chains, whole. */
  readonly rules: Readonly<Partial<Record<Family, string>>>;
  /** The same for each family of `rules`. */
  readonly jumps: readonly Jump[];
  readonly excludeCIDRs: readonly string[];
  readonly healthChecks: readonly HealthCheck[];
  /** Those of the map, and what could not be programmed. */
  readonly problems: readonly string[];
}
