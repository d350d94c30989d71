// Firewall marks for virtual services that take traffic by mark: by name, so that they stay the same as services come and
// go, and without the bit that asks for masquerading.

/** Gives each name a mark of its own. */
export class Marks {
  readonly #names = new Map<number, string>();
  readonly #marks = new Map<string, number>();
  readonly #bit: number;

  constructor(masqueradeBit: number) {
    this.#bit = 1 << masqueradeBit;
  }

  /** The mark of a name; of names that fall together, the later ones get the next that is free. */
  of(name: string): number {
    const known = this.#marks.get(name);
    if (known !== undefined) return known;
    let mark = this.#fit(hash(name));
    while (mark === 0 || this.#names.has(mark)) mark = this.#fit((mark | this.#bit) + 1);
    this.#names.set(mark, name);
    this.#marks.set(name, mark);
    return mark;
  }

  // Bit 31 stays clear: some tools read marks as signed.
  #fit(value: number): number {
    return value & 0x7fffffff & ~this.#bit;
  }
}

// FNV-1a, 32 bits.
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}
