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

/** Reads replies. What has not changed since the last one is the same object: most of a large cluster never does. */
export class SetDecoder {
  #last: ReadonlyMap<string, { readonly bytes: Buffer; readonly set: ActualSet }> = new Map();

  /** Sets by their names. */
  read(reply: ArrayBuffer): Map<string, ActualSet> {
    const { size, name, entries } = SET_LAYOUT.SetRecord;
    const all = Buffer.from(reply);
    const now = new Map<string, { bytes: Buffer; set: ActualSet }>();
    for (let at = 0; at + size <= all.length;) {
      const count = read32(all, at + entries);
      const end = at + size + count * SET_LAYOUT.EntryRecord.size;
      const bytes = all.subarray(at, end);
      const key = readName(bytes, name);
      const last = this.#last.get(key);
      now.set(
        key,
        last?.bytes.equals(bytes) === true ? last : { bytes, set: readSet(bytes, count) },
      );
      at = end;
    }
    this.#last = now;
    return new Map([...now].map(([key, { set }]) => [key, set]));
  }
}

function readSet(bytes: Buffer, count: number): ActualSet {
  const { size, type, limit, family } = SET_LAYOUT.SetRecord;
  const most = read32(bytes, limit);
  const kind = familyOf(read16(bytes, family));
  return {
    type: readName(bytes, type),
    family: kind,
    limit: most === 0 ? undefined : most,
    entries: readEntries(bytes.subarray(size), count, kind ?? 'ipv4'),
  };
}

const read16 = (bytes: Buffer, at: number): number =>
  littleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
const read32 = (bytes: Buffer, at: number): number =>
  littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);

function readEntries(bytes: Buffer, count: number, family: Family): Map<string, string> {
  const { size } = SET_LAYOUT.EntryRecord;
  const entries = new Map<string, string>();
  for (let i = 0, at = 0; i < count; i++, at += size)
    entries.set(readEntry(bytes, at, family), readOptions(bytes, at));
  return entries;
}

/** In the order and the words of `ipset save`. */
function readEntry(bytes: Buffer, at: number, family: Family): string {
  const record = SET_LAYOUT.EntryRecord;
  const has = bytes[at + record.has] ?? 0;
  let text = '';
  if ((has & Has.address) !== 0)
    text =
      formatAddress(bytes, at + record.address, family) + prefixText(bytes, at + record.prefix);
  if ((has & Has.port) !== 0) {
    const port = read16(bytes, at + record.port);
    if (text !== '') text += ',';
    text +=
      (has & Has.protocol) === 0 ? String(port) : portText(bytes[at + record.protocol] ?? 0, port);
  }
  if ((has & Has.address2) !== 0)
    text += `,${formatAddress(bytes, at + record.address2, family)}${prefixText(bytes, at + record.prefix2)}`;
  return text;
}

function readOptions(bytes: Buffer, at: number): string {
  const { has: flags, mark, mask } = SET_LAYOUT.EntryRecord;
  const has = bytes[at + flags] ?? 0;
  const options: string[] = [];
  if ((has & (Has.noMatch | Has.mark)) === 0) return '';
  if ((has & Has.noMatch) !== 0) options.push('nomatch');
  if ((has & Has.mark) !== 0) {
    const under = read32(bytes, at + mask);
    const suffix = under === FULL_MASK ? '' : `/${hex(under)}`;
    options.push(`skbmark ${hex(read32(bytes, at + mark))}${suffix}`);
  }
  return options.join(' ');
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
