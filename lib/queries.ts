// The operations that read, and the small ones that write, each in terms of records.
import { constants } from 'node:os';
import { NO_REQUEST, type Operation } from './operation';
import type {
  DestinationStatus,
  Info,
  ServiceRef,
  ServiceStatus,
  SyncDaemon,
  Timeouts,
  VirtualServerStatus,
} from './model';
import { IpvsError } from './errors';
import { explain } from './explain';
import { toServiceKey } from './id';
import { Op } from './native';
import { Portion } from './portion';
import {
  keyRequest,
  keyRequests,
  LAYOUT,
  readDaemon,
  readDestination,
  readInfo,
  readOwner,
  readService,
  readTimeouts,
  Records,
  rowCount,
  writeDaemon,
  writeTimeouts,
} from './records';
import { toDaemonRole, toFullDaemon, toFullTimeouts } from './settings';
import { Turn } from './turns';

const ESRCH = 3;

export function* info(): Operation<Info> {
  return readInfo(yield { op: Op.info, request: NO_REQUEST });
}

export function* timeouts(): Operation<Timeouts> {
  return readTimeouts(yield { op: Op.timeouts, request: NO_REQUEST });
}

export function* setTimeouts(values: Partial<Timeouts>): Operation<void> {
  yield { op: Op.setTimeouts, request: writeTimeouts(toFullTimeouts(values)) };
}

export function* services(): Operation<ServiceStatus[]> {
  const reply = yield { op: Op.services, request: NO_REQUEST };
  return yield* decode(reply, LAYOUT.ServiceRow.size, readService);
}

export function* service(ref: ServiceRef): Operation<ServiceStatus | undefined> {
  const reply = yield { op: Op.service, request: keyRequest(toServiceKey(ref)) };
  return rowCount(reply, LAYOUT.ServiceRow.size) === 0
    ? undefined
    : readService(new Records(reply), 0);
}

export function* destinations(ref: ServiceRef): Operation<DestinationStatus[]> {
  const key = toServiceKey(ref);
  const reply = yield { op: Op.destinations, request: keyRequest(key) };
  const found = yield* decode(reply, LAYOUT.DestinationRow.size, readDestination);
  // The kernel answers an empty list for a service it does not know.
  if (found.length === 0 && (yield* service(key)) === undefined) {
    throw explain(ESRCH, { operation: 'destinations', service: key });
  }
  return found;
}

export function* zero(ref?: ServiceRef): Operation<void> {
  yield { op: Op.zero, request: ref === undefined ? NO_REQUEST : keyRequest(toServiceKey(ref)) };
}

export function* flush(): Operation<void> {
  yield { op: Op.flush, request: NO_REQUEST };
}

export function* daemons(): Operation<SyncDaemon[]> {
  const reply = yield { op: Op.daemons, request: NO_REQUEST };
  return yield* decode(reply, LAYOUT.DaemonRecord.size, readDaemon);
}

export function* startDaemon(daemon: SyncDaemon): Operation<void> {
  yield { op: Op.startDaemon, request: writeDaemon(toFullDaemon(daemon)) };
}

export function* stopDaemon(daemon: Pick<SyncDaemon, 'role'>): Operation<void> {
  const full = toDaemonRole(daemon);
  try {
    yield { op: Op.stopDaemon, request: writeDaemon(full) };
  } catch (error) {
    // A daemon whose thread has not run yet is stopped, but no answer comes: kthread_stop returns EINTR then, and netlink
    // sends no acknowledgement for that (Linux 6.1, netlink_rcv_skb).
    if (!isUnanswered(error) || (yield* daemons()).some((found) => found.role === full.role))
      throw error;
  }
}

function isUnanswered(error: unknown): boolean {
  const { errno } = Object(error) as { errno?: unknown };
  return errno === constants.errno.ETIMEDOUT || errno === constants.errno.EINTR;
}

/** Services with their destinations: one dump of the services, then the destinations of many services a call. */
export function* snapshot(): Operation<VirtualServerStatus[]> {
  const reply = yield { op: Op.services, request: NO_REQUEST };
  const count = rowCount(reply, LAYOUT.ServiceRow.size);
  const rows = new Records(reply);
  const servers: VirtualServerStatus[] = [];
  let request: Records | undefined;
  const portion = new Portion();
  while (servers.length < count) {
    const from = servers.length;
    const to = Math.min(from + portion.size, count);
    request = keyRequests(rows, from, to, request);
    const found = yield { op: Op.destinations, request: request.bytes };
    portion.had(to - from, rowCount(found, LAYOUT.DestinationRow.size));
    yield* join(rows, from, to, found, servers);
    yield { release: found };
  }
  yield { release: reply };
  return servers;
}

/** Appends the services of rows `from`…`to`, each with its destinations, which `reply` holds in the same order. */
function* join(
  rows: Records,
  from: number,
  to: number,
  reply: ArrayBuffer,
  servers: VirtualServerStatus[],
): Operation<void> {
  const count = rowCount(reply, LAYOUT.DestinationRow.size);
  const records = new Records(reply);
  const turn = new Turn();
  let next = 0;
  for (let row = from; row < to; row++) {
    let end = next;
    while (end < count && readOwner(records, end) === row - from) end++;
    // As long as needed from the start: an array that grows has room for seventeen.
    const destinations = new Array<DestinationStatus>(end - next);
    for (let i = 0; next < end; i++) {
      destinations[i] = readDestination(records, next++);
      if (turn.over()) {
        yield 'pause';
        turn.next();
      }
    }
    // In place: a copy of every service would double the work of reading a big table.
    servers.push(Object.assign(readService(rows, row), { destinations }));
  }
  if (next < count) {
    throw new IpvsError('the addon answered destinations of no service: reinstall ipvs', {
      code: 'ERR_IPVS_REPLY',
      operation: 'snapshot',
    });
  }
}

function* decode<T>(
  reply: ArrayBuffer,
  size: number,
  read: (from: Records, row: number) => T,
): Operation<T[]> {
  const count = rowCount(reply, size);
  const records = new Records(reply);
  const rows: T[] = [];
  const turn = new Turn();
  for (let row = 0; row < count; row++) {
    rows.push(read(records, row));
    if (turn.over()) {
      yield 'pause';
      turn.next();
    }
  }
  yield { release: reply };
  return rows;
}
