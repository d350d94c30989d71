// The connection table of the kernel in memory: what a test put there, read with the addon's filters.
import { constants } from 'node:os';
import { ADDRESS_BYTES, writeAddress } from '../address';
import { CONNECTION_LAYOUT, Has, NAME_BYTES, ORIGINS, Source } from '../connection-records';
import type { Connection } from '../connection-table';
import { InvalidInput, show } from '../errors';
import { toAddress, toNumber } from '../id';

const QUERY = CONNECTION_LAYOUT.ConnectionQuery;
const ENGINE = CONNECTION_LAYOUT.EngineRecord;
const NUMBERS: Readonly<Record<string, number>> = {
  ip: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmpv6: 58,
  sctp: 132,
};
const U32_MAX = 2 ** 32 - 1;

interface Address {
  readonly family: number;
  readonly bytes: Uint8Array;
  readonly port: number;
}

interface Row {
  readonly protocol: number;
  readonly client: Address;
  readonly virtual: Address;
  readonly destination: Address;
  readonly state: string;
  readonly expires: number;
  readonly origin: number;
  readonly engine: { readonly name: string; readonly data: Buffer } | undefined;
}

/** Thrown with a step and an error number of the system, as the addon does. */
type Refuse = (op: string, errno: number) => Error;

export class Connections {
  #rows: readonly Row[] = [];

  /** Replaces what is there. Throws InvalidInput, and changes nothing then. */
  set(connections: Iterable<Connection>): void {
    this.#rows = Array.from(connections, toRow);
  }

  /** What the addon answers to the same query. */
  read(query: Uint8Array, refuse: Refuse): ArrayBuffer[] {
    const source = query[QUERY.source];
    // Nobody has turned net.ipv4.vs.conntrack on here.
    if (source === Source.conntrack || source === Source.conntrackIfFit) {
      throw refuse('conntrack off', constants.errno.EOPNOTSUPP);
    }
    if (query.length !== QUERY.size || (source !== Source.table && source !== Source.origin)) {
      throw refuse('request', constants.errno.EINVAL);
    }
    const wanted = new Wanted(query);
    return toColumns(
      this.#rows.filter((row) => wanted.has(row)),
      source === Source.origin,
    );
  }
}

function toRow(connection: Connection): Row {
  const { protocol, state, expires, engine, origin = 'local' } = connection;
  const client = toEnd('client', connection.client);
  const virtual = toEnd('virtual', connection.virtual);
  if (client.family !== virtual.family) {
    throw new InvalidInput('virtual: not of the family of the client: use one family for both');
  }
  if (typeof state !== 'string' || !/^[A-Z0-9_!?,-]{1,15}$/.test(state)) {
    throw new InvalidInput(`state: ${show(state)} is no state: use one such as 'ESTABLISHED'`);
  }
  return {
    protocol: toProtocol(protocol),
    client,
    virtual,
    destination: toEnd('destination', connection.destination),
    state,
    expires: toNumber('expires', expires, 0, U32_MAX),
    origin: ORIGINS.indexOf(origin),
    engine:
      engine === undefined ? undefined : { name: engine.name, data: Buffer.from(engine.data) },
  };
}

function toProtocol(protocol: unknown): number {
  const number =
    typeof protocol === 'string'
      ? (NUMBERS[protocol] ?? Number(/^ip-(\d{1,3})$/.exec(protocol)?.[1]))
      : NaN;
  if (number <= 255) return number;
  throw new InvalidInput(`protocol: ${show(protocol)} is no protocol: use one such as 'tcp'`);
}

function toEnd(what: string, end: unknown): Address {
  const { address, port } = Object(end) as { address?: unknown; port?: unknown };
  const parsed = toAddress(`${what}.address`, address);
  const bytes = new Uint8Array(ADDRESS_BYTES);
  writeAddress(parsed.address, bytes, 0);
  return {
    family: parsed.family === 'ipv6' ? 6 : 4,
    bytes,
    port: toNumber(`${what}.port`, port, 0, 65535),
  };
}

/** A query, looked at as native/src/connections.cc does. */
class Wanted {
  readonly #query: Uint8Array;
  readonly #has: number;
  readonly #state: string;

  constructor(query: Uint8Array) {
    this.#query = query;
    this.#has = new Uint32Array(query.slice(QUERY.has, QUERY.has + 4).buffer)[0] ?? 0;
    this.#state = Buffer.from(query.subarray(QUERY.state, QUERY.state + NAME_BYTES))
      .toString('latin1')
      .replace(/\0.*$/s, '');
  }

  has({ protocol, client, virtual, destination, state }: Row): boolean {
    const query = this.#query;
    const wants = (bit: number): boolean => (this.#has & bit) !== 0;
    const servicePort = this.#port(QUERY.service_port);
    const refusals = [
      wants(Has.protocol) && protocol !== query[QUERY.protocol],
      wants(Has.persistent) && (client.port === 0) !== (query[QUERY.persistent] === 1),
      wants(Has.service) &&
        (protocol !== query[QUERY.service_protocol] ||
          virtual.family !== query[QUERY.service_family] ||
          (servicePort !== 0 && virtual.port !== servicePort) ||
          !this.#shares(virtual, QUERY.service_address, 128)),
      wants(Has.destination) &&
        (destination.family !== query[QUERY.destination_family] ||
          !this.#shares(destination, QUERY.destination_address, 128)),
      wants(Has.destinationPort) && destination.port !== this.#port(QUERY.destination_port),
      wants(Has.client) &&
        (client.family !== query[QUERY.client_family] ||
          !this.#shares(client, QUERY.client_address, query[QUERY.client_prefix] ?? 0)),
      wants(Has.state) && state !== this.#state,
    ];
    return !refusals.includes(true);
  }

  #port(offset: number): number {
    return new Uint16Array(this.#query.slice(offset, offset + 2).buffer)[0] ?? 0;
  }

  #shares({ bytes }: Address, offset: number, bits: number): boolean {
    return bytes.every((byte, i) => {
      const ignored = 8 - Math.min(Math.max(bits - 8 * i, 0), 8);
      return (byte ^ (this.#query[offset + i] ?? 0)) >> ignored === 0;
    });
  }
}

function toColumns(rows: readonly Row[], withOrigin: boolean): ArrayBuffer[] {
  const states = [...new Set(rows.map(({ state }) => state))];
  const numbers = new Map(states.map((state, i) => [state, i]));
  // The kernel's file with the origins has no engines.
  const engines = withOrigin
    ? []
    : rows.flatMap(({ engine }, row) => (engine === undefined ? [] : [{ row, ...engine }]));
  const addresses = (of: (row: Row) => Address): ArrayBuffer =>
    buffer(Buffer.concat(rows.map((row) => of(row).bytes)));
  const ports = (of: (row: Row) => Address): ArrayBuffer =>
    Uint16Array.from(rows, (row) => of(row).port).buffer;
  return [
    Uint8Array.from(rows, ({ protocol }) => protocol).buffer,
    Uint8Array.from(rows, ({ client, destination }) => (destination.family << 4) | client.family)
      .buffer,
    Uint8Array.from(rows, ({ state }) => numbers.get(state) ?? 0).buffer,
    addresses(({ client }) => client),
    addresses(({ virtual }) => virtual),
    addresses(({ destination }) => destination),
    ports(({ client }) => client),
    ports(({ virtual }) => virtual),
    ports(({ destination }) => destination),
    Uint32Array.from(rows, ({ expires }) => expires).buffer,
    Uint8Array.from(withOrigin ? rows : [], ({ origin }) => origin).buffer,
    names(states),
    engineRecords(engines),
    buffer(Buffer.concat(engines.map(({ data }) => data))),
  ];
}

function engineRecords(
  engines: readonly { row: number; name: string; data: Buffer }[],
): ArrayBuffer {
  const bytes = new Uint8Array(engines.length * ENGINE.size);
  const words = new Uint32Array(bytes.buffer);
  let offset = 0;
  engines.forEach(({ row, name, data }, i) => {
    words.set([row, offset, data.length], (i * ENGINE.size) / 4);
    bytes.set(Buffer.from(name).subarray(0, NAME_BYTES - 1), i * ENGINE.size + ENGINE.name);
    offset += data.length;
  });
  return bytes.buffer;
}

function names(states: readonly string[]): ArrayBuffer {
  const bytes = new Uint8Array(states.length * NAME_BYTES);
  states.forEach((state, i) => {
    bytes.set(Buffer.from(state), i * NAME_BYTES);
  });
  return bytes.buffer;
}

// A Buffer may be a part of a larger block.
function buffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
