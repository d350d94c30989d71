// Addresses and ports: strict text to bytes and back. One spelling of an address is one address, whoever typed it.
import { isIPv6 } from 'node:net';
import type { Family } from './model';

const ZERO = 48;
const DOT_BELOW_ZERO = -2;

/** Bytes of the address as the border carries them: network order, IPv4 in the first four. */
export const ADDRESS_BYTES = 16;

/**
 * Writes `text` into `target` at `offset` (16 bytes, the rest zeroed). Returns the family, or undefined when the text is
 * not an address we take: `whyNotAddress` says why.
 */
export function writeAddress(text: string, target: Uint8Array, offset: number): Family | undefined {
  if (writeIpv4(text, target, offset)) return 'ipv4';
  return text.includes(':') && writeIpv6(text, target, offset) ? 'ipv6' : undefined;
}

// Four decimal numbers and nothing else: a leading zero is refused because some read it as octal.
function writeIpv4(text: string, target: Uint8Array, offset: number): boolean {
  let octets = 0;
  let value = -1;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit >= 0 && digit <= 9) {
      if (value === 0) return false;
      value = value < 0 ? digit : value * 10 + digit;
      if (value > 255) return false;
    } else {
      if (digit !== DOT_BELOW_ZERO || value < 0 || octets === 3) return false;
      target[offset + octets++] = value;
      value = -1;
    }
  }
  if (octets !== 3 || value < 0) return false;
  target[offset + 3] = value;
  // A loop, as a call of fill() costs more than so few bytes.
  for (let i = 4; i < ADDRESS_BYTES; i++) target[offset + i] = 0;
  return true;
}

function writeIpv6(text: string, target: Uint8Array, offset: number): boolean {
  // node:net accepts a zone and IPv4-mapped addresses; for a load balancer both name something else than they seem to.
  if (text.includes('%') || !isIPv6(text)) return false;
  target.fill(0, offset, offset + ADDRESS_BYTES);
  const [head = '', tail] = text.split('::');
  const before = writeGroups(head, target, offset);
  if (tail !== undefined) {
    const scratch = new Uint8Array(ADDRESS_BYTES + 4);
    const after = writeGroups(tail, scratch, 0);
    target.set(scratch.subarray(0, after), offset + ADDRESS_BYTES - after);
  } else if (before !== ADDRESS_BYTES) {
    return false;
  }
  return !isMapped(target, offset);
}

// The groups of one side of `::`; the last may be dotted IPv4. isIPv6 has vouched for the form.
function writeGroups(text: string, target: Uint8Array, offset: number): number {
  if (text === '') return 0;
  let at = 0;
  for (const group of text.split(':')) {
    if (group.includes('.')) {
      for (const octet of group.split('.')) target[offset + at++] = Number(octet);
    } else {
      const value = Number.parseInt(group, 16);
      target[offset + at++] = value >> 8;
      target[offset + at++] = value & 0xff;
    }
  }
  return at;
}

function isMapped(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false;
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

// Rows that follow one another as a rule are neighbours: most share the text of their first three bytes.
let lastNetwork = -1;
let lastPrefix = '';

function formatIpv4(bytes: Uint8Array, offset: number): string {
  const first = byte(bytes, offset);
  const second = byte(bytes, offset + 1);
  const third = byte(bytes, offset + 2);
  const network = (first << 16) | (second << 8) | third;
  if (network !== lastNetwork) {
    lastPrefix = `${first}.${second}.${third}.`;
    lastNetwork = network;
  }
  return lastPrefix + String(byte(bytes, offset + 3));
}

/** The canonical text of the address at `offset` (RFC 5952 for IPv6). */
export function formatAddress(bytes: Uint8Array, offset: number, family: Family): string {
  if (family === 'ipv4') return formatIpv4(bytes, offset);
  const groups: string[] = [];
  let runStart = -1;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    groups.push(
      ((byte(bytes, offset + 2 * i) << 8) | byte(bytes, offset + 2 * i + 1)).toString(16),
    );
  }
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === '0') end++;
    if (end - i > runLength) {
      runStart = i;
      runLength = end - i;
    }
    if (end > i) i = end;
  }
  if (runStart < 0) return groups.join(':');
  return `${groups.slice(0, runStart).join(':')}::${groups.slice(runStart + runLength).join(':')}`;
}

function byte(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0;
}

const scratch = new Uint8Array(ADDRESS_BYTES);

/** Family and canonical text of an address, or undefined when it is none that we take. */
export function parseAddress(text: string): { family: Family; address: string } | undefined {
  const family = writeAddress(text, scratch, 0);
  if (family === undefined) return undefined;
  return { family, address: family === 'ipv4' ? text : formatAddress(scratch, 0, family) };
}

/** What is wrong with the text as an address, and what to write instead. */
export function whyNotAddress(text: string): string {
  if (text.includes('%')) return 'an address with a zone: leave out the part from %';
  if (/^\[.*\]$/.test(text)) return 'an address in brackets: leave the brackets out here';
  if (isIPv6(text)) return 'an IPv4-mapped IPv6 address: write the IPv4 address itself';
  if (/^[0-9.]+$/.test(text)) {
    return text.split('.').some((part) => /^0\d/.test(part))
      ? 'not an IPv4 address: leave out leading zeros'
      : 'not an IPv4 address: write four numbers from 0 to 255, such as 10.0.0.1';
  }
  return 'not an IP address: write one such as 10.0.0.1 or 2001:db8::1 (host names are not looked up)';
}

/** A port in plain decimal, 0…65535, or undefined. */
export function parsePort(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`. */
export function joinHostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Takes `10.0.0.1:80` or `[2001:db8::1]:80` apart, as text; undefined when it has not that form. */
export function splitHostPort(text: string): { host: string; port: string } | undefined {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  if (match === null) return undefined;
  return { host: match[1] ?? match[2] ?? '', port: match[3] ?? '' };
}
