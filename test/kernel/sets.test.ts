// ip sets read over netlink, against what `ipset save` prints of them.
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { formatAddress, writeAddress } from '../../lib/address';
import { setNames } from '../../lib/kube/sets';
import type { Family } from '../../lib/model';
import { loadBinding } from '../../lib/native';
import { SET_LAYOUT } from '../../lib/node/set-records';
import { openSets, type SetReader } from '../../lib/node/set-reader';
import { parseSets } from '../node/saved-sets';
import { Namespace } from './helpers';

let namespace: Namespace;
let sets: SetReader;
beforeEach(async () => {
  namespace = new Namespace();
  sets = await openSets(`/run/netns/${namespace.name}`);
});
afterEach(async () => {
  await sets.close();
  namespace.delete();
});

function restore(lines: readonly string[]): void {
  execFileSync('ip', ['netns', 'exec', namespace.name, 'ipset', '-exist', 'restore'], {
    input: `${lines.join('\n')}\n`,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

test('C++ and TypeScript describe the same records', () => {
  const native = JSON.parse(loadBinding().layout()) as Record<string, unknown>;
  for (const [record, fields] of Object.entries(SET_LAYOUT))
    expect([record, native[record]]).toEqual([record, fields]);
});

const canonical = (text: string): string => {
  const bytes = new Uint8Array(16);
  const family = writeAddress(text, bytes, 0);
  if (family === undefined) throw new Error(`${text}: no address`);
  return formatAddress(bytes, 0, family);
};
// Of few networks, so that some lie in others; no zeros, which stand for any.
const address: Readonly<Record<Family, fc.Arbitrary<string>>> = {
  ipv4: fc
    .tuple(
      fc.constantFrom('10.0', '172.30', '255.1'),
      fc.nat(255),
      fc.integer({ min: 1, max: 255 }),
    )
    .map((parts) => parts.join('.')),
  ipv6: fc
    .tuple(
      fc.constantFrom('fd00:', 'fd00:0:0:1:0:0:7', '2001:db8:0:0:1:0:0', 'fe80:0:1:2:3:4:5'),
      fc.integer({ min: 1, max: 0xffff }),
    )
    .map(([network, last]) => canonical(`${network}:${last.toString(16)}`)),
};
const port = fc.integer({ min: 1, max: 65535 });
const protocolPort = fc
  .tuple(fc.constantFrom('tcp', 'udp', 'sctp'), port)
  .map((parts) => parts.join(':'));
const mark = fc
  .tuple(fc.integer({ min: 1, max: 0xffffffff }), fc.constantFrom('', '/0xff', '/0xffffffff'))
  .map(([value, mask]) => `skbmark 0x${value.toString(16)}${mask}`);

const joined = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.tuple(...parts).map((texts) => texts.join(','));

/** Entries of every type that programs use, and of some that they do not. */
function entryOf(type: string, family: Family): fc.Arbitrary<string> {
  const net = fc
    .tuple(address[family], fc.integer({ min: 1, max: family === 'ipv6' ? 128 : 32 }))
    .map((parts) => parts.join('/'));
  const types: Readonly<Record<string, fc.Arbitrary<string>>> = {
    'hash:ip': address[family],
    'hash:ip,port': joined(address[family], protocolPort),
    'hash:ip,port,ip': joined(address[family], protocolPort, address[family]),
    'hash:ip,port,net': joined(address[family], protocolPort, net),
    'hash:net': fc.tuple(net, fc.constantFrom('', ' nomatch')).map((parts) => parts.join('')),
    'hash:net,port': joined(net, protocolPort),
    'hash:net,port,net': joined(net, protocolPort, net),
    marked: fc.tuple(joined(address[family], protocolPort), mark).map((parts) => parts.join(' ')),
    'bitmap:port': port.map(String),
  };
  return types[type] ?? fc.constant('');
}

const TYPES = [
  ...['hash:ip', 'hash:ip,port', 'hash:ip,port,ip', 'hash:ip,port,net', 'marked', 'bitmap:port'],
  ...['hash:net', 'hash:net,port', 'hash:net,port,net'],
];

const anySet = fc
  .record({ type: fc.constantFrom(...TYPES), family: fc.constantFrom<Family>('ipv4', 'ipv6') })
  .chain(({ type, family }) =>
    fc.record({
      type: fc.constant(type),
      family: fc.constant(family),
      limit: fc.constantFrom(65536, 131072),
      entries: fc.array(entryOf(type, family), { maxLength: 300, size: 'max' }),
    }),
  );

test('they read as `ipset save` prints them, of any type', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anySet, { minLength: 1, maxLength: 4 }), async (wanted) => {
      const turn = run++;
      const names = wanted.map((_, i) => `SET-${turn}-${i}`);
      const lines = wanted.flatMap(({ type, family, limit, entries }, i) => {
        const name = names[i] ?? '';
        const inet = family === 'ipv6' ? 'inet6' : 'inet';
        const hash = `family ${inet} hashsize 1024 maxelem ${limit}`;
        const create =
          type === 'bitmap:port'
            ? `${type} range 0-65535`
            : type === 'marked'
              ? `hash:ip,port ${hash} skbinfo`
              : `${type} ${hash}`;
        return [`create ${name} ${create}`, ...entries.map((entry) => `add ${name} ${entry}`)];
      });
      restore(lines);
      const saved = parseSets(namespace.run('ipset', 'save'));
      expect(saved.size).toBe(names.length);
      expect(await sets.read(names)).toEqual(saved);
      restore(names.map((name) => `destroy ${name}`));
    }),
    { numRuns: 40 },
  );
});

test('a large one comes whole, and one of many is found', async () => {
  const entries = Array.from(
    { length: 40_000 },
    (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255},tcp:${1 + i}`,
  );
  restore([
    'create LARGE hash:ip,port family inet maxelem 65536',
    'create OTHER hash:ip',
    ...entries.map((entry) => `add LARGE ${entry}`),
  ]);
  const found = await sets.read(['LARGE', 'NONE']);
  expect([...found.keys()]).toEqual(['LARGE']);
  expect(new Set(found.get('LARGE')?.entries.keys())).toEqual(new Set(entries));
  restore(['del LARGE 10.0.3.7,tcp:776']);
  expect((await sets.read(['LARGE'])).get('LARGE')?.entries.size).toBe(39_999);
});

test('protocols that have no ports read as ipset takes them', async () => {
  const odd = ['10.0.0.1,icmp:8/0', '10.0.0.1,udplite:7', '10.0.0.1,47:0'];
  restore(['create ODD hash:ip,port', ...odd.map((entry) => `add ODD ${entry}`)]);
  const entries = [...((await sets.read(['ODD'])).get('ODD')?.entries.keys() ?? [])];
  expect(entries.sort()).toEqual([...odd].sort());
  restore(entries.map((entry) => `del ODD ${entry}`));
  expect((await sets.read(['ODD'])).get('ODD')?.entries.size).toBe(0);
});

test('where there is no set, there is none', async () => {
  expect(await sets.read(setNames())).toEqual(new Map());
  expect(await sets.read([])).toEqual(new Map());
});

test('a namespace that is not there, and a reader that was closed, say so', async () => {
  await expect(openSets('/run/netns/none')).rejects.toThrow(
    'openSets: there is no such namespace: see ip netns',
  );
  await sets.close();
  await expect(sets.read(['A'])).rejects.toThrow('ipSets: it was closed');
});

test('a set that has not changed is the same object as before; one that has is not', async () => {
  restore(['create A hash:ip', 'create B hash:ip', 'add A 10.0.0.1', 'add B 10.0.0.1']);
  const before = await sets.read(['A', 'B']);
  restore(['del B 10.0.0.1', 'add B 10.0.0.2']);
  const after = await sets.read(['B', 'A']);
  expect(after.get('A')).toBe(before.get('A'));
  expect([...(before.get('B')?.entries.keys() ?? [])]).toEqual(['10.0.0.1']);
  expect([...(after.get('B')?.entries.keys() ?? [])]).toEqual(['10.0.0.2']);
});
