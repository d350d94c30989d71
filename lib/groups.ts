// Counting rows that are alike, without making anything of them: a hash table of row numbers in typed arrays. It grows
// with the number of groups, not of rows, and nothing of it is a string.

/** What makes rows alike. */
export interface Alike {
  hash(row: number): number;
  /** Whether two rows are the same in this respect. */
  equal(one: number, other: number): boolean;
}

/** Groups in the order in which they first appear. */
export interface Groups {
  readonly size: number;
  /** A row of each group, its first. */
  readonly rows: Uint32Array;
  readonly counts: Uint32Array;
}

// Clients choose their addresses; they cannot know which of them collide.
const SEED = (Math.random() * 2 ** 32) | 0;

/** One more word into a hash. */
export function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x9e3779b1);
  return h ^ (h >>> 15);
}

/** Words of a column `width` words wide. */
export function wordsAlike(words: Uint32Array, width: number): Alike {
  return {
    hash(row) {
      let hash = SEED;
      for (let i = row * width; i < (row + 1) * width; i++) hash = mix(hash, words[i] ?? 0);
      return hash;
    },
    equal(one, other) {
      for (let i = 0; i < width; i++) {
        if (words[one * width + i] !== words[other * width + i]) return false;
      }
      return true;
    },
  };
}

/** Numbers of a column. */
export function numbersAlike(column: Uint8Array | Uint16Array): Alike {
  return {
    hash: (row) => mix(SEED, column[row] ?? 0),
    equal: (one, other) => column[one] === column[other],
  };
}

/** Alike in every respect. */
export function allAlike(parts: readonly Alike[]): Alike {
  return {
    hash(row) {
      let hash = SEED;
      for (const part of parts) hash = mix(hash, part.hash(row));
      return hash;
    },
    equal(one, other) {
      for (const part of parts) if (!part.equal(one, other)) return false;
      return true;
    },
  };
}

/** Puts rows 0…`length` that are alike into groups. */
export function group(length: number, alike: Alike): Groups {
  const groups = new Table();
  for (let row = 0; row < length; row++) groups.add(row, alike);
  return groups;
}

class Table implements Groups {
  size = 0;
  rows = new Uint32Array(64);
  counts = new Uint32Array(64);
  #hashes = new Int32Array(64);
  /** Numbers of groups plus one, by hash; 0 is free. Twice as many as there is room for groups. */
  #slots = new Uint32Array(128);

  add(row: number, alike: Alike): void {
    const hash = alike.hash(row) | 0;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const found = (this.#slots[slot] ?? 0) - 1;
      if (found < 0) break;
      if (this.#hashes[found] === hash && alike.equal(this.rows[found] ?? 0, row)) {
        this.counts[found] = (this.counts[found] ?? 0) + 1;
        return;
      }
      slot = (slot + 1) & mask;
    }
    const index = this.size++;
    this.#slots[slot] = index + 1;
    this.rows[index] = row;
    this.counts[index] = 1;
    this.#hashes[index] = hash;
    if (this.size === this.rows.length) this.#grow();
  }

  #grow(): void {
    const room = this.rows.length * 2;
    this.rows = widened(this.rows, new Uint32Array(room));
    this.counts = widened(this.counts, new Uint32Array(room));
    this.#hashes = widened(this.#hashes, new Int32Array(room));
    const slots = new Uint32Array(room * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < this.size; index++) {
      let slot = (this.#hashes[index] ?? 0) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
    this.#slots = slots;
  }
}

function widened<T extends Uint32Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
