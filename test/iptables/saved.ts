// What iptables-save prints of a rule that we write: addresses and protocol go first, and what we left out, or wrote as
// people do, it writes in full. Rules of both are taken apart into words, so quotes do not matter.
import type { Family } from '../../lib';
import type { Ruleset } from './rules';

/** The words of a line; what stands in quotes is one. */
export function wordsOf(line: string): readonly string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, bare]) => quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '',
  );
}

/** What a save says of a table's chains that are not built in, each rule as its words. */
export function readSave(text: string): Record<string, Record<string, string[][]>> {
  const all: Record<string, Record<string, string[][]>> = {};
  let table: Record<string, string[][]> = {};
  for (const line of text.split('\n')) {
    const [, name] = /^\*(\w+)$/.exec(line) ?? [];
    const [, declared] = /^:(\S+) - /.exec(line) ?? [];
    if (name !== undefined) table = all[name] = {};
    if (declared !== undefined) table[declared] = [];
    if (line.startsWith('-A ')) {
      const [, chain = '', ...words] = wordsOf(line);
      table[chain]?.push(words);
    }
  }
  return all;
}

/** What a save should say of our rules. */
export function expectedSave(
  rules: Ruleset,
  family: Family,
): Record<string, Record<string, string[][]>> {
  return Object.fromEntries(
    Object.entries(rules).map(([table, chains]) => [
      table,
      Object.fromEntries(
        Object.entries(chains).map(([chain, list]) => [
          chain,
          list.map((rule) => expectedRule(rule, family)),
        ]),
      ),
    ]),
  );
}

/** What goes first in a save, in that order. */
const FIRST = ['-s', '-d', '-i', '-o', '-p'];

function expectedRule(rule: string, family: Family): string[] {
  const first = new Map<string, string[]>();
  const matches: string[][] = [];
  const target: string[] = [];
  let not: string[] = [];
  const words = [...wordsOf(rule)];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '!') {
      not = ['!'];
      continue;
    }
    if (FIRST.includes(word))
      first.set(word, [...not, word, whole(word, words.shift() ?? '', family)]);
    else if (word === '-m') matches.push(['-m', words.shift() ?? '']);
    else if (word === '-j') target.push('-j', ...words.splice(0));
    else matches.at(-1)?.push(...not, word);
    not = [];
  }
  return [
    ...FIRST.flatMap((word) => first.get(word) ?? []),
    ...matches.flatMap((match) => expectedMatch(match, family)),
    ...expectedTarget(target, family),
  ];
}

function whole(option: string, value: string, family: Family): string {
  const address = option === '-s' || option === '-d';
  return address && !value.includes('/') ? `${value}/${family === 'ipv4' ? 32 : 128}` : value;
}

// Marks without leading zeros, chances in steps of 2^-31, lists with everything that goes without saying.
function expectedMatch(match: readonly string[], family: Family): readonly string[] {
  const after = (name: string): string => match[match.indexOf(name) + 1] ?? '';
  switch (match[1]) {
    case 'mark':
      return match.map(number);
    case 'statistic': {
      const chance = Math.round(Number(after('--probability')) * 2 ** 31) / 2 ** 31;
      return [...match.slice(0, -1), chance.toFixed(11)];
    }
    case 'recent': {
      const end = match.includes('--mask') ? match.indexOf('--mask') : match.length;
      const mask = match.includes('--mask')
        ? after('--mask')
        : family === 'ipv4'
          ? '255.255.255.255'
          : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
      const doing = match.slice(match.indexOf('--name') + 2, end);
      return ['-m', 'recent', ...doing, '--name', after('--name'), '--mask', mask, '--rsource'];
    }
    default:
      return match;
  }
}

function expectedTarget(target: readonly string[], family: Family): readonly string[] {
  const [, name, option, value = ''] = target;
  const mark = number(value);
  if (option === '--or-mark') return ['-j', 'MARK', '--set-xmark', `${mark}/${mark}`];
  if (option === '--xor-mark') return ['-j', 'MARK', '--set-xmark', `${mark}/0x0`];
  if (name !== 'REJECT') return target;
  const kind = family === 'ipv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
  return ['-j', 'REJECT', '--reject-with', kind];
}

function number(word: string): string {
  return word.replace(/0x0*(?=[0-9a-f])/g, '0x');
}
