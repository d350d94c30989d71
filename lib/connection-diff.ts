// What is different between two snapshots of the connection table. Over the columns as they are: a row of a snapshot costs
// an index of four bytes, at most half full, and a mark; nothing becomes an object.
import type { ConnectionTable } from './connection-table';
import { mix } from './groups';
import { Turn } from './turns';

/** A row of one of the two snapshots: of the older one where it is closed. */
export interface RowChange {
  readonly kind: 'opened' | 'closed' | 'changed';
  readonly row: number;
  /** The row in the older snapshot, of one that changed its state. */
  readonly before?: number;
}

/** What work on many rows yields now and then, so that others get a turn. */
export type Pause = undefined;

const UNSEEN = 0;
/** The kernel's walk begins anew where the table changes under it, and shows rows again: only the last one counts. */
const REPEATED = 1;
const MATCHED = 2;

/** A snapshot whose rows can be found. */
export class Snapshot {
  readonly table: ConnectionTable;
  /** One of the marks, each row. */
  readonly marks: Uint8Array;
  readonly #slots: Uint32Array;
  readonly #addresses: readonly Uint32Array[];
  readonly #seed: number;

  private constructor(table: ConnectionTable, seed: number) {
    const { length, columns } = table;
    this.table = table;
    this.marks = new Uint8Array(length);
    this.#slots = new Uint32Array(slotsFor(length));
    this.#addresses = [
      columns.clientAddress,
      columns.virtualAddress,
      columns.destinationAddress,
    ].map(wordsOf);
    this.#seed = seed;
  }

  /** Compared snapshots have the same seed. It is random: whoever chooses clients and ports must not choose the slots. */
  static *of(table: ConnectionTable, seed: number): Generator<Pause, Snapshot> {
    const snapshot = new Snapshot(table, seed);
    const turn = new Turn();
    for (let row = 0; row < table.length; row++) {
      snapshot.#add(row);
      if (!turn.over()) continue;
      yield;
      turn.next();
    }
    return snapshot;
  }

  /** The row here that is the same connection as a row there; -1 when there is none. */
  find(other: Snapshot, row: number): number {
    const slot = this.#slots[this.#slotOf(other, row)] ?? 0;
    return slot - 1;
  }

  #add(row: number): void {
    const at = this.#slotOf(this, row);
    const before = this.#slots[at] ?? 0;
    if (before !== 0) this.marks[before - 1] = REPEATED;
    this.#slots[at] = row + 1;
  }

  // Where it is, or where it would be: there is always a free slot.
  #slotOf(other: Snapshot, row: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = other.#hash(row) & mask;
    for (;;) {
      const slot = slots[at] ?? 0;
      if (slot === 0 || this.#same(slot - 1, other, row)) return at;
      at = (at + 1) & mask;
    }
  }

  #hash(row: number): number {
    const { protocol, clientPort, virtualPort, destinationPort } = this.table.columns;
    let hash = this.#seed ^ (protocol[row] ?? 0);
    for (const words of this.#addresses) {
      for (let i = 4 * row; i < 4 * row + 4; i++) hash = mix(hash, words[i] ?? 0);
    }
    hash = mix(hash, ((clientPort[row] ?? 0) << 16) | (virtualPort[row] ?? 0));
    return mix(hash, destinationPort[row] ?? 0);
  }

  // A destination is a part of it: a client that uses its port again may get another.
  #same(row: number, other: Snapshot, there: number): boolean {
    const one = this.table.columns;
    const two = other.table.columns;
    if (
      one.clientPort[row] !== two.clientPort[there] ||
      one.virtualPort[row] !== two.virtualPort[there] ||
      one.destinationPort[row] !== two.destinationPort[there] ||
      one.protocol[row] !== two.protocol[there] ||
      one.family[row] !== two.family[there]
    ) {
      return false;
    }
    for (let column = 0; column < this.#addresses.length; column++) {
      const words = this.#addresses[column];
      const others = other.#addresses[column];
      for (let i = 0; i < 4; i++) {
        if (words?.[4 * row + i] !== others?.[4 * there + i]) return false;
      }
    }
    return true;
  }
}

/** What became of the rows: those closed and changed in the order of the older snapshot, then those opened. */
export function* compare(before: Snapshot, after: Snapshot): Generator<RowChange | Pause> {
  const turn = new Turn();
  const states = renumber(before.table.states, after.table.states);
  for (let row = 0; row < before.table.length; row++) {
    if (before.marks[row] !== REPEATED) {
      const now = after.find(before, row);
      if (now < 0) {
        yield { kind: 'closed', row };
      } else {
        after.marks[now] = MATCHED;
        const state = before.table.columns.state[row] ?? 0;
        if (states[state] !== after.table.columns.state[now]) {
          yield { kind: 'changed', row: now, before: row };
        }
      }
    }
    if (!turn.over()) continue;
    yield;
    turn.next();
  }
  for (let row = 0; row < after.table.length; row++) {
    if (after.marks[row] === UNSEEN) yield { kind: 'opened', row };
    if (!turn.over()) continue;
    yield;
    turn.next();
  }
}

/** The numbers that states of one table have in another; -1 for those it has not. */
function renumber(from: readonly string[], to: readonly string[]): readonly number[] {
  return from.map((name) => to.indexOf(name));
}

/** At most half of them are used, and the number is a power of two. */
function slotsFor(rows: number): number {
  return 2 ** Math.max(4, Math.ceil(Math.log2(2 * rows + 1)));
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}
