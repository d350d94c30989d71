// How chains are called, and numbers as they stand in rules.
import { hash } from 'node:crypto';
import { ADDRESS_BYTES, formatAddress } from '../address';
import { InvalidInput, show } from '../errors';
import type { Family } from '../model';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** What ten bits are in base 32. */
const PAIRS = Array.from(
  { length: 1024 },
  (_, bits) => BASE32.charAt(bits >> 5) + BASE32.charAt(bits & 31),
);
/** The hash takes 16 and `-SVC-` five of the 28 characters that a chain's name may have. */
const PREFIX = /^[A-Z][A-Z0-9]{0,6}$/;

/** The first 16 characters of the base 32 of a text's SHA-256: ten bytes. */
export function digest(text: string): string {
  // A character is a byte: sixty thousand of these are made for a large cluster, and no form of a hash is had faster.
  const bytes = hash('sha256', text, 'binary');
  let name = '';
  for (let at = 0; at < 10; at += 5) {
    const high =
      (bytes.charCodeAt(at) << 12) |
      (bytes.charCodeAt(at + 1) << 4) |
      (bytes.charCodeAt(at + 2) >> 4);
    const low =
      ((bytes.charCodeAt(at + 2) & 15) << 16) |
      (bytes.charCodeAt(at + 3) << 8) |
      bytes.charCodeAt(at + 4);
    name += pair(high >> 10) + pair(high & 1023) + pair(low >> 10) + pair(low & 1023);
  }
  return name;
}

function pair(bits: number): string {
  return PAIRS[bits] ?? '';
}

/** What the chains of a service port end in; all of them share it. */
export function portDigest(name: string, protocol: string): string {
  return digest(name + protocol);
}

/** What the chain of an endpoint ends in. */
export function endpointDigest(name: string, protocol: string, place: string): string {
  return digest(name + protocol + place);
}

/** A share of what is left, as rules say it. */
export function probability(part: number, whole: number): string {
  // One in so many is said again and again, and writing decimals is dear.
  if (part !== 1 || whole >= COMMON) return (part / whole).toFixed(10);
  return (said[whole] ??= (1 / whole).toFixed(10));
}

const COMMON = 1024;
const said: string[] = [];

/** That many leading bits, as an address. */
export function netmask(prefix: number, family: Family): string {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  for (let bit = 0; bit < prefix; bit++)
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return formatAddress(bytes, 0, family);
}

/** The length of a prefix whose mask that is; undefined for a mask of the whole address, as for no mask. */
export function prefixOf(mask: string | undefined, family: Family): number | undefined {
  if (mask === undefined) return undefined;
  if (prefixes.size === 0) {
    for (let prefix = 1; prefix < 32; prefix++) prefixes.set(netmask(prefix, 'ipv4'), prefix);
    for (let prefix = 1; prefix < 128; prefix++) prefixes.set(netmask(prefix, 'ipv6'), prefix);
  }
  return mask.includes(':') === (family === 'ipv6') ? prefixes.get(mask) : undefined;
}
const prefixes = new Map<string, number>();

/** Checks what the names of all chains begin with. Throws InvalidInput. */
export function toPrefix(value: unknown): string {
  if (typeof value === 'string' && PREFIX.test(value)) return value;
  throw new InvalidInput(
    `prefix: ${show(value)} cannot begin the names of chains: use up to 7 capital letters and digits`,
  );
}
