// Which addresses a destination may have: net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_new_dest, on a host that has no
// addresses but loopback. A real host also takes its own link-local addresses, and refuses its broadcast addresses.
import { LAYOUT, type Records } from '../records';

const { address, family } = LAYOUT.DestinationSettings;
const AF_INET6 = 10;

/** Whether the destination whose settings stand at `offset` has the address of one host. */
export function isOneHost(from: Records, offset: number): boolean {
  const bytes = from.bytes.subarray(offset + address, offset + address + 16);
  return from.get16(offset + family) === AF_INET6 ? isHost6(bytes) : isHost4(bytes);
}

function isHost4(bytes: Uint8Array): boolean {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const all = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  if (all === 0 || all === 0xffffffff) return false;
  if (a >= 224 && a < 240) return false;
  // The broadcast address of the loopback network; class E passes.
  return all !== 0x7fffffff;
}

function isHost6(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  if (bytes.every((byte) => byte === 0)) return false;
  const multicast = first === 0xff;
  const linkLocal = first === 0xfe && (second & 0xc0) === 0x80;
  return !multicast && !linkLocal;
}
