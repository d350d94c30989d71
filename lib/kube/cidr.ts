// Addresses as Kubernetes writes them, and ranges of them.
import { formatAddress, parseAddress, parsePort, writeAddress, ADDRESS_BYTES } from '../address';
import type { Family } from '../model';

/** A range of addresses. */
export interface Cidr {
  readonly family: Family;
  readonly prefix: number;
  /** Host bits cleared. */
  readonly text: string;
  readonly bytes: Uint8Array;
}

/**
 * An address the way Kubernetes reads it: decimal in spite of leading zeros, and IPv4 where it is mapped into IPv6. Both
 * are still in stored objects.
 */
export function parseLenient(text: string): { family: Family; address: string } | undefined {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
  return /^[0-9.]{7,40}$/.test(mapped)
    ? parseAddress(mapped.replace(/\b0+(?=\d)/g, ''))
    : undefined;
}

/** `203.0.113.0/25`, `2001:db8::/64`; undefined when it is not one. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseLenient(text.slice(0, slash));
  const prefix = parsePort(text.slice(slash + 1));
  if (address === undefined || prefix === undefined) return undefined;
  const { family } = address;
  if (prefix > (family === 'ipv4' ? 32 : 128)) return undefined;
  const bytes = new Uint8Array(ADDRESS_BYTES);
  writeAddress(address.address, bytes, 0);
  for (let bit = prefix; bit < ADDRESS_BYTES * 8; bit++) {
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) & ~(0x80 >> (bit & 7));
  }
  return { family, prefix, bytes, text: `${formatAddress(bytes, 0, family)}/${prefix}` };
}

const scratch = new Uint8Array(ADDRESS_BYTES);

/** Whether the range has that (canonical) address. */
export function contains(cidr: Cidr, address: string): boolean {
  if (writeAddress(address, scratch, 0) !== cidr.family) return false;
  for (let bit = 0; bit < cidr.prefix; bit += 8) {
    const mask = 0xff << Math.max(0, 8 - (cidr.prefix - bit));
    if ((((scratch[bit >> 3] ?? 0) ^ (cidr.bytes[bit >> 3] ?? 0)) & mask & 0xff) !== 0)
      return false;
  }
  return true;
}

/** Whether a node can be reached by the address from outside: not loopback, and not of one IPv6 link. */
export function isReachable({ family, address }: { family: Family; address: string }): boolean {
  return family === 'ipv4'
    ? !address.startsWith('127.')
    : address !== '::1' && !/^fe[89ab]/.test(address);
}
