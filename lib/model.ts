// Plain data: what IPVS is made of, in the words every part of the project uses. No behaviour here.

/** Transport protocol of a service that has a virtual address (`IPVS_SVC_ATTR_PROTOCOL`). @public */
export type Protocol = 'tcp' | 'udp' | 'sctp';

/** Address family of a service or a destination. @public */
export type Family = 'ipv4' | 'ipv6';

/**
 * How a service chooses a destination for a new connection (`IPVS_SVC_ATTR_SCHED_NAME`, see ipvsadm(8)).
 * The kernel loads the module `ip_vs_<name>` when a service first names it, so names beyond this list are passed on.
 * @public
 */
export type Scheduler =
  | 'rr'
  | 'wrr'
  | 'lc'
  | 'wlc'
  | 'lblc'
  | 'lblcr'
  | 'dh'
  | 'sh'
  | 'sed'
  | 'nq'
  | 'fo'
  | 'ovf'
  | 'mh'
  | (string & {});

/**
 * Scheduler flags (`IPVS_SVC_F_SCHED1`…`3`). `fallback` and `port` are the first two as `sh` and `mh` read them;
 * other schedulers give the bits no meaning, and there they are called by number.
 * @public
 */
export type SchedulerFlag = 'fallback' | 'port' | 'flag-1' | 'flag-2' | 'flag-3';

/**
 * How packets reach a destination (`IPVS_DEST_ATTR_FWD_METHOD`): `masq` rewrites addresses (NAT), `route` is direct
 * routing, `tunnel` encapsulates. `local` and `bypass` are the kernel's own and only ever read.
 * @public
 */
export type Forward = 'masq' | 'local' | 'tunnel' | 'route' | 'bypass';

/** Identity of a service that has a virtual address. @public */
export interface AddressKey {
  readonly protocol: Protocol;
  /** IPv4 or IPv6, in canonical form when we print it. */
  readonly address: string;
  /** 0…65535; 0 means every port and needs persistence. */
  readonly port: number;
}

/** Identity of a service that takes packets by firewall mark (`IPVS_SVC_ATTR_FWMARK`). @public */
export interface FwmarkKey {
  /** 1…4294967295 */
  readonly fwmark: number;
  readonly family: Family;
}

/** What makes a service that service: a virtual address, or a firewall mark. @public */
export type ServiceKey = AddressKey | FwmarkKey;

/** The same, as people type it: `tcp://10.0.0.1:80`, `udp://[2001:db8::1]:53`, `fwmark:7`, `fwmark6:7`. @public */
export type ServiceId = `${Protocol}://${string}` | `fwmark:${number}` | `fwmark6:${number}`;

/** A service named either way. @public */
export type ServiceRef = ServiceKey | ServiceId;

/** Keeps a client on one destination (`IPVS_SVC_F_PERSISTENT`). @public */
export interface Persistence {
  /** Seconds (`IPVS_SVC_ATTR_TIMEOUT`), 1…2678400 (31 days). */
  readonly timeout: number;
  /**
   * Clients that share this many leading address bits count as one (`IPVS_SVC_ATTR_NETMASK`).
   * @defaultValue every client apart: 32, or 128 for IPv6
   */
  readonly prefix?: number;
  /** Persistence engine (`IPVS_SVC_ATTR_PE_NAME`), such as `sip`. @defaultValue none: by client address */
  readonly engine?: string;
}

/** What can be set on a service. @public */
export interface ServiceSettings {
  /** @defaultValue `'wlc'` */
  readonly scheduler?: Scheduler;
  /** @defaultValue `[]` */
  readonly schedulerFlags?: readonly SchedulerFlag[];
  /** @defaultValue none: each connection is scheduled on its own */
  readonly persistence?: Persistence;
  /**
   * Schedule every UDP packet on its own (`IPVS_SVC_F_ONEPACKET`); only for UDP and fwmark services.
   * @defaultValue `false`
   */
  readonly onePacket?: boolean;
}

/** A service as one asks for it. @public */
export type Service = ServiceKey & ServiceSettings;

/** Identity of a destination within its service. @public */
export interface DestinationKey {
  readonly address: string;
  /** 0…65535; 0 keeps the port the client used. */
  readonly port: number;
}

/** The same, as people type it: `192.0.2.10:8080`, `[2001:db8::10]:8080`. @public */
export type DestinationId = `${string}:${number}` | `[${string}]:${number}`;

/** A destination named either way. @public */
export type DestinationRef = DestinationKey | DestinationId;

/** Encapsulation of a destination whose forward method is `tunnel` (kernel 5.2 and later). @public */
export interface Tunnel {
  readonly type: 'ipip' | 'gue' | 'gre';
  /** UDP port of a GUE tunnel (`IPVS_DEST_ATTR_TUN_PORT`), 1…65535; required there, refused elsewhere. */
  readonly port?: number;
  /** `'remote'` is remote checksum offload, GUE only (`IPVS_DEST_ATTR_TUN_FLAGS`). @defaultValue `false` */
  readonly checksum?: boolean | 'remote';
}

/** What can be set on a destination. @public */
export interface DestinationSettings {
  /** @defaultValue `'masq'` */
  readonly forward?: Forward;
  /** 0…2147483647; 0 drains: connections stay, none are added. @defaultValue `1` */
  readonly weight?: number;
  /** No new connections from this many on (`IPVS_DEST_ATTR_U_THRESH`); 0 is no limit. @defaultValue `0` */
  readonly upperThreshold?: number;
  /** New connections again below this many (`IPVS_DEST_ATTR_L_THRESH`); 0 is three quarters of the upper one. @defaultValue `0` */
  readonly lowerThreshold?: number;
  /** @defaultValue `{ type: 'ipip' }` when `forward` is `tunnel` */
  readonly tunnel?: Tunnel;
}

/** A destination as one asks for it. @public */
export type Destination = DestinationKey & DestinationSettings;

/** Rates, a running average over some eight seconds that the kernel renews every two. @public */
export interface Rates {
  readonly connections: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/**
 * Counters since creation or the last `zero` (`IPVS_SVC_ATTR_STATS64`), renewed by the kernel every two seconds.
 * Totals are bigint: at 100 Gbit/s bytes pass 2^53 in eight days.
 * @public
 */
export interface Stats {
  readonly connections: bigint;
  readonly packets: { readonly in: bigint; readonly out: bigint };
  readonly bytes: { readonly in: bigint; readonly out: bigint };
  readonly perSecond: Rates;
}

/** A service as the kernel reports it: every setting filled in, plus what only the kernel knows. @public */
export type ServiceStatus = ServiceKey &
  Required<Omit<ServiceSettings, 'persistence'>> &
  Pick<ServiceSettings, 'persistence'> & { readonly stats: Stats };

/** A destination as the kernel reports it. @public */
export type DestinationStatus = DestinationKey &
  Required<Omit<DestinationSettings, 'tunnel'>> &
  Pick<DestinationSettings, 'tunnel'> & {
    readonly activeConnections: number;
    readonly inactiveConnections: number;
    /** Persistence templates that point here. */
    readonly persistentConnections: number;
    readonly stats: Stats;
  };

/** A service with its destinations: the unit of desired state. @public */
export type VirtualServer = Service & { readonly destinations: readonly Destination[] };

/** A service with its destinations: the unit of observed state. @public */
export type VirtualServerStatus = ServiceStatus & {
  readonly destinations: readonly DestinationStatus[];
};

/** What the kernel says of its IPVS (`IPVS_CMD_GET_INFO`). @public */
export interface Info {
  /** Such as `1.2.1`, the same since 2008. */
  readonly version: string;
  /** Buckets of the connection table; from kernel 7.1 on the current number, 0 before the first service. */
  readonly connectionTableSize: number;
}

/** How long idle connections live, in seconds (`IPVS_CMD_GET_CONFIG`). Kernel defaults: 900, 120, 300. @public */
export interface Timeouts {
  readonly tcp: number;
  /** After a FIN. */
  readonly tcpFin: number;
  readonly udp: number;
}

/** A connection synchronisation daemon (`IPVS_CMD_NEW_DAEMON`). @public */
export interface SyncDaemon {
  readonly role: 'master' | 'backup';
  /** Interface that multicasts, at most 15 bytes. */
  readonly interface: string;
  /** 0…255; a backup with 0 accepts every id. */
  readonly syncId: number;
  /** Multicast address of either family. @defaultValue `224.0.0.81` */
  readonly group?: string;
  /** First UDP port, 1…65535. @defaultValue `8848` */
  readonly port?: number;
  /** 1…255. @defaultValue `1` */
  readonly ttl?: number;
  /** Largest sync message in bytes, 1…65507. @defaultValue what fits the interface */
  readonly maxLength?: number;
}

/** One step that changes the kernel's table. `set` replaces every setting; it does not patch. @public */
export type Change =
  | { readonly op: 'addService' | 'setService'; readonly service: Service }
  | { readonly op: 'deleteService'; readonly service: ServiceKey }
  | {
      readonly op: 'addDestination' | 'setDestination';
      readonly service: ServiceKey;
      readonly destination: Destination;
    }
  | {
      readonly op: 'deleteDestination';
      readonly service: ServiceKey;
      readonly destination: DestinationKey;
    };
