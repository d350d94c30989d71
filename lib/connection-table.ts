// A snapshot of the connection table, over memory that the addon filled and nobody copied. Rows become objects and
// addresses become text only when asked for.
import { formatAddress, joinHostPort } from './address';
import type { ConnectionState } from './connection-filter';
import {
  CONNECTION_LAYOUT,
  ORIGINS,
  readName,
  type ConnectionColumns,
  type ConnectionParts,
} from './connection-records';
import type { ConnectionSource } from './connection-source';
import { InvalidInput, show } from './errors';
import { allAlike, group, numbersAlike, wordsAlike, type Alike, type Groups } from './groups';
import type { Family, Protocol } from './model';

/** One row of the connection table. @public */
export interface Connection {
  /** Also what is no protocol of a service: `ip` in templates of firewall marks, `ip-47`. */
  readonly protocol: Protocol | (string & {});
  /** Port 0: this is a persistence template, which stands for a client (or a network of clients). */
  readonly client: { readonly address: string; readonly port: number };
  /** Where the client sent it. In a template of a firewall mark, the mark: 7 is `0.0.0.7`, or `0:7::`. */
  readonly virtual: { readonly address: string; readonly port: number };
  readonly destination: { readonly address: string; readonly port: number };
  readonly state: ConnectionState;
  /** Seconds until the entry expires. */
  readonly expires: number;
  /** What a persistence engine keeps: for `sip`, the Call-ID, as it came over the network. */
  readonly engine?: { readonly name: string; readonly data: string };
  /** Whether this host made the entry, or another director synchronised it; when `origin` was asked for. */
  readonly origin?: 'local' | 'sync';
}

/** What connections can be counted by. @public */
export type ConnectionKey = 'protocol' | 'state' | 'service' | 'destination' | 'client';

/** How many rows have a key. @public */
export interface ConnectionCount {
  readonly key: string;
  readonly count: number;
}

/**
 * A snapshot of the connection table: one typed array a column, each over memory that the addon parsed into and handed
 * over whole. Rows are decoded only when asked for. The memory is freed with the last view of it.
 * @public
 */
export interface ConnectionTable extends Iterable<Connection> {
  /** Where the rows came from: what `source: 'auto'` chose. */
  readonly source: ConnectionSource;
  readonly length: number;
  readonly columns: ConnectionColumns;
  /** Names of the numbers in the state column. */
  readonly states: readonly ConnectionState[];
  /** One row; a negative number counts from the end. */
  at(row: number): Connection | undefined;
  /**
   * Counts rows by a key, most first, without decoding them: only the keys become text. Several keys are counted
   * together, and stand in the text with a space between: `ESTABLISHED 192.0.2.10:8080`.
   */
  countBy(key: ConnectionKey | readonly ConnectionKey[]): Map<string, number>;
  /** The `limit` keys with the most rows, most first; no other key becomes text. @param limit - 10 unless given */
  top(key: ConnectionKey | readonly ConnectionKey[], limit?: number): ConnectionCount[];
}

const ENGINE = CONNECTION_LAYOUT.EngineRecord;
const ENGINE_WORDS = ENGINE.size / 4;
const KEYS: readonly string[] = ['protocol', 'state', 'service', 'destination', 'client'];
const ADDRESS_WORDS = 4;
/** Names of protocol numbers that the kernel knows to have connections. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'ip',
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
};

export class Table implements ConnectionTable {
  readonly source: ConnectionSource;
  readonly length: number;
  readonly columns: ConnectionColumns;
  readonly states: readonly string[];
  readonly #engines: Uint8Array;
  readonly #engineWords: Uint32Array;
  readonly #engineData: Uint8Array;

  constructor(
    { columns, states, engines, engineData }: ConnectionParts,
    source: ConnectionSource = 'ip_vs',
  ) {
    this.source = source;
    this.length = columns.protocol.length;
    this.columns = columns;
    this.states = states;
    this.#engines = engines;
    this.#engineWords = wordsOf(engines);
    this.#engineData = engineData;
  }

  at(row: number): Connection | undefined {
    const index = Math.trunc(row) || 0;
    const from = index < 0 ? index + this.length : index;
    return from < 0 || from >= this.length ? undefined : this.#decode(from);
  }

  *[Symbol.iterator](): Iterator<Connection, undefined> {
    for (let row = 0; row < this.length; row++) yield this.#decode(row);
  }

  countBy(key: ConnectionKey | readonly ConnectionKey[]): Map<string, number> {
    return new Map(this.#most(key, Infinity).map(({ key: text, count }) => [text, count]));
  }

  top(key: ConnectionKey | readonly ConnectionKey[], limit = 10): ConnectionCount[] {
    if (typeof limit !== 'number' || !(limit >= 0)) {
      throw new InvalidInput(`limit: ${show(limit)} is no number of keys: use one such as 10`);
    }
    return this.#most(key, limit);
  }

  #most(input: unknown, limit: number): ConnectionCount[] {
    const keys = toKeys(input);
    const groups = group(this.length, allAlike(keys.flatMap((key) => this.#alike(key))));
    return Array.from(mostOf(groups).subarray(0, limit), (index) => {
      const row = groups.rows[index] ?? 0;
      const key = keys.map((one) => this.#text(one, row)).join(' ');
      return { key, count: groups.counts[index] ?? 0 };
    });
  }

  #alike(key: ConnectionKey): Alike[] {
    const { protocol, state, virtualAddress, virtualPort, destinationAddress } = this.columns;
    switch (key) {
      case 'protocol':
        return [numbersAlike(protocol)];
      case 'state':
        return [numbersAlike(state)];
      case 'service':
        return [
          addressesAlike(virtualAddress),
          numbersAlike(virtualPort),
          numbersAlike(protocol),
          this.#familyAlike(0),
        ];
      case 'destination':
        return [
          addressesAlike(destinationAddress),
          numbersAlike(this.columns.destinationPort),
          this.#familyAlike(4),
        ];
      case 'client':
        return [addressesAlike(this.columns.clientAddress), this.#familyAlike(0)];
    }
  }

  // The same bytes may be an address of either family. Hardly ever does that tell two rows apart, so it is no part of the
  // hash.
  #familyAlike(shift: number): Alike {
    const { family } = this.columns;
    return {
      hash: () => 0,
      equal: (one, other) => (((family[one] ?? 0) ^ (family[other] ?? 0)) >> shift) % 16 === 0,
    };
  }

  #text(key: ConnectionKey, row: number): string {
    const { columns } = this;
    switch (key) {
      case 'protocol':
        return this.#protocol(row);
      case 'state':
        return this.#state(row);
      case 'service':
        return this.#service(row);
      case 'destination':
        return joinHostPort(
          formatAddress(columns.destinationAddress, 16 * row, this.#destinationFamily(row)),
          columns.destinationPort[row] ?? 0,
        );
      case 'client':
        return formatAddress(columns.clientAddress, 16 * row, this.#family(row));
    }
  }

  #service(row: number): string {
    const { virtualAddress, virtualPort } = this.columns;
    const family = this.#family(row);
    if (this.columns.protocol[row] === 0) {
      const mark = new DataView(virtualAddress.buffer, virtualAddress.byteOffset + 16 * row, 4);
      return `${family === 'ipv6' ? 'fwmark6' : 'fwmark'}:${mark.getUint32(0)}`;
    }
    const address = formatAddress(virtualAddress, 16 * row, family);
    return `${this.#protocol(row)}://${joinHostPort(address, virtualPort[row] ?? 0)}`;
  }

  #protocol(row: number): string {
    const number = this.columns.protocol[row] ?? 0;
    return PROTOCOLS[number] ?? `ip-${number}`;
  }

  #state(row: number): string {
    return this.states[this.columns.state[row] ?? 0] ?? '';
  }

  #family(row: number): Family {
    return (this.columns.family[row] ?? 0) % 16 === 6 ? 'ipv6' : 'ipv4';
  }

  #destinationFamily(row: number): Family {
    return (this.columns.family[row] ?? 0) >> 4 === 6 ? 'ipv6' : 'ipv4';
  }

  #decode(row: number): Connection {
    const { columns } = this;
    const family = this.#family(row);
    const engine = this.#engine(row);
    const origin = ORIGINS[columns.origin[row] ?? 0];
    return {
      protocol: this.#protocol(row),
      client: {
        address: formatAddress(columns.clientAddress, 16 * row, family),
        port: columns.clientPort[row] ?? 0,
      },
      virtual: {
        address: formatAddress(columns.virtualAddress, 16 * row, family),
        port: columns.virtualPort[row] ?? 0,
      },
      destination: {
        address: formatAddress(columns.destinationAddress, 16 * row, this.#destinationFamily(row)),
        port: columns.destinationPort[row] ?? 0,
      },
      state: this.#state(row),
      expires: columns.expires[row] ?? 0,
      ...(engine === undefined ? undefined : { engine }),
      ...(origin ? { origin } : undefined),
    };
  }

  /** Few rows have one; their records are sorted by row. */
  #engine(row: number): Connection['engine'] {
    const words = this.#engineWords;
    let low = 0;
    let high = words.length / ENGINE_WORDS;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((words[middle * ENGINE_WORDS] ?? 0) < row) low = middle + 1;
      else high = middle;
    }
    const [at, offset = 0, length = 0] = words.subarray(low * ENGINE_WORDS);
    if (at !== row) return undefined;
    const data = this.#engineData.subarray(offset, offset + length);
    return {
      name: readName(this.#engines, low * ENGINE.size + ENGINE.name),
      data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'),
    };
  }
}

function toKeys(input: unknown): readonly ConnectionKey[] {
  const keys: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (keys.length === 0) throw new InvalidInput('key: an empty array: name something to count by');
  for (const key of keys) {
    if (typeof key === 'string' && KEYS.includes(key)) continue;
    throw new InvalidInput(`key: ${show(key)} is nothing to count by: use ${KEYS.join(', ')}`);
  }
  return keys as readonly ConnectionKey[];
}

function addressesAlike(column: Uint8Array): Alike {
  return wordsAlike(wordsOf(column), ADDRESS_WORDS);
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}

/** Groups by size, the largest first; those of one size as they first appeared. */
function mostOf(groups: Groups): Uint32Array {
  const order = Uint32Array.from({ length: groups.size }, (_, i) => i);
  return order.sort(
    (one, other) => (groups.counts[other] ?? 0) - (groups.counts[one] ?? 0) || one - other,
  );
}
