// JSON as kubectl prints it, in pieces as they come: the items of a list one by one, so that a dump of any size passes
// without being in memory at once.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = new Set([0x7b, 0x5b]);
const CLOSE = new Set([0x7d, 0x5d]);
const LIST = 0x5b;

/** One object of a cluster is at most a few megabytes; beyond this the text is something else. */
const LARGEST = 64 * 1024 * 1024;

/** Takes text apart into the items of its lists, and what is no list into itself. */
export class JsonItems {
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Depth inside the list of items; 0 outside. */
  #items = 0;
  #pieces: Buffer[] = [];
  #size = 0;
  #count = 0;

  constructor(readonly take: (value: unknown) => void) {}

  push(chunk: Buffer): void {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      if (this.#inString) {
        i = this.#skipString(chunk, i);
        continue;
      }
      const byte = chunk[i] ?? 0;
      if (byte === QUOTE) this.#inString = true;
      else if (OPEN.has(byte)) {
        // The first byte of an item; what stands between items is nobody's.
        if (this.#depth === this.#items && this.#items > 0) start = i;
        this.#depth++;
        if (byte === LIST && this.#items === 0 && this.#isItems(chunk, start, i)) {
          this.#keep(chunk, start, i + 1);
          this.#items = this.#depth;
          this.#shell = this.#pieces;
          this.#clear();
        }
      } else if (CLOSE.has(byte)) {
        this.#depth--;
        if (this.#depth === this.#items && this.#items > 0) {
          this.#keep(chunk, start, i + 1);
          this.#emit();
          start = i + 1;
        } else if (this.#items > 0 && this.#depth === this.#items - 1) {
          this.#clear();
          this.#pieces = this.#shell;
          this.#items = 0;
          start = i;
        }
        if (this.#depth < 0) throw new Error(`a bracket too many after item ${this.#count}`);
        if (this.#depth === 0) {
          this.#keep(chunk, start, i + 1);
          this.#emit();
          start = i + 1;
        }
      }
    }
    const between = this.#items > 0 && this.#depth === this.#items;
    if (!between) this.#keep(chunk, start, chunk.length);
  }

  /** Everything was pushed. */
  end(): void {
    if (this.#depth > 0 || this.#inString)
      throw new Error(`it ends in the middle, after item ${this.#count}`);
    if (Buffer.concat(this.#pieces).toString().trim() !== '') this.#emit();
  }

  #shell: Buffer[] = [];

  // Goes on to the end of a string; where it ends, the loop goes on after it.
  #skipString(chunk: Buffer, from: number): number {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i];
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        return i;
      }
    }
    return chunk.length;
  }

  // The text itself is a list, or the value of `items` in an object is.
  #isItems(chunk: Buffer, start: number, at: number): boolean {
    if (this.#depth === 1) return true;
    if (this.#depth !== 2) return false;
    const before = Buffer.concat([...this.#pieces, chunk.subarray(start, at)]);
    return /"items"\s*:\s*$/.test(before.subarray(-200).toString());
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    if (end <= start) return;
    this.#size += end - start;
    if (this.#size > LARGEST) {
      throw new Error(
        `item ${this.#count + 1} is larger than ${LARGEST >> 20} MB, which no object of a cluster is`,
      );
    }
    // A copy: what is kept must not hold the whole chunk.
    this.#pieces.push(Buffer.from(chunk.subarray(start, end)));
  }

  #emit(): void {
    const text = Buffer.concat(this.#pieces).toString();
    this.#clear();
    this.#count++;
    this.take(this.#parse(text));
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Error(`item ${this.#count} is not JSON: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #clear(): void {
    this.#pieces = [];
    this.#size = 0;
  }
}
