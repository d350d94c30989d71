// Reads settings alone: what a plan compares. Most of a table is as it was when it was last read, and then the very objects
// of that time are handed out again: what the kernel sent is compared word by word, and only what differs is decoded.
import type { Destination, VirtualServer } from './model';
import { Op } from './native';
import { NO_REQUEST, type Operation } from './operation';
import { Portion } from './portion';
import {
  keyRequests,
  LAYOUT,
  readDestinationReading,
  readOwner,
  readServiceReading,
  Records,
  rowCount,
} from './records';
import { IpvsError } from './errors';
import { Turn } from './turns';

const SERVICE_WORDS = LAYOUT.ServiceRow.size >> 2;
const SERVICE_FIRST = LAYOUT.ServiceRow.service >> 2;
const KEY_WORDS = LAYOUT.ServiceKey.size >> 2;
const SERVICE_KEPT = KEY_WORDS + (LAYOUT.ServiceSettings.size >> 2);
const ROW_WORDS = LAYOUT.DestinationRow.size >> 2;
const ROW_FIRST = LAYOUT.DestinationRow.destination >> 2;
const SETTINGS_WORDS = LAYOUT.DestinationSettings.size >> 2;
const WEIGHT = LAYOUT.DestinationSettings.weight >> 2;
const COUNTS_FIRST = LAYOUT.DestinationRow.active_connections >> 2;
const COUNTS = 3;
const ROW_KEPT = SETTINGS_WORDS + COUNTS;

/** What a reading found, kept so that the next can tell what is still the same. */
export interface Reading {
  readonly servers: readonly VirtualServer[];
  /** Key and settings of each service. */
  readonly services: Uint32Array;
  /** Where the destinations of each service start, and where the last one's end. */
  readonly starts: Uint32Array;
  /** Settings of each destination, and its connections when its weight is 0. */
  readonly destinations: Uint32Array;
}

export const NO_READING: Reading = {
  servers: Object.freeze([]),
  services: new Uint32Array(0),
  starts: new Uint32Array(1),
  destinations: new Uint32Array(0),
};

/** Reads everything; where nothing differs from `last`, the result is `last` itself. */
export function* servers(last: Reading): Operation<Reading> {
  const reply = yield { op: Op.services, request: NO_REQUEST };
  const rows = new Records(reply);
  const count = rowCount(reply, LAYOUT.ServiceRow.size);
  const next = new Collection(last, rows, count);
  let request: Records | undefined;
  const portion = new Portion();
  let from = 0;
  while (from < count) {
    const to = Math.min(from + portion.size, count);
    request = keyRequests(rows, from, to, request);
    const found = yield { op: Op.destinationSettings, request: request.bytes };
    portion.had(to - from, rowCount(found, LAYOUT.DestinationRow.size));
    yield* next.take(from, to, found);
    yield { release: found };
    from = to;
  }
  yield { release: reply };
  return next.finish();
}

class Collection {
  readonly #last: Reading;
  readonly #rows: Records;
  readonly #count: number;
  /** Services that are as they were, at the very places: nothing of them is kept anew as long as there are no others. */
  #same = 0;
  #services = NO_READING.services;
  #starts = NO_READING.starts;
  #destinations = NO_READING.destinations;
  #servers: VirtualServer[] | undefined;
  /** Where in the last reading the next service is looked for first: it is rarely anywhere else. */
  #expected = 0;
  #places: Map<string, number> | undefined;

  constructor(last: Reading, rows: Records, count: number) {
    this.#last = last;
    this.#rows = rows;
    this.#count = count;
  }

  /** Takes services `from`…`to` with their destinations, which `reply` holds in the same order. */
  *take(from: number, to: number, reply: ArrayBuffer): Operation<void> {
    const count = rowCount(reply, LAYOUT.DestinationRow.size);
    const records = new Records(reply);
    const turn = new Turn();
    let first = 0;
    for (let row = from; row < to; row++) {
      let end = first;
      while (end < count && readOwner(records, end) === row - from) end++;
      this.#add(row, records, first, end);
      first = end;
      if (turn.over()) {
        yield 'pause';
        turn.next();
      }
    }
    if (first < count) {
      throw new IpvsError('the addon answered destinations of no service: reinstall ipvs', {
        code: 'ERR_IPVS_REPLY',
        operation: 'servers',
      });
    }
  }

  finish(): Reading {
    if (this.#servers === undefined && this.#count === this.#last.servers.length) return this.#last;
    const servers = this.#servers ?? this.#part();
    return {
      servers: Object.freeze(servers),
      services: this.#services,
      starts: this.#starts,
      destinations: this.#destinations.slice(0, (this.#starts[servers.length] ?? 0) * ROW_KEPT),
    };
  }

  #add(row: number, records: Records, first: number, end: number): void {
    if (this.#servers === undefined && this.#isUnchanged(row, records, first, end)) {
      this.#same++;
      return;
    }
    const servers = this.#servers ?? this.#part();
    const start = this.#starts[row] ?? 0;
    this.#starts[row + 1] = start + end - first;
    this.#keep(row, records, first, end, start);
    const place = this.#find(row);
    const known = place >= 0 && this.#isSame(row, place) ? this.#last.servers[place] : undefined;
    this.#expected = place < 0 ? this.#expected : place + 1;
    servers.push(known ?? this.#decode(row, records, first, end));
  }

  /** Whether a service and its destinations are what the last reading has at the same place. */
  #isUnchanged(row: number, { u32 }: Records, first: number, end: number): boolean {
    const { services, starts, destinations } = this.#last;
    const start = starts[row] ?? 0;
    if (row >= this.#last.servers.length || end - first !== (starts[row + 1] ?? 0) - start)
      return false;
    const service = row * SERVICE_WORDS + SERVICE_FIRST;
    if (!areEqual(this.#rows.u32, service, services, row * SERVICE_KEPT, SERVICE_KEPT))
      return false;
    let before = start * ROW_KEPT;
    for (let from = first * ROW_WORDS; from < end * ROW_WORDS; from += ROW_WORDS) {
      if (!areEqual(u32, from + ROW_FIRST, destinations, before, SETTINGS_WORDS)) return false;
      const idle = u32[from + ROW_FIRST + WEIGHT] !== 0;
      const counts = before + SETTINGS_WORDS;
      if (!idle && !areEqual(u32, from + COUNTS_FIRST, destinations, counts, COUNTS)) return false;
      before += ROW_KEPT;
    }
    return true;
  }

  /** From here on it is another reading: what was the same until now is taken over. */
  #part(): VirtualServer[] {
    const { servers, services, starts, destinations } = this.#last;
    const same = this.#same;
    const count = this.#count;
    this.#services = new Uint32Array(count * SERVICE_KEPT);
    this.#services.set(services.subarray(0, same * SERVICE_KEPT));
    this.#starts = new Uint32Array(count + 1);
    this.#starts.set(starts.subarray(0, same + 1));
    this.#destinations = new Uint32Array(Math.max(destinations.length, count * ROW_KEPT));
    this.#destinations.set(destinations.subarray(0, (starts[same] ?? 0) * ROW_KEPT));
    this.#expected = same;
    return (this.#servers = servers.slice(0, same));
  }

  /** Copies what counts. */
  #keep(row: number, records: Records, first: number, end: number, start: number): void {
    const service = row * SERVICE_WORDS + SERVICE_FIRST;
    for (let i = 0; i < SERVICE_KEPT; i++) {
      this.#services[row * SERVICE_KEPT + i] = this.#rows.u32[service + i] ?? 0;
    }
    const needed = (start + end - first) * ROW_KEPT;
    if (needed > this.#destinations.length) {
      const larger = new Uint32Array(Math.max(needed, this.#destinations.length * 2));
      larger.set(this.#destinations);
      this.#destinations = larger;
    }
    const { u32 } = records;
    let to = start * ROW_KEPT;
    for (let from = first * ROW_WORDS; from < end * ROW_WORDS; from += ROW_WORDS) {
      for (let i = 0; i < SETTINGS_WORDS; i++)
        this.#destinations[to++] = u32[from + ROW_FIRST + i] ?? 0;
      const idle = u32[from + ROW_FIRST + WEIGHT] !== 0;
      for (let i = 0; i < COUNTS; i++) {
        this.#destinations[to++] = idle ? 0 : (u32[from + COUNTS_FIRST + i] ?? 0);
      }
    }
  }

  /** Where the last reading has this service; -1 when it does not. */
  #find(row: number): number {
    const { services } = this.#last;
    const at = this.#expected * SERVICE_KEPT;
    if (areEqual(this.#services, row * SERVICE_KEPT, services, at, KEY_WORDS))
      return this.#expected;
    if (this.#places === undefined) {
      this.#places = new Map();
      for (let i = 0; i < this.#last.servers.length; i++) {
        this.#places.set(keyOf(services, i * SERVICE_KEPT), i);
      }
    }
    return this.#places.get(keyOf(this.#services, row * SERVICE_KEPT)) ?? -1;
  }

  #isSame(row: number, place: number): boolean {
    const { services, starts, destinations } = this.#last;
    const start = (this.#starts[row] ?? 0) * ROW_KEPT;
    const before = (starts[place] ?? 0) * ROW_KEPT;
    const size = (this.#starts[row + 1] ?? 0) * ROW_KEPT - start;
    return (
      size === (starts[place + 1] ?? 0) * ROW_KEPT - before &&
      areEqual(this.#services, row * SERVICE_KEPT, services, place * SERVICE_KEPT, SERVICE_KEPT) &&
      areEqual(this.#destinations, start, destinations, before, size)
    );
  }

  #decode(row: number, records: Records, first: number, end: number): VirtualServer {
    const destinations = new Array<Destination>(end - first);
    for (let i = first; i < end; i++) {
      destinations[i - first] = Object.freeze(readDestinationReading(records, i));
    }
    const service = readServiceReading(this.#rows, row);
    return Object.freeze(Object.assign(service, { destinations: Object.freeze(destinations) }));
  }
}

function areEqual(
  a: Uint32Array,
  aStart: number,
  b: Uint32Array,
  bStart: number,
  size: number,
): boolean {
  if (bStart + size > b.length) return false;
  for (let i = 0; i < size; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}

function keyOf(services: Uint32Array, start: number): string {
  return services.subarray(start, start + KEY_WORDS).join();
}
