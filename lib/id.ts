// Identity: keys (as data) and ids (as text) of services and destinations, in both directions. Keys that leave here are
// canonical: equal keys have equal ids.
import { joinHostPort, parseAddress, parsePort, splitHostPort, whyNotAddress } from './address';
import { InvalidInput, show } from './errors';
import type {
  DestinationId,
  DestinationKey,
  DestinationRef,
  Family,
  Protocol,
  ServiceId,
  ServiceKey,
  ServiceRef,
} from './model';

const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'];
const MARK_MAX = 0xffffffff;
const FORMS =
  'tcp://10.0.0.1:80, udp://[2001:db8::1]:53, sctp://10.0.0.1:132, fwmark:7 or fwmark6:7';

/** The service's text: `tcp://10.0.0.1:80`, `fwmark:7`, `fwmark6:7`. @public */
export function serviceId(key: ServiceKey): ServiceId {
  if ('fwmark' in key) {
    return key.family === 'ipv6' ? `fwmark6:${key.fwmark}` : `fwmark:${key.fwmark}`;
  }
  return `${key.protocol}://${joinHostPort(key.address, key.port)}`;
}

/** The destination's text: `192.0.2.10:8080`, `[2001:db8::10]:8080`. @public */
export function destinationId(key: DestinationKey): DestinationId {
  return joinHostPort(key.address, key.port) as DestinationId;
}

/** The canonical key of a service named either way. Throws InvalidInput. */
export function toServiceKey(ref: unknown): ServiceKey {
  if (typeof ref === 'string') return parseServiceId(ref);
  if (typeof ref !== 'object' || ref === null) {
    throw new InvalidInput(`service: ${show(ref)} is no service: name one such as ${FORMS}`);
  }
  const key = ref as Record<string, unknown>;
  if (key['fwmark'] === undefined) return toAddressKey(key);
  for (const name of ['protocol', 'address', 'port']) {
    if (key[name] !== undefined) {
      throw new InvalidInput(
        `${name}: a service is named by fwmark or by protocol, address and port, not both: leave one out`,
      );
    }
  }
  const { fwmark, family } = key;
  if (family !== 'ipv4' && family !== 'ipv6') {
    throw new InvalidInput(`family: ${show(family)} is no family: use 'ipv4' or 'ipv6'`);
  }
  return { fwmark: toNumber('fwmark', fwmark, 1, MARK_MAX), family };
}

function toAddressKey(key: Record<string, unknown>): ServiceKey {
  const { protocol } = key;
  if (typeof protocol !== 'string' || !PROTOCOLS.includes(protocol)) {
    throw new InvalidInput(
      `protocol: ${show(protocol)} is no protocol of IPVS: use 'tcp', 'udp' or 'sctp'`,
    );
  }
  const { family, address } = toAddress('address', key['address']);
  if (key['family'] !== undefined && key['family'] !== family) {
    throw new InvalidInput(
      `family: ${show(key['family'])} is not the family of ${address}: leave it out`,
    );
  }
  return { protocol: protocol as Protocol, address, port: toPort('port', key['port']) };
}

/** The canonical key of a destination named either way. Throws InvalidInput. */
export function toDestinationKey(ref: unknown): DestinationKey {
  if (typeof ref === 'string') {
    const parts = splitHostPort(ref);
    if (parts === undefined) {
      throw new InvalidInput(
        `destination: ${show(ref)} is no destination: write address:port, such as 192.0.2.10:8080 or [2001:db8::10]:8080`,
      );
    }
    return {
      address: toBracketed('destination', ref, parts.host),
      port: portOf('destination', ref, parts.port),
    };
  }
  if (typeof ref !== 'object' || ref === null) {
    throw new InvalidInput(
      `destination: ${show(ref)} is no destination: give address and port, or text such as 192.0.2.10:8080`,
    );
  }
  const { address, port } = ref as Record<string, unknown>;
  return { address: toAddress('address', address).address, port: toPort('port', port) };
}

function parseServiceId(text: string): ServiceKey {
  const mark = /^fwmark(6?):(.*)$/s.exec(text);
  if (mark !== null) {
    const value = mark[2] ?? '';
    if (!/^[1-9]\d{0,9}$/.test(value) || Number(value) > MARK_MAX) {
      throw new InvalidInput(
        `service: ${show(text)}: the mark must be a number from 1 to ${MARK_MAX}`,
      );
    }
    return { fwmark: Number(value), family: mark[1] === '6' ? 'ipv6' : 'ipv4' };
  }
  const address = /^(tcp|udp|sctp):\/\/(.*)$/s.exec(text);
  const parts = address === null ? undefined : splitHostPort(address[2] ?? '');
  if (address === null || parts === undefined) {
    throw new InvalidInput(`service: ${show(text)} is no service: name one such as ${FORMS}`);
  }
  return {
    protocol: address[1] as Protocol,
    address: toBracketed('service', text, parts.host),
    port: portOf('service', text, parts.port),
  };
}

// An IPv6 address inside a text with a port stands in brackets, and only that does.
function toBracketed(what: string, text: string, host: string): string {
  const parsed = parseAddress(host);
  if (parsed === undefined) {
    throw new InvalidInput(`${what}: ${show(text)}: ${show(host)} is ${whyNotAddress(host)}`);
  }
  if ((parsed.family === 'ipv6') !== text.includes('[')) {
    throw new InvalidInput(
      `${what}: ${show(text)}: write IPv6 addresses, and only them, in brackets`,
    );
  }
  return parsed.address;
}

function portOf(what: string, text: string, port: string): number {
  const value = parsePort(port);
  if (value === undefined) {
    throw new InvalidInput(
      `${what}: ${show(text)}: port ${show(port)} is not a number from 0 to 65535`,
    );
  }
  return value;
}

/** An address given as a setting. */
export function toAddress(what: string, value: unknown): { family: Family; address: string } {
  if (typeof value !== 'string') {
    throw new InvalidInput(
      `${what}: ${show(value)} is not text: give an address such as '10.0.0.1'`,
    );
  }
  const parsed = parseAddress(value);
  if (parsed === undefined)
    throw new InvalidInput(`${what}: ${show(value)} is ${whyNotAddress(value)}`);
  return parsed;
}

function toPort(what: string, value: unknown): number {
  return toNumber(what, value, 0, 65535);
}

/** A whole number in a range. */
export function toNumber(what: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max)
    return value;
  throw new InvalidInput(
    `${what}: ${show(value)} is out of range: use a whole number from ${min} to ${max}`,
  );
}

/** Family of a canonical service key. */
export function familyOf(key: ServiceKey): Family {
  if ('fwmark' in key) return key.family;
  return key.address.includes(':') ? 'ipv6' : 'ipv4';
}

/** The canonical key of a service named either way. Throws IpvsError `ERR_IPVS_INVALID`. @public */
export function serviceKey(ref: ServiceRef): ServiceKey {
  return toServiceKey(ref);
}

/** The canonical key of a destination named either way. Throws IpvsError `ERR_IPVS_INVALID`. @public */
export function destinationKey(ref: DestinationRef): DestinationKey {
  return toDestinationKey(ref);
}
