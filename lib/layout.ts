// Where each field of the packed records lies, and buffers full of them. native/src/records.h is the other side of the same
// layout, in the host's byte order; test/records.test.ts holds the two together.
import { IpvsError } from './errors';

/** Kernel commands that a change can carry (`IPVS_CMD_*`). */
export const Command = {
  addService: 1,
  setService: 2,
  deleteService: 3,
  addDestination: 5,
  setDestination: 6,
  deleteDestination: 7,
} as const;

/** Outcome of a change that was never sent. */
export const NOT_TRIED = -1;

/** Offsets in bytes; nested records are flattened. */
export const LAYOUT = {
  ChangeRecord: { size: 76, command: 0, service: 4, settings: 32, destination: 32 },
  ServiceKey: { size: 28, family: 0, protocol: 2, fwmark: 4, address: 8, port: 24 },
  ServiceSettings: { size: 44, flags: 0, timeout: 4, netmask: 8, scheduler: 12, engine: 28 },
  DestinationSettings: {
    size: 44,
    address: 0,
    family: 16,
    port: 18,
    forward: 20,
    weight: 24,
    upper_threshold: 28,
    lower_threshold: 32,
    tunnel_type: 36,
    tunnel_port: 38,
    tunnel_flags: 40,
  },
  StatsRecord: {
    size: 80,
    connections: 0,
    packets_in: 8,
    packets_out: 16,
    bytes_in: 24,
    bytes_out: 32,
    connection_rate: 40,
    packet_in_rate: 48,
    packet_out_rate: 56,
    byte_in_rate: 64,
    byte_out_rate: 72,
  },
  ServiceRow: { size: 160, stats: 0, service: 80, settings: 108 },
  DestinationRow: {
    size: 144,
    stats: 0,
    destination: 80,
    service: 124,
    active_connections: 128,
    inactive_connections: 132,
    persistent_connections: 136,
  },
  InfoRecord: { size: 8, version: 0, connection_table_size: 4 },
  TimeoutsRecord: { size: 12, tcp: 0, tcp_fin: 4, udp: 8 },
  DaemonRecord: {
    size: 52,
    state: 0,
    sync_id: 4,
    has: 8,
    group_family: 12,
    max_length: 14,
    port: 16,
    ttl: 18,
    group: 20,
    interface: 36,
  },
} as const;

const NAME_BYTES = 16;

/** Views of one buffer at each width, so that a field is one index away. Every record is aligned for its fields. */
export class Records {
  readonly bytes: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  #lastName = '';
  #lastNameAt = -1;

  constructor(readonly buffer: ArrayBuffer) {
    this.bytes = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer, 0, buffer.byteLength >> 1);
    this.u32 = new Uint32Array(buffer, 0, buffer.byteLength >> 2);
  }

  static of(size: number, count: number): Records {
    return new Records(new ArrayBuffer(size * count));
  }

  get16(offset: number): number {
    return this.u16[offset >> 1] ?? 0;
  }

  get32(offset: number): number {
    return this.u32[offset >> 2] ?? 0;
  }

  // Rows that follow one another as a rule have the same names: one string then serves all of them.
  name(offset: number): string {
    if (this.#lastNameAt < 0 || !this.#areEqual(offset, this.#lastNameAt, NAME_BYTES)) {
      this.#lastName = this.#readName(offset);
      this.#lastNameAt = offset;
    }
    return this.#lastName;
  }

  #areEqual(one: number, other: number, size: number): boolean {
    for (let i = 0; i < size >> 2; i++) {
      if (this.u32[(one >> 2) + i] !== this.u32[(other >> 2) + i]) return false;
    }
    return true;
  }

  #readName(offset: number): string {
    let text = '';
    for (let i = 0; i < NAME_BYTES; i++) {
      const code = this.bytes[offset + i] ?? 0;
      if (code === 0) break;
      if (code > 127) return this.#longName(offset);
      text += String.fromCharCode(code);
    }
    return text;
  }

  // Only interfaces have such names.
  #longName(offset: number): string {
    const bytes = Buffer.from(this.buffer, offset, NAME_BYTES);
    return bytes.subarray(0, bytes.indexOf(0)).toString();
  }

  /** Over zeros; cuts what does not fit. */
  setName(offset: number, name: string): void {
    for (let i = 0; i < name.length && i < NAME_BYTES - 1; i++) {
      const code = name.charCodeAt(i);
      // Only interfaces have such names.
      if (code > 127) {
        this.bytes.set(Buffer.from(name).subarray(0, NAME_BYTES - 1), offset);
        return;
      }
      this.bytes[offset + i] = code;
    }
  }

  // In these two, a call of fill() or set() would cost more than the few words themselves.

  /** Zeroes whole words. */
  clear(offset: number, size: number): void {
    const end = (offset + size) >> 2;
    for (let i = offset >> 2; i < end; i++) this.u32[i] = 0;
  }

  /** Copies whole words, those at `at` of `from`. */
  copy(offset: number, size: number, from: Records, at = 0): void {
    const [start, first] = [offset >> 2, at >> 2];
    for (let i = 0; i < size >> 2; i++) this.u32[start + i] = from.u32[first + i] ?? 0;
  }
}

/** How many rows a reply holds; a torn reply is the addon's fault and must not turn into wrong rows. */
export function rowCount(reply: ArrayBuffer, size: number): number {
  if (reply.byteLength % size !== 0) {
    throw new IpvsError(
      `the addon answered ${reply.byteLength} bytes, not whole records of ${size}: reinstall ipvs`,
      {
        code: 'ERR_IPVS_REPLY',
        operation: 'decode',
      },
    );
  }
  return reply.byteLength / size;
}
