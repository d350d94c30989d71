/**
 * IPVS in memory, for tests of programs that use this library: no addon, no privileges, no Linux. It answers and refuses as the
 * kernel does, with the same errors, because everything but the kernel itself is the same code.
 *
 * @packageDocumentation
 */
import { Client, SyncClient, type Ipvs, type IpvsSync } from './client';
import type { Connection } from './connections';
import { ipvsError, explain, explainFailure } from './explain';
import { toDestinationKey, toNumber, toServiceKey } from './id';
import type { DestinationRef, DestinationStatus, ServiceRef, Stats } from './model';
import { keyOnly, LAYOUT, Records, writeDestination, writeServiceChange } from './records';
import { onlyNames, SCHEDULERS } from './settings';
import { MemoryHandle } from './memory/handle';
import { Kernel } from './memory/kernel';
import { destinationIdentity, type ServiceEntry } from './memory/rows';

const ESRCH = 3;

/** What the kernel in memory has. @public */
export interface MemoryOptions {
  /** Schedulers it knows. @defaultValue every one that Linux ships */
  readonly schedulers?: readonly string[];
  /** Persistence engines it knows. @defaultValue `['sip']` */
  readonly engines?: readonly string[];
  /** Network interfaces, for sync daemons; up, with an MTU of 1500, unless they say otherwise. @defaultValue `lo` and `eth0` */
  readonly interfaces?: readonly {
    readonly name: string;
    readonly mtu?: number;
    readonly up?: boolean;
  }[];
  /** What `info()` tells. @defaultValue `4096` */
  readonly connectionTableSize?: number;
}

/** What passes through a service or a destination; what is left out stays as it is. @public */
export type Traffic = Partial<
  Pick<
    DestinationStatus,
    'activeConnections' | 'inactiveConnections' | 'persistentConnections' | 'stats'
  >
>;

const DEFAULTS = {
  schedulers: SCHEDULERS,
  engines: ['sip'],
  interfaces: [{ name: 'lo', mtu: 65536 }, { name: 'eth0' }],
  connectionTableSize: 4096,
} satisfies Required<MemoryOptions>;

/**
 * A kernel that several clients can share, as several programs share a real one. It has no packets: `setTraffic` says
 * what passed, and `setConnections` what is open.
 * @public
 */
export class MemoryKernel {
  readonly #kernel: Kernel;

  constructor(options: MemoryOptions = {}) {
    onlyNames('kernel in memory', { ...options }, Object.keys(DEFAULTS));
    const all: Required<MemoryOptions> = { ...DEFAULTS, ...options };
    const { schedulers, engines, interfaces, connectionTableSize } = all;
    this.#kernel = new Kernel({
      schedulers: new Set(schedulers),
      engines: new Set(engines),
      interfaces: new Map(interfaces.map(({ name, mtu = 1500, up = true }) => [name, { mtu, up }])),
      connectionTableSize,
    });
  }

  open(): Ipvs {
    return new Client(new MemoryHandle(this.#kernel));
  }

  openSync(): IpvsSync {
    return new SyncClient(new MemoryHandle(this.#kernel));
  }

  /** Sets what `connections()` reads from now on, whoever asks; rows have the form it gives them. */
  setConnections(connections: Iterable<Connection>): void {
    try {
      this.#kernel.connections.set(connections);
    } catch (error) {
      throw explainFailure(error, { operation: 'setConnections' });
    }
  }

  /** Sets the live connections and the counters of a destination, or the counters of a service. */
  setTraffic(service: ServiceRef, traffic: { readonly stats: Stats }): void;
  setTraffic(service: ServiceRef, destination: DestinationRef, traffic: Traffic): void;
  setTraffic(ref: ServiceRef, second: unknown, third?: Traffic): void {
    const request = Records.of(LAYOUT.ChangeRecord.size, 1);
    const service = toServiceKey(ref);
    writeServiceChange(request, 0, 0, service);
    const [entry] = this.#kernel.find(request, 0) ?? [];
    if (entry === undefined) throw explain(ESRCH, { operation: 'setTraffic', service });
    if (third === undefined) {
      entry.stats = (second as { stats: Stats }).stats;
      return;
    }
    const destination = toDestinationKey(second);
    writeDestination(request, 0, keyOnly(destination));
    if (!count(entry, destinationIdentity(request, 0), third)) {
      throw ipvsError('ENOENT', 'the service has no such destination: add it first', {
        operation: 'setTraffic',
        service,
        destination,
      });
    }
  }
}

function count(service: ServiceEntry, id: string, traffic: Traffic): boolean {
  const destination = service.destinations.get(id);
  if (destination === undefined) return false;
  const { active, inactive, persistent } = destination.connections;
  const {
    activeConnections = active,
    inactiveConnections = inactive,
    persistentConnections = persistent,
    stats = destination.stats,
  } = traffic;
  destination.connections = {
    active: toCount('activeConnections', activeConnections),
    inactive: toCount('inactiveConnections', inactiveConnections),
    persistent: toCount('persistentConnections', persistentConnections),
  };
  destination.stats = stats;
  return true;
}

function toCount(what: string, value: number): number {
  return toNumber(what, value, 0, 2 ** 32 - 1);
}

/** IPVS in memory, with a kernel of its own. @public */
export function memoryIpvs(options?: MemoryOptions): Ipvs {
  return new MemoryKernel(options).open();
}

/** The same, without promises. @public */
export function memoryIpvsSync(options?: MemoryOptions): IpvsSync {
  return new MemoryKernel(options).openSync();
}
