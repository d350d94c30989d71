// YAML (and with it JSON) as plain nodes that know where they stand: aliases followed, merge keys merged, every map's keys
// told apart. What a hostile text can make of each is bounded; what is read has at most the size of the text.
import {
  Composer,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Parser,
  visit,
  type Alias,
  type CST,
  type Document,
  type Node as YamlNode,
  type Pair,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import { show } from '../errors';
import { jsonDocuments } from './json';
import { DEPTH, TOO_DEEP } from './limits';
import type { Problems } from './problems';

interface Place {
  readonly start: number;
  readonly end: number;
}

export interface ScalarNode extends Place {
  readonly kind: 'scalar';
  readonly value: unknown;
}
export interface ListNode extends Place {
  readonly kind: 'list';
  readonly items: readonly Node[];
}
export interface MapNode extends Place {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, Entry>;
}
/** A key with its value. */
export interface Entry {
  readonly key: Place;
  readonly node: Node;
}
export type Node = ScalarNode | ListNode | MapNode;

/** Merge keys copy entries; some texts would have them copied without end. */
const MERGED = 1_000_000;

/** The documents of a text, empty ones left out. Those that are no YAML become problems. */
export function* documents(text: string, problems: Problems): Generator<Node> {
  yield* jsonDocuments(text, problems) ?? yamlDocuments(text, problems);
}

/** The same, read as YAML whatever it is. */
export function* yamlDocuments(text: string, problems: Problems): Generator<Node> {
  const composer = new Composer({
    prettyErrors: false,
    // They are compared one with every other there; `entriesOf` does it by name.
    uniqueKeys: false,
    logLevel: 'silent',
  });
  for (const token of new Parser().parse(text)) {
    if (isDeep(token)) {
      problems.add(token.offset, token.offset + 1, TOO_DEEP);
      return;
    }
    for (const document of composer.next(token)) yield* read(document, problems);
  }
  for (const document of composer.end(false, text.length)) yield* read(document, problems);
}

function* read(document: Document.Parsed, problems: Problems): Generator<Node> {
  const { errors, warnings, contents } = document;
  for (const { pos, message } of [...errors, ...warnings]) {
    problems.add(pos[0], pos[1], `not YAML: ${message}`);
  }
  if (errors.length > 0 || contents === null) return;
  if (isScalar(contents) && contents.value === null && contents.source === '') return;
  yield new Reader(document, problems).node(contents, contents.range[0]);
}

// Level by level: by recursion, that which is looked for would be what goes wrong.
function isDeep(token: CST.Token): boolean {
  let level = [token];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEPTH) return true;
    level = level.flatMap(inside);
  }
  return false;
}

function inside(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value];
  if (!('items' in token)) return [];
  return token.items.flatMap(({ key, value }) => [
    ...(key == null ? [] : [key]),
    ...(value === undefined ? [] : [value]),
  ]);
}

class Reader {
  readonly #problems: Problems;
  readonly #targets: ReadonlyMap<Alias, YamlNode | undefined>;
  // What is aliased is read once.
  readonly #read = new Map<YamlNode, Node>();
  readonly #reading = new Set<YamlNode>();
  #merged = 0;

  constructor(document: Document.Parsed, problems: Problems) {
    this.#problems = problems;
    this.#targets = aliasTargets(document);
  }

  /** `at` is where a value would stand that is left out. */
  node(node: unknown, at: number): Node {
    if (isAlias(node)) return this.#alias(node);
    if (!isMap(node) && !isSeq(node) && !isScalar(node)) {
      return { kind: 'scalar', value: null, start: at, end: at };
    }
    const known = this.#read.get(node);
    if (known !== undefined) return known;
    this.#reading.add(node);
    const made = this.#make(node);
    this.#reading.delete(node);
    this.#read.set(node, made);
    return made;
  }

  #make(node: YamlNode): Node {
    const place = placeOf(node);
    if (isMap(node)) return { kind: 'map', entries: this.#entries(node), ...place };
    if (isSeq(node)) {
      const items = node.items.map((item) => this.node(item, place.start));
      return { kind: 'list', items, ...place };
    }
    return { kind: 'scalar', value: this.#scalar(node as Scalar), ...place };
  }

  #alias(alias: Alias): Node {
    const target = this.#targets.get(alias);
    const place = placeOf(alias);
    const nothing = { kind: 'scalar', value: undefined, ...place } as const;
    if (target === undefined) {
      this.#wrong(place, `*${alias.source} stands for nothing: no &${alias.source} is before it`);
      return nothing;
    }
    if (this.#reading.has(target)) {
      this.#wrong(place, `*${alias.source} stands within what it stands for`);
      return nothing;
    }
    // It is pointed at where it is used.
    return { ...this.node(target, place.start), ...place };
  }

  #scalar(node: Scalar): unknown {
    const { value, source = '' } = node;
    if (
      typeof value === 'number' &&
      Number.isInteger(value) &&
      !/^-?(?:0|[1-9]\d*)$/.test(source)
    ) {
      this.#wrong(
        placeOf(node),
        `${show(source)} is not a plain decimal number: write digits alone, such as 10`,
      );
    }
    return value;
  }

  #entries(map: YAMLMap): ReadonlyMap<string, Entry> {
    const entries = new Map<string, Entry>();
    const merges: Node[] = [];
    for (const pair of map.items) {
      const { name, key } = this.#key(pair);
      const node = this.node(pair.value, key.end);
      if (name === undefined) continue;
      if (name === MERGE) merges.push(node);
      else if (!entries.has(name)) entries.set(name, { key, node });
      else {
        const first = this.#problems.place(entries.get(name)?.key.start ?? 0);
        this.#wrong(key, `${show(name)} is here twice: first at ${first}`);
      }
    }
    for (const merge of merges) this.#merge(merge, entries);
    return entries;
  }

  #key({ key }: Pair): { name: string | typeof MERGE | undefined; key: Place } {
    const place = isScalar(key) || isMap(key) || isSeq(key) ? placeOf(key) : { start: 0, end: 0 };
    if (isScalar(key)) {
      // In YAML 1.1 its value is a symbol.
      if (key.source === '<<' && key.type === 'PLAIN') return { name: MERGE, key: place };
      if (typeof key.value === 'string') return { name: key.value, key: place };
    }
    this.#wrong(place, 'a key that is not text: write a name');
    return { name: undefined, key: place };
  }

  // What stands in the map itself counts, then what is merged first.
  #merge(from: Node, into: Map<string, Entry>): void {
    const sources = from.kind === 'list' ? from.items : [from];
    for (const source of sources) {
      if (source.kind !== 'map') {
        this.#wrong(from, '<< takes a map, or a list of maps: write it as <<: *name');
        return;
      }
      this.#merged += source.entries.size;
      if (this.#merged > MERGED) {
        this.#wrong(from, `merge keys that make more than ${MERGED} entries: write fewer`);
        return;
      }
      for (const [name, entry] of source.entries) if (!into.has(name)) into.set(name, entry);
    }
  }

  #wrong({ start, end }: Place, message: string): void {
    this.#problems.add(start, end, message);
  }
}

const MERGE = Symbol('<<');

function placeOf(node: YamlNode): Place {
  const [start = 0, end = 0] = node.range ?? [];
  return { start, end };
}

// The library looks for each alias's anchor from the start.
function aliasTargets(document: Document.Parsed): ReadonlyMap<Alias, YamlNode | undefined> {
  const targets = new Map<Alias, YamlNode | undefined>();
  const anchors = new Map<string, YamlNode>();
  visit(document, {
    Alias: (_key, alias) => void targets.set(alias, anchors.get(alias.source)),
    Value: (_key, node) => {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}
