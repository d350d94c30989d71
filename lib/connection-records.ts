// The connection table as it crosses the border, from JavaScript's side. native/src/connections.h is the other side of the
// same layout; test/connection-records.test.ts holds the two together.

/** Offsets in bytes. */
export const CONNECTION_LAYOUT = {
  ConnectionQuery: {
    size: 80,
    has: 0,
    source: 4,
    protocol: 5,
    service_protocol: 6,
    service_family: 7,
    destination_family: 8,
    client_family: 9,
    client_prefix: 10,
    persistent: 11,
    service_port: 12,
    destination_port: 14,
    service_address: 16,
    destination_address: 32,
    client_address: 48,
    state: 64,
  },
  EngineRecord: { size: 28, row: 0, offset: 4, length: 8, name: 12 },
} as const;

/** Where rows are read from. */
export const Source = { table: 1, origin: 2, conntrack: 3, conntrackIfFit: 4 } as const;
export type Source = (typeof Source)[keyof typeof Source];

/** Which fields of a ConnectionQuery count. */
export const Has = {
  protocol: 1,
  service: 2,
  destination: 4,
  destinationPort: 8,
  client: 16,
  state: 32,
  persistent: 64,
} as const;

/** Names of states and of engines are NUL-padded to this. */
export const NAME_BYTES = 16;

/** Marks of the origin column. */
export const ORIGINS = ['', 'local', 'sync'] as const;

/** One typed array a column, as users see them. @public */
export interface ConnectionColumns {
  /** Number of the protocol: 6 is TCP, 17 UDP, 132 SCTP; 0 in templates of firewall marks. */
  readonly protocol: Uint8Array;
  /** 4 or 6: of client and service in the low four bits, of the destination in the high ones. */
  readonly family: Uint8Array;
  /** Index into the table's `states`. */
  readonly state: Uint8Array;
  /** 16 bytes a row, network order; IPv4 in the first 4. */
  readonly clientAddress: Uint8Array;
  readonly virtualAddress: Uint8Array;
  readonly destinationAddress: Uint8Array;
  readonly clientPort: Uint16Array;
  readonly virtualPort: Uint16Array;
  readonly destinationPort: Uint16Array;
  /** Seconds until the entry expires. */
  readonly expires: Uint32Array;
  /** 1 made here, 2 synchronised from another director; empty unless `origin` was asked for. */
  readonly origin: Uint8Array;
}

/** What came over the border, as views. */
export interface ConnectionParts {
  readonly columns: ConnectionColumns;
  readonly states: readonly string[];
  /** EngineRecords, sorted by row. */
  readonly engines: Uint8Array;
  readonly engineData: Uint8Array;
}

/** Bytes a row of each column, in the order in which they cross the border; the origin column may be empty. */
const WIDTHS = [1, 1, 1, 16, 16, 16, 2, 2, 2, 4, 1];
const COLUMNS = WIDTHS.length + 3;

/** Views of the buffers of one reply, or undefined when they do not fit together. */
export function readColumns(buffers: readonly ArrayBuffer[]): ConnectionParts | undefined {
  if (buffers.length !== COLUMNS) return undefined;
  const rows = at(buffers, 0).byteLength;
  const origin = new Uint8Array(at(buffers, 10));
  const sizes = origin.length === 0 ? WIDTHS.slice(0, -1) : WIDTHS;
  if (!sizes.every((width, i) => at(buffers, i).byteLength === width * rows)) return undefined;
  const names = new Uint8Array(at(buffers, 11));
  return {
    columns: {
      protocol: new Uint8Array(at(buffers, 0)),
      family: new Uint8Array(at(buffers, 1)),
      state: new Uint8Array(at(buffers, 2)),
      clientAddress: new Uint8Array(at(buffers, 3)),
      virtualAddress: new Uint8Array(at(buffers, 4)),
      destinationAddress: new Uint8Array(at(buffers, 5)),
      clientPort: new Uint16Array(at(buffers, 6)),
      virtualPort: new Uint16Array(at(buffers, 7)),
      destinationPort: new Uint16Array(at(buffers, 8)),
      expires: new Uint32Array(at(buffers, 9)),
      origin,
    },
    states: Array.from({ length: names.length / NAME_BYTES }, (_, i) =>
      readName(names, i * NAME_BYTES),
    ),
    engines: new Uint8Array(at(buffers, 12)),
    engineData: new Uint8Array(at(buffers, 13)),
  };
}

function at(buffers: readonly ArrayBuffer[], index: number): ArrayBuffer {
  return buffers[index] as ArrayBuffer;
}

/** A NUL-padded name of 16 bytes. */
export function readName(bytes: Uint8Array, offset: number): string {
  let text = '';
  for (let i = offset; i < offset + NAME_BYTES; i++) {
    const code = bytes[i] ?? 0;
    if (code === 0) break;
    text += String.fromCharCode(code);
  }
  return text;
}
