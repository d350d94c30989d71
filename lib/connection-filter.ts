// What rows of the connection table to read, checked and packed for the addon.
import { ADDRESS_BYTES, splitHostPort, writeAddress } from './address';
import { CONNECTION_LAYOUT, Has, NAME_BYTES } from './connection-records';
import { InvalidInput, show } from './errors';
import { familyOf, toAddress, toDestinationKey, toServiceKey } from './id';
import type { Protocol, ServiceKey, ServiceRef } from './model';
import { onlyNames } from './settings';

/**
 * Which connections to read; they must satisfy all that is given. Pushed down: rows that do not match are never stored.
 * @public
 */
export interface ConnectionFilter {
  readonly protocol?: Protocol;
  /**
   * Connections to its virtual address; port 0 is every port of the address. The kernel does not show which connections
   * came by a firewall mark: `fwmark:…` finds its persistence templates alone.
   */
  readonly service?: ServiceRef;
  /** An address with or without a port: `192.0.2.10`, `192.0.2.10:8080`, `2001:db8::10`, `[2001:db8::10]:8080`. */
  readonly destination?: string;
  /** An address, or a prefix such as `10.0.0.0/8` or `2001:db8::/32`. */
  readonly client?: string;
  /** As the kernel writes it, such as `ESTABLISHED`. */
  readonly state?: ConnectionState;
  /** `true`: persistence templates alone, which say which client sticks where; `false`: all but them. */
  readonly template?: boolean;
}

/**
 * State of a connection: TCP's, `UDP`, those of persistence templates (`ASSURED`, `NONE`), SCTP's (such as `COOKIE`), and
 * whatever else the kernel writes.
 * @public
 */
export type ConnectionState =
  | 'NONE'
  | 'ESTABLISHED'
  | 'SYN_SENT'
  | 'SYN_RECV'
  | 'FIN_WAIT'
  | 'TIME_WAIT'
  | 'CLOSE'
  | 'CLOSE_WAIT'
  | 'LAST_ACK'
  | 'LISTEN'
  | 'SYNACK'
  | 'UDP'
  | 'ASSURED'
  | (string & {});

const QUERY = CONNECTION_LAYOUT.ConnectionQuery;
const PROTOCOLS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };
const NAMES = ['protocol', 'service', 'destination', 'client', 'state', 'template'];

/** The ConnectionQuery for a filter as given by the caller, for any source. Throws InvalidInput. */
export function toQuery(input: unknown): Uint8Array {
  const query = new Query();
  if (input === undefined) return query.bytes;
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidInput(
      `filter: ${show(input)} is not an object: give one such as { state: 'ESTABLISHED' }`,
    );
  }
  const filter = input as Readonly<Record<string, unknown>>;
  onlyNames('filter', filter, NAMES);
  const { protocol, service, destination, client, state, template } = filter;
  if (protocol !== undefined) query.setProtocol(protocol);
  if (service !== undefined) query.setService(toServiceKey(service));
  if (destination !== undefined) query.setDestination(destination);
  if (client !== undefined) query.setClient(client);
  if (state !== undefined) query.setState(state);
  if (template !== undefined) query.setTemplate(template);
  return query.bytes;
}

class Query {
  readonly bytes = new Uint8Array(QUERY.size);
  readonly #view = new DataView(this.bytes.buffer);

  setProtocol(value: unknown): void {
    if (typeof value !== 'string' || !Object.hasOwn(PROTOCOLS, value)) {
      throw new InvalidInput(
        `protocol: ${show(value)} is no protocol of IPVS: use 'tcp', 'udp' or 'sctp'`,
      );
    }
    this.#has(Has.protocol);
    this.bytes[QUERY.protocol] = PROTOCOLS[value as Protocol];
  }

  // Templates of a firewall mark have protocol 0, and the mark where the address would be.
  setService(key: ServiceKey): void {
    this.#has(Has.service);
    this.bytes[QUERY.service_family] = familyNumber(familyOf(key));
    if ('fwmark' in key) {
      this.#view.setUint32(QUERY.service_address, key.fwmark);
      return;
    }
    this.bytes[QUERY.service_protocol] = PROTOCOLS[key.protocol];
    writeAddress(key.address, this.bytes, QUERY.service_address);
    this.#set16(QUERY.service_port, key.port);
  }

  setDestination(value: unknown): void {
    if (typeof value !== 'string') {
      throw new InvalidInput(
        `destination: ${show(value)} is not text: give an address with or without a port, such as '192.0.2.10:8080'`,
      );
    }
    this.#has(Has.destination);
    let address = value;
    if (splitHostPort(value) !== undefined) {
      const key = toDestinationKey(value);
      address = key.address;
      this.#has(Has.destinationPort);
      this.#set16(QUERY.destination_port, key.port);
    }
    this.#setAddress('destination', address, QUERY.destination_family, QUERY.destination_address);
  }

  setClient(value: unknown): void {
    if (typeof value !== 'string') {
      throw new InvalidInput(
        `client: ${show(value)} is not text: give an address such as '10.0.0.1', or a prefix such as '10.0.0.0/8'`,
      );
    }
    this.#has(Has.client);
    const slash = value.indexOf('/');
    const address = slash < 0 ? value : value.slice(0, slash);
    const at = QUERY.client_address;
    const bits = this.#setAddress('client', address, QUERY.client_family, at) === 'ipv4' ? 32 : 128;
    const prefix = slash < 0 ? bits : toPrefix(value, value.slice(slash + 1), bits);
    if (!isNetwork(this.bytes.subarray(at, at + ADDRESS_BYTES), prefix)) {
      throw new InvalidInput(
        `client: ${show(value)} has bits set beyond its prefix: write the first address of the network`,
      );
    }
    this.bytes[QUERY.client_prefix] = prefix;
  }

  setState(value: unknown): void {
    if (typeof value !== 'string' || !/^[A-Z0-9_!?,-]{1,15}$/.test(value)) {
      throw new InvalidInput(
        `state: ${show(value)} is no state: write it as the kernel does, such as 'ESTABLISHED' or 'TIME_WAIT'`,
      );
    }
    this.#has(Has.state);
    for (let i = 0; i < NAME_BYTES; i++) {
      this.bytes[QUERY.state + i] = i < value.length ? value.charCodeAt(i) : 0;
    }
  }

  setTemplate(value: unknown): void {
    if (typeof value !== 'boolean') {
      throw new InvalidInput(`template: ${show(value)} is neither true nor false`);
    }
    this.#has(Has.persistent);
    this.bytes[QUERY.persistent] = value ? 1 : 0;
  }

  #has(bit: number): void {
    this.#view.setUint32(QUERY.has, this.#view.getUint32(QUERY.has, LITTLE) | bit, LITTLE);
  }

  #set16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, LITTLE);
  }

  #setAddress(what: string, text: string, family: number, at: number): 'ipv4' | 'ipv6' {
    const parsed = toAddress(what, text);
    writeAddress(parsed.address, this.bytes, at);
    this.bytes[family] = familyNumber(parsed.family);
    return parsed.family;
  }
}

// Records are in the host's byte order.
const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function familyNumber(family: 'ipv4' | 'ipv6'): number {
  return family === 'ipv6' ? 6 : 4;
}

function toPrefix(value: string, text: string, bits: number): number {
  const prefix = /^(?:0|[1-9]\d{0,2})$/.test(text) ? Number(text) : Infinity;
  if (prefix <= bits) return prefix;
  throw new InvalidInput(
    `client: ${show(value)}: ${show(text)} is no length of a prefix: use a whole number from 0 to ${bits}`,
  );
}

/** Whether nothing is set beyond the prefix. */
function isNetwork(address: Uint8Array, prefix: number): boolean {
  return address.every((byte, i) => {
    const kept = Math.min(Math.max(prefix - 8 * i, 0), 8);
    return (byte & (0xff >> kept)) === 0;
  });
}
