// JSON as nodes that know where they stand. It is YAML, too, but in one pass over the text it is read in a fraction of the time
// and memory. What is not strictly JSON is left to the reader of YAML, and so are its errors.
import { show } from '../errors';
import type { Entry, ListNode, MapNode, Node, ScalarNode } from './document';
import { DEPTH, TOO_DEEP } from './limits';
import type { Problems } from './problems';

const BLANK = /[ \t\n\r]*/y;
// eslint-disable-next-line no-control-regex -- JSON has none of them in a text
const SPECIAL = /[\\\u0000-\u001f]/;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const PLAIN = /^-?(?:0|[1-9]\d*)$/;
const WORDS = { true: true, false: false, null: null } as const;

/** The text is not JSON. */
class NotJson extends Error {}
class TooDeep extends Error {}

/** The documents of a text that is JSON: one, or none where what is wrong has been told. Undefined where it is not JSON. */
export function jsonDocuments(text: string, problems: Problems): Node[] | undefined {
  // Most of what is not JSON says so at once.
  const start = text.search(/\S/);
  if (!'[{'.includes(text.charAt(start)) || start < 0) return undefined;
  const found: Found[] = [];
  try {
    const node = new Reader(text, found).document();
    for (const one of found) problems.add(one.start, one.end, one.message(problems));
    return [node];
  } catch (error) {
    if (error instanceof NotJson) return undefined;
    if (!(error instanceof TooDeep)) throw error;
    // Whatever follows; in YAML it would be as deep, and take its reader long.
    problems.add(start, start + 1, TOO_DEEP);
    return [];
  }
}

/** A problem that counts only if the whole text is JSON. */
interface Found {
  readonly start: number;
  readonly end: number;
  readonly message: (problems: Problems) => string;
}

class Reader {
  readonly #text: string;
  readonly #found: Found[];
  #at = 0;

  constructor(text: string, found: Found[]) {
    this.#text = text;
    this.#found = found;
  }

  document(): Node {
    this.#blank();
    const node = this.#value(1);
    this.#blank();
    if (this.#at < this.#text.length) throw new NotJson();
    return node;
  }

  #value(depth: number): Node {
    if (depth > DEPTH) throw new TooDeep();
    const start = this.#at;
    switch (this.#text.charAt(start)) {
      case '{':
        return this.#map(start, depth);
      case '[':
        return this.#list(start, depth);
      case '"':
        return this.#scalar(this.#string(), start);
      default:
        return this.#word(start);
    }
  }

  #list(start: number, depth: number): ListNode {
    const items: Node[] = [];
    this.#each(']', () => {
      items.push(this.#value(depth + 1));
    });
    return { kind: 'list', items, start, end: this.#at };
  }

  #map(start: number, depth: number): MapNode {
    const entries = new Map<string, Entry>();
    this.#each('}', () => {
      const key = { start: this.#at, end: this.#at };
      if (this.#text[this.#at] !== '"') throw new NotJson();
      const name = this.#string();
      key.end = this.#at;
      this.#blank();
      this.#take(':');
      this.#blank();
      const node = this.#value(depth + 1);
      const before = entries.get(name);
      if (before === undefined) entries.set(name, { key, node });
      else this.#isTwice(name, key, before);
    });
    return { kind: 'map', entries, start, end: this.#at };
  }

  #isTwice(name: string, key: Entry['key'], { key: { start: first } }: Entry): void {
    const message = (problems: Problems): string =>
      `${show(name)} is here twice: first at ${problems.place(first)}`;
    this.#found.push({ ...key, message });
  }

  /** What stands between brackets, apart by commas. */
  #each(closing: string, item: () => void): void {
    this.#at++;
    this.#blank();
    for (let first = true; this.#text[this.#at] !== closing; first = false) {
      if (!first) {
        this.#take(',');
        this.#blank();
      }
      item();
      this.#blank();
    }
    this.#at++;
  }

  #word(start: number): ScalarNode {
    const number = this.#match(NUMBER);
    if (number !== undefined) {
      const value = Number(number);
      if (Number.isInteger(value) && !PLAIN.test(number)) {
        const words = `${show(number)} is not a plain decimal number: write digits alone, such as 10`;
        this.#found.push({ start, end: this.#at, message: () => words });
      }
      return this.#scalar(value, start);
    }
    for (const [word, value] of Object.entries(WORDS)) {
      if (!this.#text.startsWith(word, start)) continue;
      this.#at += word.length;
      return this.#scalar(value, start);
    }
    throw new NotJson();
  }

  // By hand, as a pattern would run out of stack in a long one.
  #string(): string {
    const start = this.#at;
    let end = this.#text.indexOf('"', start + 1);
    while (end > 0 && this.#isEscaped(end)) end = this.#text.indexOf('"', end + 1);
    if (end < 0) throw new NotJson();
    this.#at = end + 1;
    const plain = this.#text.slice(start + 1, end);
    if (!SPECIAL.test(plain)) return plain;
    try {
      return JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      throw new NotJson();
    }
  }

  /** Whether an odd number of backslashes is before it. */
  #isEscaped(at: number): boolean {
    let before = at - 1;
    while (this.#text.charCodeAt(before) === 92) before--;
    return (at - before) % 2 === 0;
  }

  #scalar(value: unknown, start: number): ScalarNode {
    return { kind: 'scalar', value, start, end: this.#at };
  }

  #take(mark: string): void {
    if (this.#text[this.#at] !== mark) throw new NotJson();
    this.#at++;
  }

  #blank(): void {
    BLANK.lastIndex = this.#at;
    BLANK.test(this.#text);
    this.#at = BLANK.lastIndex;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
