// The options of ipvsadm(8) on one line of what `ipvsadm -R` reads: which there are, and their values.

/** A word of a line, and where it stands in the text. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** An option as it was given. */
export interface Given {
  readonly option: Word;
  readonly value: Word | undefined;
}

/** A line that cannot be taken: what is wrong, and with which word. */
export class BadLine extends Error {
  constructor(
    readonly word: Word,
    message: string,
  ) {
    super(message);
  }
}

interface Spec {
  readonly name: string;
  readonly short?: string;
  /** Whether it takes a value. */
  readonly value?: 'always' | 'maybe';
  /** Of those with the same group only one is given. */
  readonly group?: string;
}

const COMMANDS: readonly Spec[] = [
  { name: 'add-service', short: 'A' },
  { name: 'edit-service', short: 'E' },
  { name: 'delete-service', short: 'D' },
  { name: 'clear', short: 'C' },
  { name: 'add-server', short: 'a' },
  { name: 'edit-server', short: 'e' },
  { name: 'delete-server', short: 'd' },
  { name: 'set' },
];

const SERVICE: readonly Spec[] = [
  { name: 'tcp-service', short: 't', value: 'always', group: 'service' },
  { name: 'udp-service', short: 'u', value: 'always', group: 'service' },
  { name: 'sctp-service', value: 'always', group: 'service' },
  { name: 'fwmark-service', short: 'f', value: 'always', group: 'service' },
  { name: 'ipv6', short: '6' },
];
const SERVICE_SETTINGS: readonly Spec[] = [
  { name: 'scheduler', short: 's', value: 'always' },
  { name: 'persistent', short: 'p', value: 'maybe' },
  { name: 'netmask', short: 'M', value: 'always' },
  { name: 'pe', value: 'always' },
  { name: 'sched-flags', short: 'b', value: 'always' },
  { name: 'ops', short: 'o' },
];
const SERVER: readonly Spec[] = [{ name: 'real-server', short: 'r', value: 'always' }];
const SERVER_SETTINGS: readonly Spec[] = [
  { name: 'gatewaying', short: 'g', group: 'forward' },
  { name: 'ipip', short: 'i', group: 'forward' },
  { name: 'masquerading', short: 'm', group: 'forward' },
  { name: 'weight', short: 'w', value: 'always' },
  { name: 'u-threshold', short: 'x', value: 'always' },
  { name: 'l-threshold', short: 'y', value: 'always' },
  { name: 'tun-type', value: 'always' },
  { name: 'tun-port', value: 'always' },
  { name: 'tun-nocsum', group: 'checksum' },
  { name: 'tun-csum', group: 'checksum' },
  { name: 'tun-remcsum', group: 'checksum' },
];

const TAKES: Readonly<Record<string, readonly Spec[]>> = {
  'add-service': [...SERVICE, ...SERVICE_SETTINGS],
  'edit-service': [...SERVICE, ...SERVICE_SETTINGS],
  'delete-service': SERVICE,
  'add-server': [...SERVICE, ...SERVER, ...SERVER_SETTINGS],
  'edit-server': [...SERVICE, ...SERVER, ...SERVER_SETTINGS],
  'delete-server': [...SERVICE, ...SERVER],
};

/** Which command a line is, by its first word. */
export function commandOf(word: Word): string {
  const found = COMMANDS.find(
    ({ name, short }) => word.text === `--${name}` || (short && word.text === `-${short}`),
  );
  if (found !== undefined) return found.name;
  throw new BadLine(
    word,
    `${word.text}: a line begins with -A, -E or -D for a service, -a, -e or -d for a server, -C or --set`,
  );
}

/** The options of a command, by their long names and by group. */
export function readOptions(command: string, words: readonly Word[]): ReadonlyMap<string, Given> {
  const given = new Map<string, Given>();
  const queue = [...words].reverse();
  for (let word = queue.pop(); word !== undefined; word = queue.pop()) {
    const { spec, value, rest } = take(command, word, queue);
    if (rest !== undefined) queue.push(rest);
    for (const name of [spec.name, spec.group]) {
      if (name === undefined) continue;
      const before = given.get(name);
      if (before !== undefined) {
        throw new BadLine(
          word,
          `${word.text}: after ${before.option.text} there is no room for it`,
        );
      }
      given.set(name, { option: word, value });
    }
  }
  return given;
}

interface Taken {
  readonly spec: Spec;
  readonly value: Word | undefined;
  /** Further options behind the same dash. */
  readonly rest: Word | undefined;
}

function take(command: string, word: Word, queue: Word[]): Taken {
  const { text, start } = word;
  const specs = TAKES[command] ?? [];
  if (text.startsWith('--')) {
    const at = text.indexOf('=');
    const name = text.slice(2, at < 0 ? undefined : at);
    const spec = specs.find((one) => one.name === name);
    if (spec === undefined) throw unknown(command, word);
    const attached = at < 0 ? undefined : part(word, start + at + 1);
    if (attached !== undefined && spec.value === undefined) throw unknown(command, word);
    return { spec, value: attached ?? next(spec, word, queue), rest: undefined };
  }
  const letter = text[1];
  const spec = specs.find(({ short }) => short !== undefined && short === letter);
  if (!text.startsWith('-') || spec === undefined) throw unknown(command, word);
  if (text.length === 2) return { spec, value: next(spec, word, queue), rest: undefined };
  if (spec.value === undefined) {
    const rest = { text: `-${text.slice(2)}`, start: start + 1, end: word.end };
    return { spec, value: undefined, rest };
  }
  const value = part(word, start + (text[2] === '=' ? 3 : 2));
  return { spec, value, rest: undefined };
}

function part(word: Word, from: number): Word {
  return {
    text: word.text.slice(word.text.length - (word.end - from)),
    start: from,
    end: word.end,
  };
}

// A value that may be left out never begins with a dash; one that must be there may be negative, and wrong.
function next(spec: Spec, word: Word, queue: Word[]): Word | undefined {
  if (spec.value === undefined) return undefined;
  const follows = queue.at(-1);
  if (follows !== undefined && !(spec.value === 'maybe' && follows.text.startsWith('-'))) {
    return queue.pop();
  }
  if (spec.value === 'maybe') return undefined;
  throw new BadLine(word, `${word.text}: its value is missing: write it after a blank`);
}

function unknown(command: string, word: Word): BadLine {
  const names = (TAKES[command] ?? []).map(({ name, short }) =>
    short ? `-${short}` : `--${name}`,
  );
  return new BadLine(word, `${word.text}: no option of --${command}: it takes ${names.join(', ')}`);
}
