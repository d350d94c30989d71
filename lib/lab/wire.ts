/**
 * What the lab and the host say to each other: frames of one byte of type, four of length (little
 * endian) and a payload, over one serial line of the guest. guest.pl is the other end.
 *
 * A side sends at most `window` bytes of a stream beyond what the other has reported as taken, so a
 * stream that nobody reads never keeps a signal or another stream waiting behind it. It also keeps
 * what is under way below a socket's buffer: the guest's serial driver then never has to wait.
 *
 * Towards the guest there is a second limit, `lineWindow` bytes of whatever kind that have not been
 * read there: a full terminal buffer (4096 bytes) makes that driver (6.1, line_throttle) stop
 * listening to its line for good.
 */

/** @internal */
export const frame = {
  stdin: 0, // data; empty is the end
  stdout: 1,
  stderr: 2,
  ready: 3,
  failed: 4, // errno and what failed, as text
  exited: 5, // exit status, signal
  taken: 6, // stream, bytes (uint32)
  closed: 7, // stream: its reader is gone
  resized: 8, // rows, columns (uint16)
  signalled: 9, // signal, whether it goes to the whole process group
  read: 10, // bytes of the line (uint32)
} as const;

/** @internal */
export const window = 65536;

const lineWindow = 3072;

/** @internal */
export function encodeFrame(type: number, payload: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(5);
  head.writeUInt8(type, 0);
  head.writeUInt32LE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

/** @internal */
export function encodeTaken(stream: number, count: number): Buffer {
  const payload = Buffer.allocUnsafe(5);
  payload.writeUInt8(stream, 0);
  payload.writeUInt32LE(count, 1);
  return encodeFrame(frame.taken, payload);
}

/** @internal */
export function encodeResized(rows: number, columns: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt16LE(rows, 0);
  payload.writeUInt16LE(columns, 2);
  return encodeFrame(frame.resized, payload);
}

/**
 * Cuts what arrives into frames; `receive` gets each whole one.
 * @internal
 */
export function frameReader(
  receive: (type: number, payload: Buffer) => void,
): (chunk: Buffer) => void {
  const chunks: Buffer[] = [];
  let have = 0;
  let need = 5;
  return (chunk) => {
    chunks.push(chunk);
    have += chunk.length;
    if (have < need) return;
    const bytes = Buffer.concat(chunks);
    let at = 0;
    for (;;) {
      need = 5;
      if (bytes.length - at < need) break;
      need += bytes.readUInt32LE(at + 1);
      if (bytes.length - at < need) break;
      receive(bytes.readUInt8(at), bytes.subarray(at + 5, at + need));
      at += need;
    }
    chunks.length = 0;
    chunks.push(bytes.subarray(at));
    have = bytes.length - at;
  };
}

/**
 * The way to the guest, within `lineWindow`.
 * @internal
 */
export class LineWriter {
  #waiting: Buffer[] = [];
  #write: ((bytes: Buffer) => void) | undefined;
  #room = lineWindow;

  send(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#pump();
  }

  /** Not before the guest has set the line up: what it would read is anybody's guess. */
  open(write: (bytes: Buffer) => void): void {
    this.#write = write;
    this.#pump();
  }

  wasRead(count: number): void {
    this.#room += count;
    this.#pump();
  }

  #pump(): void {
    if (this.#write === undefined || this.#room === 0 || this.#waiting.length === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    const now = bytes.subarray(0, this.#room);
    this.#waiting = now.length === bytes.length ? [] : [bytes.subarray(now.length)];
    this.#room -= now.length;
    this.#write(now);
  }
}
