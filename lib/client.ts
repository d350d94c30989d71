// The clients people hold: they check and canonicalise what they are given, run operations over one netlink socket, and
// put every failure into words. The asynchronous and the synchronous one run the very same operations.
import { apply, applyOne, type ApplyOptions, type Outcome } from './apply';
import {
  connections,
  connectionsSync,
  type ConnectionFilter,
  type ConnectionOptions,
  type ConnectionTable,
} from './connections';
import { closed, explainFailure, type Request } from './explain';
import { toDestinationKey, toNumber, toServiceKey } from './id';
import type {
  Change,
  Destination,
  DestinationRef,
  DestinationStatus,
  Info,
  Service,
  ServiceRef,
  ServiceStatus,
  SyncDaemon,
  Timeouts,
  VirtualServer,
  VirtualServerStatus,
} from './model';
import { toNamespacePath } from './namespace';
import { loadBinding, type NativeHandle } from './native';
import { runAsync, runSync, type Operation } from './operation';
import * as queries from './queries';
import { NO_READING, servers as readServers } from './servers';
import { onlyNames } from './settings';
import { Watch, type ConnectionChange, type WatchOptions } from './watch';

/** How to open a client. @public */
export interface OpenOptions {
  /** A name under /run/netns, or a path such as /proc/1234/ns/net. @defaultValue the caller's */
  readonly netns?: string;
  /** Longest wait for an answer of the kernel, in milliseconds; 0 waits for ever. @defaultValue `30_000` */
  readonly timeout?: number;
}

/**
 * A connection to IPVS in one network namespace. Calls run in the order they were made, off the JavaScript thread.
 * Every call rejects with an IpvsError; nothing else is thrown. `CAP_NET_ADMIN` in the initial user namespace is needed
 * for all of it, reading too.
 * @public
 */
export interface Ipvs extends AsyncDisposable {
  info(): Promise<Info>;
  timeouts(): Promise<Timeouts>;
  /** Sets some timeouts, in seconds (1…2678400), for states that connections enter from now on; the others stay. */
  setTimeouts(timeouts: Partial<Timeouts>): Promise<void>;

  /** Every service, in the kernel's order. */
  services(): Promise<ServiceStatus[]>;
  /** One service, or undefined when there is none. */
  service(ref: ServiceRef): Promise<ServiceStatus | undefined>;
  /** Fails with `EEXIST` when the service exists, `ENOENT` when the kernel has no such scheduler or engine. */
  addService(service: Service): Promise<void>;
  /** Replaces every setting: what is left out returns to its default. Fails with `ESRCH` when there is no such service. */
  setService(service: Service): Promise<void>;
  /** Removes the service with its destinations. Fails with `ESRCH` when there is none. */
  deleteService(ref: ServiceRef): Promise<void>;

  /** Destinations of a service, newest first. Fails with `ESRCH` when there is no such service. */
  destinations(ref: ServiceRef): Promise<DestinationStatus[]>;
  /** Fails with `ESRCH` without the service, `EEXIST` when it has the destination, `EINVAL` for an address of no one host. */
  addDestination(ref: ServiceRef, destination: Destination): Promise<void>;
  /** Replaces every setting: what is left out returns to its default. Fails with `ENOENT` when it has no such destination. */
  setDestination(ref: ServiceRef, destination: Destination): Promise<void>;
  /** Existing connections lose their server; drain with weight 0 first. Fails with `ENOENT` when there is none. */
  deleteDestination(ref: ServiceRef, destination: DestinationRef): Promise<void>;

  /** Sets the counters of one service and its destinations to zero, or all of them. */
  zero(ref?: ServiceRef): Promise<void>;
  /** Deletes every service in the namespace, whoever made it. */
  flush(): Promise<void>;
  /** The sync daemons that run, master first. */
  daemons(): Promise<SyncDaemon[]>;
  startDaemon(daemon: SyncDaemon): Promise<void>;
  /** The kernel looks at the role alone. */
  stopDaemon(daemon: Pick<SyncDaemon, 'role'> & { readonly syncId?: number }): Promise<void>;

  /**
   * Everything at once: services with their destinations. Not atomic: the kernel hands out one list after another, and
   * what others change meanwhile may be seen or not. Nothing is listed twice.
   */
  snapshot(): Promise<VirtualServerStatus[]>;
  /**
   * The settings of everything, without counters: what a plan compares, several times sooner than `snapshot` when most
   * is as it was. What has not changed since this client last asked is the same object as then, the whole array too;
   * all of it is frozen. Connections are told for destinations of weight 0 alone. Not atomic, as `snapshot`.
   */
  servers(): Promise<readonly VirtualServer[]>;
  /**
   * Runs changes in order in one trip; resolves with one outcome a change. The kernel has no transaction: see `onError`.
   * Bad input anywhere rejects before anything is sent. Broken off half-way, rejects with an ApplyError that carries the
   * outcomes.
   */
  apply(changes: Iterable<Change>, options?: ApplyOptions): Promise<Outcome[]>;

  /**
   * The connections that the kernel has now, in memory that the addon filled. A filter that nothing matches gives an empty
   * table. Other calls of this client wait until it is read: open another client where that takes too long.
   */
  connections(filter?: ConnectionFilter, options?: ConnectionOptions): Promise<ConnectionTable>;
  /**
   * What becomes of connections, from the next snapshot on: `for await (const change of client.watchConnections())`. By
   * sampling: what opens and closes between two snapshots is not seen, and what changes twice is seen as it ends. While
   * the loop is busy with one change no snapshot is taken. Breaking out of the loop and closing the client end it
   * quietly, the signal with `ABORT_ERR`.
   */
  watchConnections(options?: WatchOptions): AsyncIterableIterator<ConnectionChange, undefined>;

  readonly closed: boolean;
  /** Waits for the call under way; later ones fail with `ERR_IPVS_CLOSED`. Closing twice is fine. */
  close(): Promise<void>;
}

/** The same client for scripts and exit handlers: same names, no promises. @public */
export type IpvsSync = Disposable & {
  [K in Exclude<keyof Ipvs, typeof Symbol.asyncDispose | 'watchConnections'>]: Ipvs[K] extends (
    ...args: infer A
  ) => Promise<infer R>
    ? (...args: A) => R
    : Ipvs[K];
};

/**
 * Opens a connection to IPVS. Fails with `ERR_IPVS_UNAVAILABLE` when the kernel has none.
 * @public
 */
export async function open(options: OpenOptions = {}): Promise<Ipvs> {
  const request: Request = { operation: 'open', names: options.netns };
  try {
    const { netns, timeout } = toFullOptions(options);
    return new Client(await loadBinding().open(netns, timeout));
  } catch (error) {
    throw explainFailure(error, request);
  }
}

/** Opens a connection for use without promises. @public */
export function openSync(options: OpenOptions = {}): IpvsSync {
  const request: Request = { operation: 'open', names: options.netns };
  try {
    const { netns, timeout } = toFullOptions(options);
    return new SyncClient(loadBinding().openSync(netns, timeout));
  } catch (error) {
    throw explainFailure(error, request);
  }
}

function toFullOptions(options: OpenOptions): { netns: string; timeout: number } {
  onlyNames('client', { ...options }, ['netns', 'timeout']);
  const { netns, timeout = 30_000 } = options;
  return { netns: toNamespacePath(netns), timeout: toNumber('timeout', timeout, 0, 2 ** 31 - 1) };
}

/** What a call was given, as it was given: read again only when the call fails and its error wants a name for it. */
interface Subject {
  readonly operation: string;
  readonly service?: unknown;
  readonly destination?: unknown;
  readonly names?: unknown;
}

function requestFor({ operation, service, destination, names }: Subject): Request {
  return {
    operation,
    service: attempt(() => toServiceKey(service)),
    destination: attempt(() => toDestinationKey(destination)),
    names: typeof names === 'string' ? names : undefined,
  };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The asynchronous client over a native handle, or over one in memory. */
export class Client implements Ipvs {
  readonly #handle: NativeHandle;
  readonly #closing = new AbortController();
  #closed = false;
  #reading = NO_READING;

  constructor(handle: NativeHandle) {
    this.#handle = handle;
  }

  info(): Promise<Info> {
    return this.#run({ operation: 'info' }, queries.info());
  }
  timeouts(): Promise<Timeouts> {
    return this.#run({ operation: 'timeouts' }, queries.timeouts());
  }
  setTimeouts(timeouts: Partial<Timeouts>): Promise<void> {
    return this.#run({ operation: 'setTimeouts' }, queries.setTimeouts(timeouts));
  }
  services(): Promise<ServiceStatus[]> {
    return this.#run({ operation: 'services' }, queries.services());
  }
  service(ref: ServiceRef): Promise<ServiceStatus | undefined> {
    return this.#run({ operation: 'service', service: ref }, queries.service(ref));
  }
  addService(service: Service): Promise<void> {
    return this.#run({ operation: 'addService', service }, applyOne({ op: 'addService', service }));
  }
  setService(service: Service): Promise<void> {
    return this.#run({ operation: 'setService', service }, applyOne({ op: 'setService', service }));
  }
  deleteService(ref: ServiceRef): Promise<void> {
    return this.#run(
      { operation: 'deleteService', service: ref },
      applyOne({ op: 'deleteService', service: ref }),
    );
  }
  destinations(ref: ServiceRef): Promise<DestinationStatus[]> {
    return this.#run({ operation: 'destinations', service: ref }, queries.destinations(ref));
  }
  addDestination(ref: ServiceRef, destination: Destination): Promise<void> {
    const subject = { operation: 'addDestination', service: ref, destination };
    return this.#run(subject, applyOne({ op: 'addDestination', service: ref, destination }));
  }
  setDestination(ref: ServiceRef, destination: Destination): Promise<void> {
    const subject = { operation: 'setDestination', service: ref, destination };
    return this.#run(subject, applyOne({ op: 'setDestination', service: ref, destination }));
  }
  deleteDestination(ref: ServiceRef, destination: DestinationRef): Promise<void> {
    const subject = { operation: 'deleteDestination', service: ref, destination };
    return this.#run(subject, applyOne({ op: 'deleteDestination', service: ref, destination }));
  }
  zero(ref?: ServiceRef): Promise<void> {
    return this.#run({ operation: 'zero', service: ref }, queries.zero(ref));
  }
  flush(): Promise<void> {
    return this.#run({ operation: 'flush' }, queries.flush());
  }
  daemons(): Promise<SyncDaemon[]> {
    return this.#run({ operation: 'daemons' }, queries.daemons());
  }
  startDaemon(daemon: SyncDaemon): Promise<void> {
    return this.#run(
      { operation: 'startDaemon', names: interfaceOf(daemon) },
      queries.startDaemon(daemon),
    );
  }
  stopDaemon(daemon: Pick<SyncDaemon, 'role'>): Promise<void> {
    return this.#run({ operation: 'stopDaemon' }, queries.stopDaemon(daemon));
  }
  snapshot(): Promise<VirtualServerStatus[]> {
    return this.#run({ operation: 'snapshot' }, queries.snapshot());
  }
  async servers(): Promise<readonly VirtualServer[]> {
    this.#reading = await this.#run({ operation: 'servers' }, readServers(this.#reading));
    return this.#reading.servers;
  }
  apply(changes: Iterable<Change>, options?: ApplyOptions): Promise<Outcome[]> {
    return this.#run({ operation: 'apply' }, apply(changes, options));
  }
  connections(filter?: ConnectionFilter, options?: ConnectionOptions): Promise<ConnectionTable> {
    return this.#attempt({ operation: 'connections' }, () =>
      connections(this.#handle, filter, options),
    );
  }
  watchConnections(options?: WatchOptions): AsyncIterableIterator<ConnectionChange, undefined> {
    // On a closed client it fails, as every call does.
    const { signal } = this.#closed ? new AbortController() : this.#closing;
    return new Watch((filter, using) => this.connections(filter, using), options, signal);
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    return this.#handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #run<T>(subject: Subject, operation: Operation<T>): Promise<T> {
    return this.#attempt(subject, () => runAsync(this.#handle, operation));
  }

  async #attempt<T>(subject: Subject, work: () => Promise<T>): Promise<T> {
    try {
      if (this.#closed) throw closed(requestFor(subject));
      return await work();
    } catch (error) {
      throw explainFailure(error, requestFor(subject));
    }
  }
}

/** The synchronous client. */
export class SyncClient implements IpvsSync {
  readonly #handle: NativeHandle;
  #closed = false;
  #reading = NO_READING;

  constructor(handle: NativeHandle) {
    this.#handle = handle;
  }

  info(): Info {
    return this.#run({ operation: 'info' }, queries.info());
  }
  timeouts(): Timeouts {
    return this.#run({ operation: 'timeouts' }, queries.timeouts());
  }
  setTimeouts(timeouts: Partial<Timeouts>): void {
    this.#run({ operation: 'setTimeouts' }, queries.setTimeouts(timeouts));
  }
  services(): ServiceStatus[] {
    return this.#run({ operation: 'services' }, queries.services());
  }
  service(ref: ServiceRef): ServiceStatus | undefined {
    return this.#run({ operation: 'service', service: ref }, queries.service(ref));
  }
  addService(service: Service): void {
    this.#run({ operation: 'addService', service }, applyOne({ op: 'addService', service }));
  }
  setService(service: Service): void {
    this.#run({ operation: 'setService', service }, applyOne({ op: 'setService', service }));
  }
  deleteService(ref: ServiceRef): void {
    this.#run(
      { operation: 'deleteService', service: ref },
      applyOne({ op: 'deleteService', service: ref }),
    );
  }
  destinations(ref: ServiceRef): DestinationStatus[] {
    return this.#run({ operation: 'destinations', service: ref }, queries.destinations(ref));
  }
  addDestination(ref: ServiceRef, destination: Destination): void {
    const subject = { operation: 'addDestination', service: ref, destination };
    this.#run(subject, applyOne({ op: 'addDestination', service: ref, destination }));
  }
  setDestination(ref: ServiceRef, destination: Destination): void {
    const subject = { operation: 'setDestination', service: ref, destination };
    this.#run(subject, applyOne({ op: 'setDestination', service: ref, destination }));
  }
  deleteDestination(ref: ServiceRef, destination: DestinationRef): void {
    const subject = { operation: 'deleteDestination', service: ref, destination };
    this.#run(subject, applyOne({ op: 'deleteDestination', service: ref, destination }));
  }
  zero(ref?: ServiceRef): void {
    this.#run({ operation: 'zero', service: ref }, queries.zero(ref));
  }
  flush(): void {
    this.#run({ operation: 'flush' }, queries.flush());
  }
  daemons(): SyncDaemon[] {
    return this.#run({ operation: 'daemons' }, queries.daemons());
  }
  startDaemon(daemon: SyncDaemon): void {
    this.#run(
      { operation: 'startDaemon', names: interfaceOf(daemon) },
      queries.startDaemon(daemon),
    );
  }
  stopDaemon(daemon: Pick<SyncDaemon, 'role'>): void {
    this.#run({ operation: 'stopDaemon' }, queries.stopDaemon(daemon));
  }
  snapshot(): VirtualServerStatus[] {
    return this.#run({ operation: 'snapshot' }, queries.snapshot());
  }
  servers(): readonly VirtualServer[] {
    this.#reading = this.#run({ operation: 'servers' }, readServers(this.#reading));
    return this.#reading.servers;
  }
  apply(changes: Iterable<Change>, options?: ApplyOptions): Outcome[] {
    return this.#run({ operation: 'apply' }, apply(changes, options));
  }
  connections(filter?: ConnectionFilter, options?: ConnectionOptions): ConnectionTable {
    return this.#attempt({ operation: 'connections' }, () =>
      connectionsSync(this.#handle, filter, options),
    );
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    this.#handle.closeSync();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #run<T>(subject: Subject, operation: Operation<T>): T {
    return this.#attempt(subject, () => runSync(this.#handle, operation));
  }

  #attempt<T>(subject: Subject, work: () => T): T {
    try {
      if (this.#closed) throw closed(requestFor(subject));
      return work();
    } catch (error) {
      throw explainFailure(error, requestFor(subject));
    }
  }
}

function interfaceOf(daemon: unknown): unknown {
  return (Object(daemon) as { interface?: unknown }).interface;
}
