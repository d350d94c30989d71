// JSON goes a way of its own. It must lead where the reader of YAML, which knows JSON too, leads.
import fc from 'fast-check';
import { documents, yamlDocuments, type Node } from '../lib/state/document';
import { jsonDocuments } from '../lib/state/json';
import { Problems, StateError } from '../lib/state/problems';
import { parseState, printState } from '../lib/state';

jest.setTimeout(60_000);

function read(
  reader: (text: string, problems: Problems) => Iterable<Node>,
  text: string,
): { nodes: readonly unknown[]; problems: unknown } {
  const problems = new Problems('parseState', 'x.json', text);
  const nodes = [...reader(text, problems)].map(shown);
  try {
    problems.check();
    return { nodes, problems: [] };
  } catch (error) {
    return { nodes, problems: (error as StateError).problems };
  }
}

function shown(node: Node): unknown {
  if (node.kind === 'list') return { ...node, items: node.items.map(shown) };
  if (node.kind === 'scalar') return node;
  const entries = [...node.entries].map(([name, entry]) => [name, entry.key, shown(entry.node)]);
  return { ...node, entries };
}

const isJson = (text: string): boolean =>
  jsonDocuments(text, new Problems('parseState', undefined, text)) !== undefined;

test('every JSON: the same nodes, in the same places', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue())),
      fc.constantFrom(undefined, 1, 2),
      (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(isJson(text)).toBe(true);
        expect(read(documents, text)).toEqual(read(yamlDocuments, text));
      },
    ),
    { numRuns: 1_000 },
  );
});

test('keys that are there twice and numbers that are not plain: the same words, in the same places', () => {
  const number = fc.constantFrom('1e3', '1.0', '-0', '0', '18446744073709551616', '1.5', '2E+2');
  const entry = fc.tuple(fc.constantFrom('a', 'b', 'c'), number);
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 5 }), fc.constantFrom(' ', '\n'), (entries, blank) => {
      const text = `{${blank}${entries.map(([key, value]) => `"${key}":${blank}${value}`).join(',')}}`;
      expect(isJson(text)).toBe(true);
      expect(read(documents, text)).toEqual(read(yamlDocuments, text));
    }),
  );
});

test('what is nearly JSON is YAML, or wrong in the words of YAML', () => {
  const pieces = [
    ...['{', '}', '[', ']', ',', ':', '"a"', "'b'", '1', '01', '.5', '+1', 'tru', 'null', 'x: y'],
    ...[
      '"\\x41"',
      '"',
      '# note',
      '&a',
      '*a',
      '---',
      ' ',
      '\n',
      '\t',
      '\u0000',
      '{"a":1}',
      '\ufeff',
    ],
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      if (!isJson(text)) return;
      // What is taken for JSON is.
      expect(() => JSON.parse(text) as unknown).not.toThrow();
    }),
    { numRuns: 5_000 },
  );
});

test('long texts and many brackets are read, or told of', () => {
  const long = 'a'.repeat(4_000_000);
  expect(parseState(`{"x-a":"${long}","services":[]}`)).toEqual({ services: [] });
  for (const text of [
    `{"x-a":"${long}`,
    `{"x-a":"${'\\'.repeat(1_000_001)}"}`,
    `{"x-a":"${'\\"'.repeat(500_000)}`,
  ]) {
    expect(isJson(text)).toBe(false);
  }
  expect(isJson(`{"x-a":"${'\\"'.repeat(500_000)}"}`)).toBe(true);
});

test('deeper than any state is told of, not followed', () => {
  for (const text of [
    '['.repeat(10_000_000),
    '{"services":['.repeat(100_000),
    '\n [' + '[1,['.repeat(100),
  ]) {
    expect(() => parseState(text)).toThrow(
      /^parseState: \d:\d: nested more than 64 deep: no state is$/,
    );
  }
});

test('a table of 10 000 × 10 is read in a fraction of the time that it takes as YAML', () => {
  const address = (first: number, i: number): string =>
    `${first}.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
  const services = Array.from({ length: 10_000 }, (_, i) => ({
    protocol: 'tcp' as const,
    address: address(10, i),
    port: 80,
    destinations: Array.from({ length: 10 }, (__, j) => ({
      address: address(11, i * 10 + j),
      port: 80,
      weight: 2,
    })),
  }));
  const text = printState({ services }, { format: 'json' });
  const before = process.cpuUsage();
  const state = parseState(text);
  const { user, system } = process.cpuUsage(before);
  expect(state).toEqual({ services });
  // As YAML it takes more than six seconds where this takes half a one.
  expect((user + system) / 1e6).toBeLessThan(3);
  // And more lines than a call takes arguments are no trouble.
  expect(printState(state).split('\n').length).toBeGreaterThan(120_000);
});
