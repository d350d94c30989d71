// A rule in a form of its own, so that what we write can be compared with what the kernel says of it: iptables-save puts
// addresses first, fills in defaults, and writes marks and chances in its own way, and so do we.
import { parseAddress } from '../address';
import { parseCidr } from '../kube/cidr';

interface Group {
  readonly name: string;
  readonly options: string[];
}

const BASE = new Set(['-s', '-d', '-i', '-o', '-p']);
/** Modules that say nothing where no option follows: the protocol is there already. */
const PROTOCOLS = new Set(['tcp', 'udp', 'sctp']);
const EVERY_BIT = 0xffffffff;
/** The kernel has 31 bits for a chance. */
const CERTAIN = 2 ** 31;

/** The chain a rule stands in, and the one it leads to. */
export function ends(rule: string): { readonly from: string; readonly to: string } {
  const from = /^-[AI] (\S+)/.exec(rule)?.[1] ?? '';
  // What stands in quotes is a comment, and may say anything.
  const to = / -[jg] (\S+)/.exec(rule.replace(/"(?:[^"\\]|\\.)*"/g, '""'))?.[1] ?? '';
  return { from, to };
}

/** What a rule does, without its chain. Two rules of the same form do the same. */
export function formOf(rule: string): string {
  const base: string[] = [];
  const matches: Group[] = [];
  const target: Group = { name: '', options: [] };
  let current: Group = { name: '', options: [] };
  let jump = '';
  const words = wordsOf(rule);
  for (let at = 2; at < words.length;) {
    const not = words[at]?.text === '!' ? '! ' : '';
    if (not !== '') at++;
    const { text = '' } = words[at++] ?? {};
    const values: string[] = [];
    while (at < words.length && !isOption(words[at])) values.push(words[at++]?.text ?? '');
    const value = values.join(' ');
    if (BASE.has(text)) {
      base.push(`${not}${text} ${text === '-s' || text === '-d' ? addressOf(value) : value}`);
    } else if (text === '-m') {
      current = { name: value, options: [] };
      matches.push(current);
    } else if (text === '-j' || text === '-g') {
      jump = `${text} ${value}`;
      current = target;
    } else {
      const said = optionOf(current.name, text, value);
      if (said !== undefined) current.options.push(not + said);
    }
  }
  return [
    ...base.sort(),
    ...matches
      .filter(({ name, options }) => options.length > 0 || !PROTOCOLS.has(name))
      .map(({ name, options }) => `-m ${name} ${options.sort().join(' ')}`),
    jump,
    ...target.options.sort(),
  ].join(' ');
}

interface Word {
  readonly text: string;
  readonly quoted: boolean;
}

function wordsOf(rule: string): readonly Word[] {
  return [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, inner, bare]) =>
    inner === undefined
      ? { text: bare ?? '', quoted: false }
      : { text: inner.replace(/\\(.)/g, '$1'), quoted: true },
  );
}

function isOption(word: Word | undefined): boolean {
  return word !== undefined && !word.quoted && (word.text === '!' || /^--?[a-z]/.test(word.text));
}

function addressOf(text: string): string {
  return parseAddress(text)?.address ?? (parseCidr(text)?.text ?? text).replace(HOST, '');
}
const HOST = /(?<=\.\d+)\/32$|(?<=:[^/]*)\/128$/;

/** Undefined for one that says what goes without saying. */
function optionOf(module: string, option: string, value: string): string | undefined {
  switch (option) {
    case '--or-mark':
      return `--set-xmark ${masked(value, value)}`;
    case '--xor-mark':
      return `--set-xmark ${masked(value, '0')}`;
    case '--set-mark':
    case '--set-xmark':
    case '--mark': {
      const [mark = '', mask] = value.split('/');
      return `${option === '--mark' ? option : '--set-xmark'} ${masked(mark, mask)}`;
    }
    case '--probability':
      return `${option} ${Math.round(Number(value) * CERTAIN)}`;
    case '--ctstate':
      return `${option} ${value.split(',').sort().join(',')}`;
    case '--rsource':
      return undefined;
    case '--mask':
      return module === 'recent' && /^(?:255[.]?){4}$|^(?:f{4}:?){8}$/.test(value)
        ? undefined
        : `${option} ${addressOf(value)}`;
    case '--reject-with':
      return /^icmp6?-port-unreachable$/.test(value) ? undefined : `${option} ${value}`;
    default:
      return value === '' ? option : `${option} ${value}`;
  }
}

function masked(mark: string, mask: string | undefined): string {
  return `${Number(mark)}/${mask === undefined ? EVERY_BIT : Number(mask)}`;
}
