// One rule as iptables-save prints it, and as a writer wrote it: the two differ in the order of its matches.
import { parseAddress, parsePort, splitHostPort } from '../address';
import { show } from '../errors';
import type { Family } from '../model';

/** What a match looks for, or anything else than that. */
export interface Match {
  readonly text: string;
  readonly not: boolean;
}

/** What of a rule is looked at. */
export interface Rule {
  /** Where it stands, for problems. */
  readonly place: string;
  comment: string | undefined;
  /** Absent: the rule only counts. */
  target: string | undefined;
  protocol: string | undefined;
  source: Match | undefined;
  destination: Match | undefined;
  inInterface: Match | undefined;
  port: string | undefined;
  /** Types of addresses, of `addrtype`. */
  sourceType: string | undefined;
  destinationType: string | undefined;
  /** Of `recent`: looks for the source, or remembers it. */
  recent: 'check' | 'set' | undefined;
  seconds: string | undefined;
  /** How much of the source it looks at, an address. */
  mask: string | undefined;
  probability: string | undefined;
  /** Of `DNAT`. */
  to: string | undefined;
  rejectWith: string | undefined;
  /** It asks a set, as rules beside IPVS do. */
  sets: boolean;
  /** The first thing in it that says something else, so that nobody can tell what the rule does. */
  odd: string | undefined;
}

/** Options that say how, never which: without a word after them, and with one. */
const PLAIN = new Set(['--rsource', '--reap', '--random-fully', '--random']);
const PLAIN_WITH_WORD = new Set(['-m', '--match', '--mode', '--name', '--nfacct-name']);

interface Word {
  readonly text: string;
  readonly quoted: boolean;
}

/** Reads a rule from after its chain on; says what is wrong with a line that is none. */
export function readRule(line: string, from: number, place: string): Rule | string {
  const words = wordsOf(line, from);
  if (words === undefined) return `${show(line)} ends in quotes`;
  const rule: Rule = {
    place,
    comment: undefined,
    target: undefined,
    protocol: undefined,
    source: undefined,
    destination: undefined,
    inInterface: undefined,
    port: undefined,
    sourceType: undefined,
    destinationType: undefined,
    recent: undefined,
    seconds: undefined,
    mask: undefined,
    probability: undefined,
    to: undefined,
    rejectWith: undefined,
    sets: false,
    odd: undefined,
  };
  let not = false;
  for (let i = 0; i < words.length; i++) {
    const option = words[i] ?? { text: '', quoted: true };
    if (!option.quoted && option.text === '!' && !not) {
      not = true;
      continue;
    }
    if (option.quoted || !option.text.startsWith('-')) {
      return `${show(option.text)} is no option of a rule`;
    }
    const takes = take(rule, option.text, words, i + 1, not);
    if (takes < 0) return `${asWritten(option.text)} has nothing after it`;
    i += takes;
    not = false;
  }
  return not ? 'it ends in !' : rule;
}

/** A word for a message: as it stands, unless it holds what no option and no chain should. */
export function asWritten(word: string): string {
  return /^[-\w.:/+]+$/.test(word) ? word : show(word);
}

/** Reads one option; how many words it takes, or -1 where they are missing. */
function take(
  rule: Rule,
  option: string,
  words: readonly Word[],
  at: number,
  not: boolean,
): number {
  const word = words[at]?.text;
  if (option === '--match-set') {
    rule.sets = true;
    return words.length < at + 2 ? -1 : 2;
  }
  if (option === '--rcheck' || option === '--set') {
    if (not || rule.recent !== undefined) rule.odd ??= option;
    rule.recent = option === '--set' ? 'set' : 'check';
    return 0;
  }
  if (PLAIN.has(option)) return 0;
  const takes = withWord(rule, option, word ?? '', not);
  if (takes) return word === undefined ? -1 : 1;
  // Something new: what follows it may be its words.
  rule.odd ??= asWritten(option);
  let count = 0;
  while (isArgument(words[at + count])) count++;
  return count;
}

function isArgument(word: Word | undefined): boolean {
  return word !== undefined && (word.quoted || (!word.text.startsWith('-') && word.text !== '!'));
}

/** Reads an option that takes one word; tells whether it is one. */
function withWord(rule: Rule, option: string, text: string, not: boolean): boolean {
  switch (option) {
    case '-s':
    case '--source':
      return put(rule, 'source', { text, not }, option);
    case '-d':
    case '--destination':
      return put(rule, 'destination', { text, not }, option);
    case '-i':
    case '--in-interface':
      return put(rule, 'inInterface', { text, not }, option);
  }
  if (PLAIN_WITH_WORD.has(option)) return true;
  const field = FIELDS[option];
  if (field === undefined) return false;
  if (not) rule.odd ??= `! ${option}`;
  return put(rule, field, text, option);
}

const FIELDS: Readonly<Record<string, TextField>> = {
  '--comment': 'comment',
  '-j': 'target',
  '--jump': 'target',
  '-p': 'protocol',
  '--protocol': 'protocol',
  '--dport': 'port',
  '--src-type': 'sourceType',
  '--dst-type': 'destinationType',
  '--seconds': 'seconds',
  '--mask': 'mask',
  '--probability': 'probability',
  '--to-destination': 'to',
  '--reject-with': 'rejectWith',
};
type TextField =
  | 'comment'
  | 'target'
  | 'protocol'
  | 'port'
  | 'sourceType'
  | 'destinationType'
  | 'seconds'
  | 'mask'
  | 'probability'
  | 'to'
  | 'rejectWith';

function put<F extends keyof Rule>(rule: Rule, field: F, value: Rule[F], option: string): true {
  if (rule[field] !== undefined) rule.odd ??= `a second ${option}`;
  rule[field] = value;
  return true;
}

/** Words as iptables-save quotes them: in double quotes where they have more than letters. Undefined: quotes are open. */
function wordsOf(line: string, from: number): Word[] | undefined {
  const words: Word[] = [];
  for (let at = from; at < line.length;) {
    if (line[at] === ' ' || line[at] === '\t') {
      at++;
    } else if (line[at] === '"') {
      const end = closing(line, at + 1);
      if (end < 0) return undefined;
      words.push({ text: unquoted(line.slice(at + 1, end)), quoted: true });
      at = end + 1;
    } else {
      const space = line.indexOf(' ', at);
      const end = space < 0 ? line.length : space;
      words.push({ text: line.slice(at, end), quoted: false });
      at = end;
    }
  }
  return words;
}

function closing(line: string, from: number): number {
  for (let at = from; at < line.length; at++) {
    if (line[at] === '\\') at++;
    else if (line[at] === '"') return at;
  }
  return -1;
}

function unquoted(text: string): string {
  return text.includes('\\') ? text.replace(/\\(.)/gs, '$1') : text;
}

/** Which fields a rule has beside comment and target, in a fixed order; what is inverted or odd makes another shape. */
export function shapeOf(rule: Rule): string {
  const { source, destination, inInterface, recent } = rule;
  let shape = rule.odd === undefined ? '' : ' odd';
  if (rule.destinationType !== undefined && destination === undefined) shape += ' dtype';
  if (source !== undefined) shape += source.not ? ' !s' : ' s';
  if (destination !== undefined) {
    // Node ports are open everywhere but on loopback.
    if (rule.destinationType !== undefined) shape += ' d dtype';
    else shape += destination.not ? ' !d' : ' d';
  }
  if (inInterface !== undefined) shape += inInterface.not ? ' !i' : ' i';
  if (rule.protocol !== undefined) shape += ' p';
  if (recent !== undefined) shape += ` ${recent}`;
  if (rule.port !== undefined) shape += ' port';
  if (rule.sourceType !== undefined) shape += ' stype';
  if (rule.seconds !== undefined) shape += ' seconds';
  if (rule.probability !== undefined) shape += ' probability';
  if (rule.to !== undefined) shape += ' to';
  return shape.slice(1);
}

/** `10.0.0.1`, or with a full prefix; undefined when it is no address of one host. */
export function hostOf(text: string, family: Family): string | undefined {
  const full = family === 'ipv4' ? '/32' : '/128';
  const parsed = parseAddress(text.endsWith(full) ? text.slice(0, -full.length) : text);
  return parsed?.family === family ? parsed.address : undefined;
}

/** `10.0.0.1:80` or `[2001:db8::1]:80` of that family. */
export function hostPortOf(
  text: string,
  family: Family,
): { address: string; port: number } | undefined {
  const parts = splitHostPort(text);
  const address = hostOf(parts?.host ?? '', family);
  const port = parsePort(parts?.port ?? '');
  return address === undefined || port === undefined ? undefined : { address, port };
}
