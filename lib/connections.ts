// Reading the connection table: the filter checked, the call made (and called off by a signal), the columns wrapped.
import { toQuery, type ConnectionFilter } from './connection-filter';
import { CONNECTION_LAYOUT, readColumns, Source } from './connection-records';
import { isAboutNetfilter, toSources, type ConnectionSource } from './connection-source';
import { Table, type ConnectionTable } from './connection-table';
import { InvalidInput, IpvsError, show } from './errors';
import { ipvsError } from './explain';
import type { NativeHandle } from './native';
import { onlyNames } from './settings';

export type { ConnectionFilter, ConnectionState } from './connection-filter';
export type { ConnectionColumns } from './connection-records';
export type { ConnectionSource } from './connection-source';
export type {
  Connection,
  ConnectionCount,
  ConnectionKey,
  ConnectionTable,
} from './connection-table';

/** How to read the connection table. @public */
export interface ConnectionOptions {
  /** Breaks the reading off, between two pages. */
  readonly signal?: AbortSignal;
  /**
   * Tells of each row whether this host made it or another director synchronised it. From another file of the kernel
   * (`ip_vs_conn_sync`), which knows nothing of persistence engines.
   * @defaultValue `false`
   */
  readonly origin?: boolean;
  /**
   * Where to read from. Before Linux 6.14 the kernel hands out its own table (`'ip_vs'`) in time that grows with the
   * square of its length. Where `net.ipv4.vs.conntrack` is 1, netfilter's table (`'conntrack'`) has the same connections
   * and is read in linear time. It has no templates, engines or services by firewall mark, counts seconds of its own, and
   * knows destinations of `masq` alone: those of others are `0.0.0.0:0` or `[::]:0`. `'auto'` takes netfilter's where it is the
   * sooner of the two and no row or destination would be missing; see `source` of the table.
   * @defaultValue `'ip_vs'`
   */
  readonly source?: ConnectionSource | 'auto';
}

const REQUEST = { operation: 'connections' };
let tickets = 0;

export async function connections(
  handle: NativeHandle,
  filter?: ConnectionFilter,
  options?: ConnectionOptions,
): Promise<ConnectionTable> {
  const { query, sources, signal } = prepare(filter, options);
  const ticket = ++tickets;
  const cancel = (): void => {
    handle.cancel(ticket);
  };
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    for (const source of sources.slice(0, -1)) {
      try {
        return toTable(await handle.connections(from(source, query), ticket), source);
      } catch (error) {
        if (!isAboutNetfilter(error)) throw error;
        if (signal?.aborted === true) throw aborted(signal);
      }
    }
    const source = sources.at(-1) ?? Source.table;
    return toTable(await handle.connections(from(source, query), ticket), source);
  } catch (error) {
    throw signal?.aborted === true ? aborted(signal) : error;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

export function connectionsSync(
  handle: NativeHandle,
  filter?: ConnectionFilter,
  options?: ConnectionOptions,
): ConnectionTable {
  const { query, sources } = prepare(filter, options);
  for (const source of sources.slice(0, -1)) {
    try {
      return toTable(handle.connectionsSync(from(source, query)), source);
    } catch (error) {
      if (!isAboutNetfilter(error)) throw error;
    }
  }
  const source = sources.at(-1) ?? Source.table;
  return toTable(handle.connectionsSync(from(source, query)), source);
}

interface Reading {
  readonly query: Uint8Array;
  /** To be tried in turn. */
  readonly sources: readonly Source[];
  readonly signal: AbortSignal | undefined;
}

function prepare(filter: unknown, options: unknown = {}): Reading {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidInput(
      `options: ${show(options)} is not an object: give one such as { signal }`,
    );
  }
  onlyNames('read of connections', { ...options }, ['signal', 'origin', 'source']);
  const given = options as Readonly<Record<string, unknown>>;
  const { signal, origin = false, source = 'ip_vs' } = given;
  if (signal !== undefined && !isSignal(signal)) {
    throw new InvalidInput(`signal: ${show(signal)} is no AbortSignal: give controller.signal`);
  }
  if (typeof origin !== 'boolean') {
    throw new InvalidInput(`origin: ${show(origin)} is neither true nor false`);
  }
  const query = toQuery(filter);
  const sources = toSources(query, source, origin);
  if (signal?.aborted === true) throw aborted(signal);
  return { query, sources, signal };
}

function from(source: Source, query: Uint8Array): Uint8Array {
  query[CONNECTION_LAYOUT.ConnectionQuery.source] = source;
  return query;
}

// By what it can do: signals come from other realms too.
export function isSignal(value: unknown): value is AbortSignal {
  const { aborted: flag, addEventListener } = Object(value) as Partial<AbortSignal>;
  return typeof flag === 'boolean' && typeof addEventListener === 'function';
}

function aborted(signal: AbortSignal): IpvsError {
  return ipvsError('ABORT_ERR', 'aborted by its signal', REQUEST, undefined, signal.reason);
}

function toTable(buffers: readonly ArrayBuffer[], source: Source): ConnectionTable {
  const parts = readColumns(buffers);
  const isOwn = source === Source.table || source === Source.origin;
  if (parts !== undefined) return new Table(parts, isOwn ? 'ip_vs' : 'conntrack');
  throw ipvsError(
    'ERR_IPVS_REPLY',
    'the addon answered columns of unequal length: reinstall ipvs',
    REQUEST,
  );
}
