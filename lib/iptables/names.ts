// How chains are called, and numbers as they stand in rules.
import { hash } from 'node:crypto';
import { ADDRESS_BYTES, formatAddress, joinHostPort } from '../address';
import { InvalidInput, show } from '../errors';
import type { Family } from '../model';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** The hash takes 16 and `-SVC-` five of the 28 characters that a chain's name may have. */
const PREFIX = /^[A-Z][A-Z0-9]{0,6}$/;

/** The first 16 characters of the base 32 of a text's SHA-256: ten bytes. */
export function digest(text: string): string {
  const hex = hash('sha256', text, 'hex');
  let name = '';
  for (let at = 0; at < 20; at += 5) {
    const bits = parseInt(hex.slice(at, at + 5), 16);
    for (let shift = 15; shift >= 0; shift -= 5) name += BASE32.charAt((bits >> shift) & 31);
  }
  return name;
}

/** What the chains of a service port end in; all of them share it. */
export function portDigest(name: string, protocol: string): string {
  return digest(name + protocol);
}

/** What the chain of an endpoint ends in. */
export function endpointDigest(
  name: string,
  protocol: string,
  address: string,
  port: number,
): string {
  return digest(name + protocol + joinHostPort(address, port));
}

/** A share of what is left, as rules say it. */
export function probability(part: number, whole: number): string {
  return (part / whole).toFixed(10);
}

/** That many leading bits, as an address. */
export function netmask(prefix: number, family: Family): string {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  for (let bit = 0; bit < prefix; bit++)
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return formatAddress(bytes, 0, family);
}

/** Checks what the names of all chains begin with. Throws InvalidInput. */
export function toPrefix(value: unknown): string {
  if (typeof value === 'string' && PREFIX.test(value)) return value;
  throw new InvalidInput(
    `prefix: ${show(value)} cannot begin the names of chains: use up to 7 capital letters and digits`,
  );
}
