// The packed records of links and addresses, from JavaScript's side; native/src/route_records.h is the other side.
import { formatAddress, writeAddress } from '../address';
import type { BoundAddress } from './addresses';

/** Offsets in bytes; test/node/links.test.ts holds them to C++'s. */
export const LINK_LAYOUT = {
  LinkRecord: { size: 44, index: 0, flags: 4, mtu: 8, name: 12, kind: 28 },
  AddressRecord: { size: 24, link: 0, family: 4, prefix: 5, scope: 6, address: 8 },
  AddressChange: { size: 28, command: 0, address: 4 },
} as const;

const NAME_BYTES = 16;
const AF_INET = 2;
const AF_INET6 = 10;
const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** A network device. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** Such as `dummy`; empty for hardware and loopback. */
  readonly kind: string;
  readonly loopback: boolean;
}

/** An address to bind to a device or to take off it. */
export interface AddressChange {
  readonly op: 'add' | 'remove';
  readonly link: number;
  /** Canonical. */
  readonly address: string;
}

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const IFF_LOOPBACK = 8;

export function readLinks(reply: ArrayBuffer): Link[] {
  const { size, index, flags, name, kind } = LINK_LAYOUT.LinkRecord;
  const view = new DataView(reply);
  const links: Link[] = [];
  for (let at = 0; at + size <= reply.byteLength; at += size) {
    links.push({
      index: view.getUint32(at + index, littleEndian),
      name: readName(reply, at + name),
      kind: readName(reply, at + kind),
      loopback: (view.getUint32(at + flags, littleEndian) & IFF_LOOPBACK) !== 0,
    });
  }
  return links;
}

export function readAddresses(reply: ArrayBuffer): BoundAddress[] {
  const { size, link, family, prefix, address } = LINK_LAYOUT.AddressRecord;
  const view = new DataView(reply);
  const bytes = new Uint8Array(reply);
  const addresses: BoundAddress[] = [];
  for (let at = 0; at + size <= reply.byteLength; at += size) {
    const kind = view.getUint8(at + family) === AF_INET6 ? 'ipv6' : 'ipv4';
    addresses.push({
      link: view.getUint32(at + link, littleEndian),
      family: kind,
      prefix: view.getUint8(at + prefix),
      address: formatAddress(bytes, at + address, kind),
    });
  }
  return addresses;
}

/** With a full prefix, so that no route to a network comes with the address. */
export function writeAddressChanges(changes: readonly AddressChange[]): Uint8Array {
  const { size, command, address: record } = LINK_LAYOUT.AddressChange;
  const { link, family, prefix, address } = LINK_LAYOUT.AddressRecord;
  const bytes = new Uint8Array(size * changes.length);
  const view = new DataView(bytes.buffer);
  for (const [i, change] of changes.entries()) {
    const at = i * size;
    view.setUint32(at + command, change.op === 'add' ? RTM_NEWADDR : RTM_DELADDR, littleEndian);
    view.setUint32(at + record + link, change.link, littleEndian);
    const ipv6 = writeAddress(change.address, bytes, at + record + address) === 'ipv6';
    view.setUint8(at + record + family, ipv6 ? AF_INET6 : AF_INET);
    view.setUint8(at + record + prefix, ipv6 ? 128 : 32);
  }
  return bytes;
}

/** A link by its name, its index, or both. */
export function writeLink({ name = '', index = 0 }: { name?: string; index?: number }): Uint8Array {
  const { size, index: at, name: text } = LINK_LAYOUT.LinkRecord;
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint32(at, index, littleEndian);
  // The last byte stays zero.
  bytes.set(new TextEncoder().encode(name).subarray(0, NAME_BYTES - 1), text);
  return bytes;
}

function readName(reply: ArrayBuffer, at: number): string {
  const bytes = new Uint8Array(reply, at, NAME_BYTES);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end));
}
