import fc from 'fast-check';
import { planningSets, type ActualSet, type SetPlan, type WantedSet } from '../../lib/node/sets';
import { atOnce } from '../../lib/turns';
import { parseSets } from './saved-sets';

const planSets = (...sets: Parameters<typeof planningSets>): SetPlan =>
  atOnce(planningSets(...sets));

const HASH = 'family inet hashsize 1024 maxelem 65536';

function wantedSet(entries: readonly string[], changes: Partial<WantedSet> = {}): WantedSet {
  return { type: 'hash:ip,port', family: 'ipv4', create: HASH, entries, ...changes };
}

// What `ipset restore` makes of lines, refusing what it would refuse.
class Sets {
  readonly sets = new Map<string, { create: string; entries: Map<string, string> }>();

  /** Adding an entry that is there gives it other options, as with `-exist`. */
  restore(lines: readonly string[]): this {
    for (const line of lines) {
      const [verb = '', name = '', ...rest] = line.split(' ');
      if (verb === 'create') {
        if (this.sets.has(name)) throw new Error(`${line}: exists`);
        this.sets.set(name, { create: rest.join(' '), entries: new Map() });
        continue;
      }
      const set = this.sets.get(name);
      if (set === undefined) throw new Error(`${line}: no such set`);
      const [entry = '', ...options] = rest;
      if (verb === 'add') {
        const limit = Number(/maxelem (\d+)/.exec(set.create)?.[1] ?? Infinity);
        if (set.entries.get(entry) === options.join(' ')) throw new Error(`${line}: is there`);
        if (!set.entries.has(entry) && set.entries.size >= limit) throw new Error(`${line}: full`);
        set.entries.set(entry, options.join(' '));
      } else if (verb === 'del') {
        if (options.length > 0 || !set.entries.delete(entry))
          throw new Error(`${line}: no such entry`);
      } else if (verb === 'flush') {
        set.entries.clear();
      } else if (verb === 'destroy') {
        this.sets.delete(name);
      } else if (verb === 'swap') {
        const other = this.sets.get(entry);
        if (other === undefined) throw new Error(`${line}: no such set`);
        this.sets.set(entry, set).set(name, other);
      } else {
        throw new Error(`${line}: what is that?`);
      }
    }
    return this;
  }

  save(): string {
    let text = '';
    for (const [name, { create, entries }] of this.sets) {
      text += `create ${name} ${create} bucketsize 12 initval 0x12345678\n`;
      for (const [entry, options] of entries)
        text += `add ${name} ${entry}${options === '' ? '' : ' '}${options}\n`;
    }
    return text;
  }
}

const entry = fc
  .tuple(fc.integer({ min: 0, max: 30 }), fc.constantFrom('', ' skbmark 0x1', ' skbmark 0x2'))
  .map(([n, options]) => `10.0.0.${n},tcp:80${options}`);
const anySets = fc.dictionary(
  fc.constantFrom('KUBE-A', 'KUBE-B', 'KUBE-C'),
  fc
    .uniqueArray(entry, { selector: (text) => text.split(' ')[0] })
    .map((entries) => wantedSet(entries)),
  { noNullPrototype: true },
);

const linesOf = (kernel: Sets, name: string): string[] =>
  [...(kernel.sets.get(name)?.entries ?? [])].map((parts) => parts.join(' ').trimEnd());

test('both steps together make the sets of before into those wanted; planning again finds nothing to do', () => {
  fc.assert(
    fc.property(anySets, anySets, (before, wanted) => {
      const kernel = new Sets().restore(planSets(new Map(Object.entries(before)), new Map()).grow);
      const goal = new Map(Object.entries(wanted));
      const { grow, shrink, problems } = planSets(goal, parseSets(kernel.save()));
      expect(problems).toEqual([]);
      kernel.restore(grow);
      for (const [name, set] of goal)
        expect(linesOf(kernel, name)).toEqual(expect.arrayContaining([...set.entries]));
      kernel.restore(shrink);
      for (const [name, set] of goal)
        expect(linesOf(kernel, name).sort()).toEqual([...set.entries].sort());
      const again = planSets(goal, parseSets(kernel.save()));
      expect([...again.grow, ...again.shrink]).toEqual([]);
    }),
  );
});

test('sets that are not wanted are left alone', () => {
  const actual = parseSets(
    new Sets().restore([`create FOREIGN hash:ip ${HASH}`, 'add FOREIGN 10.9.9.9']).save(),
  );
  expect(planSets(new Map(), actual)).toEqual({ grow: [], shrink: [], problems: [] });
});

test('the prefix of a single address makes no difference, as the kernel leaves it out', () => {
  const set = wantedSet(['10.0.0.1,tcp:80,10.1.0.7/32', '10.0.0.1,tcp:80,10.2.0.0/16'], {
    type: 'hash:ip,port,net',
  });
  const saved = `create S hash:ip,port,net ${HASH}\nadd S 10.0.0.1,tcp:80,10.1.0.7\nadd S 10.0.0.1,tcp:80,10.2.0.0/16\n`;
  expect(planSets(new Map([['S', set]]), parseSets(saved))).toMatchObject({ grow: [], shrink: [] });
  const six = wantedSet(['fd00::1,tcp:80,fd01::/32', 'fd00::1,tcp:80,fd01::7/128'], {
    ...{ type: 'hash:ip,port,net', family: 'ipv6' },
  });
  expect(planSets(new Map([['S', six]]), new Map()).grow.slice(1)).toEqual([
    'add S fd00::1,tcp:80,fd01::/32',
    'add S fd00::1,tcp:80,fd01::7',
  ]);
});

test('a set that would overflow is replaced by a larger one, under the same name', () => {
  const small = { create: 'family inet hashsize 1024 maxelem 4' };
  const four = wantedSet(['10.0.0.1,tcp:1', '10.0.0.2,tcp:1'], small);
  const kernel = new Sets().restore(planSets(new Map([['S', four]]), new Map()).grow);
  const six = wantedSet(
    Array.from({ length: 6 }, (_, i) => `10.0.0.${i},tcp:1`),
    small,
  );
  kernel.restore(planSets(new Map([['S', six]]), parseSets(kernel.save())).grow);
  expect([...kernel.sets.keys()]).toEqual(['S']);
  expect(kernel.sets.get('S')?.entries.size).toBe(6);
});

test.each<[string, Partial<ActualSet>, string]>([
  ['type', { type: 'hash:ip' }, 'hash:ip for IPv4, not the set of type hash:ip,port for IPv4'],
  [
    'family',
    { family: 'ipv6' },
    'hash:ip,port for IPv6, not the set of type hash:ip,port for IPv4',
  ],
])(
  'a set of another %s is a problem that says what it is, and is not touched',
  (_, change, words) => {
    const actual: ActualSet = {
      type: 'hash:ip,port',
      family: 'ipv4',
      limit: 65536,
      entries: new Map(),
      ...change,
    };
    const { grow, shrink, problems } = planSets(
      new Map([['S', wantedSet(['10.0.0.1,tcp:1'])]]),
      new Map([['S', actual]]),
    );
    expect([...grow, ...shrink]).toEqual([]);
    expect(problems).toEqual([expect.stringContaining(words)]);
  },
);
