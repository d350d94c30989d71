// A kernel that answers at once with answers made beforehand: what is left is the work on the JavaScript side.
import { setImmediate as turn } from 'node:timers/promises';
import type { VirtualServer } from 'ipvs';
import type { NativeHandle } from '../dist/native';
import { internals } from './places';
import { serviceOf } from './workload';

const { native, records, settings } = internals();
const { LAYOUT, Records } = records;
const CHANGE = LAYOUT.ChangeRecord;
const SERVICE = LAYOUT.ServiceRow;
const DESTINATION = LAYOUT.DestinationRow;

/** Does every change, and reports `table` however often it is asked. */
export function cannedKernel(table: readonly VirtualServer[]): NativeHandle {
  const services = serviceRows(table);
  const destinations = destinationRows(table);
  const each = destinations.byteLength / Math.max(table.length, 1);
  let next = 0;

  const answer = (op: number, request: Uint8Array): ArrayBuffer => {
    const count = request.byteLength / CHANGE.size;
    if (op === native.Op.apply) return new ArrayBuffer(count * 4);
    if (op === native.Op.services) {
      next = 0;
      return services.slice(0);
    }
    if (op !== native.Op.destinations && op !== native.Op.destinationSettings)
      throw new TypeError(`no answer to operation ${op}`);
    const reply = destinations.slice(next * each, (next + count) * each);
    number(reply, each / DESTINATION.size);
    next += count;
    return reply;
  };
  const none = (): never => {
    throw new TypeError('no connections here');
  };
  return {
    connections: none,
    connectionsSync: none,
    cancel: none,
    release: () => undefined,
    callSync: answer,
    call: async (op, request) => {
      const reply = answer(op, request);
      await turn();
      return reply;
    },
    close: () => Promise.resolve(),
    closeSync: () => undefined,
  };
}

function serviceRows(table: readonly VirtualServer[]): ArrayBuffer {
  const to = Records.of(SERVICE.size, table.length);
  table.forEach((server, i) => {
    const full = settings.toFullService(serviceOf(server));
    records.writeServiceKey(to, i * SERVICE.size + SERVICE.service, full.key);
    records.writeServiceSettings(to, i * SERVICE.size + SERVICE.settings, full);
  });
  return to.buffer;
}

function destinationRows(table: readonly VirtualServer[]): ArrayBuffer {
  const to = Records.of(
    DESTINATION.size,
    table.reduce((count, { destinations }) => count + destinations.length, 0),
  );
  const change = Records.of(CHANGE.size, 1);
  let row = 0;
  for (const server of table) {
    const { key } = settings.toFullService(serviceOf(server));
    for (const destination of server.destinations) {
      records.writeServiceChange(change, 0, 0, key);
      records.writeDestination(change, 0, settings.toFullDestination(key, destination));
      const at = row++ * DESTINATION.size + DESTINATION.destination;
      to.bytes.set(change.bytes.subarray(CHANGE.destination), at);
    }
  }
  return to.buffer;
}

/** Gives rows the index of their service within one call. */
function number(rows: ArrayBuffer, each: number): void {
  const words = new Uint32Array(rows);
  const size = DESTINATION.size >> 2;
  for (let row = 0; row * size < words.length; row++) {
    words[row * size + (DESTINATION.service >> 2)] = Math.floor(row / each);
  }
}
