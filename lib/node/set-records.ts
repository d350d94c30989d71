// The packed records of ip sets, from JavaScript's side; native/src/set_records.h is the other side.
import { formatAddress } from '../address';
import type { Family } from '../model';
import type { ActualSet } from './sets';

/** Offsets in bytes; test/kernel/sets.test.ts holds them to C++'s. */
export const SET_LAYOUT = {
  SetRecord: { size: 76, name: 0, type: 32, limit: 64, entries: 68, family: 72 },
  EntryRecord: {
    ...{ size: 48, has: 0, protocol: 1, prefix: 2, prefix2: 3, port: 4 },
    ...{ mark: 8, mask: 12, address: 16, address2: 32 },
  },
} as const;

const NAME_BYTES = 32;
const AF_INET = 2;
const AF_INET6 = 10;
const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

const Has = { address: 1, port: 2, protocol: 4, address2: 8, mark: 16, noMatch: 32 } as const;
const FULL_MASK = 0xffffffff;

const ICMP = 1;
const ICMPV6 = 58;
const PROTOCOLS: Readonly<Record<number, string>> = {
  [ICMP]: 'icmp',
  6: 'tcp',
  17: 'udp',
  [ICMPV6]: 'icmpv6',
  132: 'sctp',
  136: 'udplite',
};

/** The names of sets to be read, one record each. */
export function writeNames(names: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(names.length * NAME_BYTES);
  const encoder = new TextEncoder();
  for (const [i, name] of names.entries()) {
    // The last byte stays zero.
    bytes.set(encoder.encode(name).subarray(0, NAME_BYTES - 1), i * NAME_BYTES);
  }
  return bytes;
}

/** Sets by their names. */
export function readSets(reply: ArrayBuffer): Map<string, ActualSet> {
  const { size, name, type, limit, entries, family } = SET_LAYOUT.SetRecord;
  const bytes = new Uint8Array(reply);
  const view = new DataView(reply);
  const sets = new Map<string, ActualSet>();
  for (let at = 0; at + size <= bytes.length;) {
    const count = view.getUint32(at + entries, littleEndian);
    const most = view.getUint32(at + limit, littleEndian);
    const kind = familyOf(view.getUint16(at + family, littleEndian));
    sets.set(readName(bytes, at + name), {
      type: readName(bytes, at + type),
      family: kind,
      limit: most === 0 ? undefined : most,
      entries: readEntries(bytes, view, at + size, count, kind ?? 'ipv4'),
    });
    at += size + count * SET_LAYOUT.EntryRecord.size;
  }
  return sets;
}

function readEntries(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  count: number,
  family: Family,
): Map<string, string> {
  const { size, has: flags, mark, mask } = SET_LAYOUT.EntryRecord;
  const entries = new Map<string, string>();
  for (let i = 0, at = start; i < count; i++, at += size) {
    const has = bytes[at + flags] ?? 0;
    let options = (has & Has.noMatch) !== 0 ? 'nomatch' : '';
    if ((has & Has.mark) !== 0) {
      const under = view.getUint32(at + mask, littleEndian);
      options += `${options === '' ? '' : ' '}skbmark ${hex(view.getUint32(at + mark, littleEndian))}`;
      if (under !== FULL_MASK) options += `/${hex(under)}`;
    }
    entries.set(readEntry(bytes, view, at, has, family), options);
  }
  return entries;
}

/** In the order and the words of `ipset save`. */
function readEntry(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  has: number,
  family: Family,
): string {
  const record = SET_LAYOUT.EntryRecord;
  let text = '';
  if ((has & Has.address) !== 0)
    text =
      formatAddress(bytes, at + record.address, family) + prefixText(bytes, at + record.prefix);
  if ((has & Has.port) !== 0) {
    const port = view.getUint16(at + record.port, littleEndian);
    const protocol = bytes[at + record.protocol] ?? 0;
    if (text !== '') text += ',';
    text += (has & Has.protocol) === 0 ? String(port) : portText(protocol, port);
  }
  if ((has & Has.address2) !== 0)
    text += `,${formatAddress(bytes, at + record.address2, family)}${prefixText(bytes, at + record.prefix2)}`;
  return text;
}

function prefixText(bytes: Uint8Array, at: number): string {
  const prefix = bytes[at] ?? 0;
  return prefix === 0 ? '' : `/${prefix}`;
}

function portText(protocol: number, port: number): string {
  const name = PROTOCOLS[protocol] ?? String(protocol);
  // Of these, the port is type and code.
  return protocol === ICMP || protocol === ICMPV6
    ? `${name}:${port >> 8}/${port & 0xff}`
    : `${name}:${port}`;
}

function familyOf(number: number): Family | undefined {
  return number === AF_INET6 ? 'ipv6' : number === AF_INET ? 'ipv4' : undefined;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function readName(bytes: Uint8Array, at: number): string {
  const field = bytes.subarray(at, at + NAME_BYTES);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end === -1 ? field : field.subarray(0, end));
}
