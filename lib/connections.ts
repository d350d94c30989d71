// Reading the connection table: the filter checked, the call made (and called off by a signal), the columns wrapped.
import { toQuery, type ConnectionFilter } from './connection-filter';
import { readColumns, Source } from './connection-records';
import { Table, type ConnectionTable } from './connection-table';
import { InvalidInput, IpvsError, show } from './errors';
import { ipvsError } from './explain';
import type { NativeHandle } from './native';
import { onlyNames } from './settings';

export type { ConnectionFilter, ConnectionState } from './connection-filter';
export type { ConnectionColumns } from './connection-records';
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
}

const REQUEST = { operation: 'connections' };
let tickets = 0;

export async function connections(
  handle: NativeHandle,
  filter?: ConnectionFilter,
  options?: ConnectionOptions,
): Promise<ConnectionTable> {
  const { query, signal } = prepare(filter, options);
  const ticket = ++tickets;
  const cancel = (): void => {
    handle.cancel(ticket);
  };
  const reply = handle.connections(query, ticket);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return toTable(await reply);
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
  return toTable(handle.connectionsSync(prepare(filter, options).query));
}

function prepare(
  filter: unknown,
  options: unknown = {},
): { query: Uint8Array; signal: AbortSignal | undefined } {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidInput(
      `options: ${show(options)} is not an object: give one such as { signal }`,
    );
  }
  onlyNames('read of connections', { ...options }, ['signal', 'origin']);
  const { signal, origin = false } = options as { signal?: unknown; origin?: unknown };
  if (signal !== undefined && !isSignal(signal)) {
    throw new InvalidInput(`signal: ${show(signal)} is no AbortSignal: give controller.signal`);
  }
  if (typeof origin !== 'boolean') {
    throw new InvalidInput(`origin: ${show(origin)} is neither true nor false`);
  }
  const query = toQuery(filter, origin ? Source.origin : Source.table);
  if (signal?.aborted === true) throw aborted(signal);
  return { query, signal };
}

// By what it can do: signals come from other realms too.
function isSignal(value: unknown): value is AbortSignal {
  const { aborted: flag, addEventListener } = Object(value) as Partial<AbortSignal>;
  return typeof flag === 'boolean' && typeof addEventListener === 'function';
}

function aborted(signal: AbortSignal): IpvsError {
  return ipvsError('ABORT_ERR', 'aborted by its signal', REQUEST, undefined, signal.reason);
}

function toTable(buffers: readonly ArrayBuffer[]): ConnectionTable {
  const parts = readColumns(buffers);
  if (parts !== undefined) return new Table(parts);
  throw ipvsError(
    'ERR_IPVS_REPLY',
    'the addon answered columns of unequal length: reinstall ipvs',
    REQUEST,
  );
}
