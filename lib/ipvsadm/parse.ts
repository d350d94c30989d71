// Lines that ipvsadm saved, as the state they make of an empty table. All or nothing: a bad line spoils the text.
import { parseAddress, parsePort, splitHostPort, whyNotAddress } from '../address';
import { InvalidInput, show } from '../errors';
import { destinationId, familyOf, serviceId, toServiceKey } from '../id';
import type {
  Destination,
  DestinationKey,
  SchedulerFlag,
  Service,
  ServiceKey,
  Timeouts,
} from '../model';
import { toFullDestination, toFullService, toFullTimeouts } from '../settings';
import type { ParseOptions, State } from '../state/parse';
import { Problems } from '../state/problems';
import { slimDestination, slimService } from '../state/slim';
import { BadLine, commandOf, readOptions, type Given, type Word } from './options';

/** What lines of ipvsadm ask for. @public */
export interface SavedState extends State {
  /** The line of the last `-C`, which asks for everything else to be deleted. */
  readonly clearedAt?: number;
}

type Options = ReadonlyMap<string, Given>;

interface Made {
  service: Service;
  readonly destinations: Map<string, { destination: Destination; at: number }>;
  readonly at: number;
}

/** Seconds that ipvsadm means by a bare `-p`. */
const PERSISTENT = 360;

/**
 * Reads lines as `ipvsadm -S -n` writes them and `ipvsadm -R` takes them, comments (`#`) too. Throws a StateError that
 * names every bad line. Names of hosts and ports are not looked up.
 * @public
 */
export function parseIpvsadm(text: string, { file }: ParseOptions = {}): SavedState {
  const problems = new Problems('parseIpvsadm', file, text);
  const lines = new Lines(problems);
  let number = 0;
  for (let start = 0; start <= text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    number++;
    lines.line(wordsOf(text, start, end), number);
    start = end + 1;
  }
  problems.check();
  return lines.state();
}

// Blanks part words, nothing quotes them; a # begins a comment.
function wordsOf(text: string, from: number, to: number): Word[] {
  const words: Word[] = [];
  for (const match of text.slice(from, to).matchAll(/\S+/g)) {
    if (match[0].startsWith('#')) break;
    const start = from + match.index;
    words.push({ text: match[0], start, end: start + match[0].length });
  }
  if (/^(?:.*\/)?ipvsadm$/.test(words[0]?.text ?? '')) words.shift();
  return words;
}

class Lines {
  readonly #problems: Problems;
  readonly #services = new Map<string, Made>();
  #timeouts: Partial<Timeouts> = {};
  #clearedAt: number | undefined;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  state(): SavedState {
    const services = [...this.#services.values()].map(({ service, destinations }) =>
      Object.assign({}, service, {
        destinations: [...destinations.values()].map(({ destination }) => destination),
      }),
    );
    return {
      services,
      ...(Object.keys(this.#timeouts).length === 0 ? {} : { timeouts: this.#timeouts }),
      ...(this.#clearedAt === undefined ? {} : { clearedAt: this.#clearedAt }),
    };
  }

  line(words: readonly Word[], number: number): void {
    const [first, ...rest] = words;
    if (first === undefined) return;
    try {
      this.#command(commandOf(first), first, rest, number);
    } catch (error) {
      if (!(error instanceof BadLine)) throw error;
      this.#problems.add(error.word.start, error.word.end, error.message);
    }
  }

  #command(command: string, first: Word, rest: readonly Word[], number: number): void {
    if (command === 'clear') {
      if (rest[0] !== undefined) throw new BadLine(rest[0], `${rest[0].text}: -C takes no more`);
      this.#services.clear();
      this.#clearedAt = number;
    } else if (command === 'set') this.#set(first, rest);
    else if (command.endsWith('-service'))
      this.#service(command, first, readOptions(command, rest));
    else this.#server(command, first, readOptions(command, rest));
  }

  #service(command: string, first: Word, options: Options): void {
    const key = serviceOf(first, options);
    const id = serviceId(key);
    const made = this.#services.get(id);
    const word = options.get('service')?.value ?? first;
    if (command === 'add-service') {
      if (made !== undefined) {
        const place = this.#problems.place(made.at);
        throw new BadLine(word, `service ${id} is here twice: first at ${place}`);
      }
      // It is there for the lines below even when its settings are wrong.
      const added: Made = { service: key, destinations: new Map(), at: first.start };
      this.#services.set(id, added);
      added.service = serviceSettings(first, key, options);
      return;
    }
    if (made === undefined) throw missing(word, `service ${id}`, '-A');
    if (command === 'delete-service') this.#services.delete(id);
    else made.service = serviceSettings(first, key, options);
  }

  #server(command: string, first: Word, options: Options): void {
    const key = serviceOf(first, options);
    const made = this.#services.get(serviceId(key));
    if (made === undefined) {
      const word = options.get('service')?.value ?? first;
      throw missing(word, `service ${serviceId(key)}`, '-A');
    }
    // To delete it, its port is written as it is.
    const forward = command === 'delete-server' ? 'masq' : forwardOf(options);
    const destination = destinationOf(first, key, forward, options);
    const id = destinationId(destination);
    const word = options.get('real-server')?.value ?? first;
    const before = made.destinations.get(id);
    if (command === 'add-server' && before !== undefined) {
      const place = this.#problems.place(before.at);
      throw new BadLine(word, `server ${id} of ${serviceId(key)} is here twice: first at ${place}`);
    }
    if (command !== 'add-server' && before === undefined) {
      throw missing(word, `server ${id} of ${serviceId(key)}`, '-a');
    }
    if (command === 'delete-server') made.destinations.delete(id);
    else {
      const full = serverSettings(first, key, destination, forward, options);
      made.destinations.set(id, { destination: full, at: first.start });
    }
  }

  // 0 keeps what there is.
  #set(first: Word, rest: readonly Word[]): void {
    const [tcp, tcpFin, udp, more] = rest;
    if (tcp === undefined || tcpFin === undefined || udp === undefined || more !== undefined) {
      throw new BadLine(more ?? first, '--set takes three timeouts: tcp, tcpfin and udp');
    }
    for (const [name, word] of Object.entries({ tcp, tcpFin, udp })) {
      const seconds = decimal(word);
      if (seconds === 0) continue;
      checked({ [name]: word }, first, () => toFullTimeouts({ [name]: seconds }));
      this.#timeouts = { ...this.#timeouts, [name]: seconds };
    }
  }
}

function missing(word: Word, what: string, command: string): BadLine {
  return new BadLine(
    word,
    `${what} is not there: no line above adds it with ${command}, and lines are read as if to an empty table`,
  );
}

function serviceOf(first: Word, options: Options): ServiceKey {
  const given = options.get('service');
  const value = given?.value;
  if (value === undefined) {
    throw new BadLine(first, `${first.text}: which service? write -t, -u, --sctp-service or -f`);
  }
  const mark = options.has('fwmark-service');
  const six = options.get('ipv6')?.option;
  if (six !== undefined && (!mark || six.start < value.start)) {
    throw new BadLine(six, `${six.text}: only after -f and its mark`);
  }
  if (mark) {
    const key = { fwmark: decimal(value), family: six === undefined ? 'ipv4' : 'ipv6' };
    return checked({ fwmark: value }, value, () => toServiceKey(key));
  }
  const protocol = options.has('tcp-service') ? 'tcp' : options.has('udp-service') ? 'udp' : 'sctp';
  return { protocol, ...addressOf(value, 0) };
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`, or an address alone, which ipvsadm gives this port. */
function addressOf(word: Word, port: number): DestinationKey {
  const { text } = word;
  const alone = parseAddress(text);
  if (alone !== undefined) return { address: alone.address, port };
  const parts = splitHostPort(text);
  const host = parts?.host ?? text;
  const parsed = parseAddress(host);
  if (parsed === undefined)
    throw new BadLine(word, `${show(text)}: ${show(host)} is ${whyNotAddress(host)}`);
  const found = parts === undefined ? undefined : parsePort(parts.port);
  if (found === undefined || (parsed.family === 'ipv6') !== text.startsWith('[')) {
    throw new BadLine(
      word,
      `${show(text)}: write 10.0.0.1:80 or [2001:db8::1]:80, with the number of the port (names are not looked up)`,
    );
  }
  return { address: parsed.address, port: found };
}

function serviceSettings(first: Word, key: ServiceKey, options: Options): Service {
  const value = (name: string): Word | undefined => options.get(name)?.value;
  const scheduler = value('scheduler')?.text ?? 'wlc';
  const words = {
    scheduler: value('scheduler'),
    schedulerFlags: value('sched-flags'),
    'persistence.timeout': value('persistent'),
    'persistence.prefix': value('netmask'),
    'persistence.engine': value('pe'),
    onePacket: options.get('ops')?.option,
    port: value('service'),
  };
  return checked(words, first, () => {
    const full = toFullService({
      ...key,
      scheduler,
      schedulerFlags: flagsOf(words.schedulerFlags, scheduler),
      persistence: persistenceOf(key, options),
      onePacket: options.has('ops'),
    });
    return slimService(full);
  });
}

// `sh-port`, `mh-fallback`: those of the service's own scheduler; `flag-1` goes with any.
function flagsOf(word: Word | undefined, scheduler: string): SchedulerFlag[] {
  if (word === undefined) return [];
  return word.text.split(',').map((name) => {
    const [, owner, flag] = /^(sh|mh)-(fallback|port)$/.exec(name) ?? [];
    if (owner === undefined) return name as SchedulerFlag;
    if (owner === scheduler) return flag as SchedulerFlag;
    throw new BadLine(word, `${name}: a flag of ${owner}, not of ${scheduler}: leave it out`);
  });
}

// Without -p the kernel asks for neither mask nor engine.
function persistenceOf(key: ServiceKey, options: Options): unknown {
  const given = options.get('persistent');
  if (given === undefined) return undefined;
  const mask = options.get('netmask')?.value;
  const engine = options.get('pe')?.value;
  return {
    timeout: given.value === undefined ? PERSISTENT : decimal(given.value),
    ...(mask === undefined ? {} : { prefix: prefixOf(mask, familyOf(key) === 'ipv6') }),
    ...(engine === undefined ? {} : { engine: engine.text }),
  };
}

function prefixOf(word: Word, isIpv6: boolean): number {
  if (isIpv6) return decimal(word);
  const octets = word.text.split('.').map((text) => parsePort(text) ?? 256);
  const bits = octets.map((octet) => octet.toString(2).padStart(8, '0')).join('');
  if (octets.length === 4 && /^1+0*$/.test(bits) && bits.length === 32)
    return bits.lastIndexOf('1') + 1;
  throw new BadLine(
    word,
    `${show(word.text)} is no mask of leading bits: write one such as 255.255.255.0`,
  );
}

type Forward = 'masq' | 'tunnel' | 'route';

function forwardOf(options: Options): Forward {
  if (options.has('masquerading')) return 'masq';
  return options.has('ipip') ? 'tunnel' : 'route';
}

/** Which destination is meant: without -m, whatever port is written, it is the service's own. */
function destinationOf(
  first: Word,
  service: ServiceKey,
  forward: Forward,
  options: Options,
): DestinationKey {
  const word = options.get('real-server')?.value;
  if (word === undefined) throw new BadLine(first, `${first.text}: which server? write -r`);
  const own = 'port' in service ? service.port : 0;
  const key = addressOf(word, own);
  return forward === 'masq' || 'fwmark' in service ? key : { ...key, port: own };
}

function serverSettings(
  first: Word,
  service: ServiceKey,
  key: DestinationKey,
  forward: Forward,
  options: Options,
): Destination {
  const value = (name: string): Word | undefined => options.get(name)?.value;
  const words = {
    weight: value('weight'),
    upperThreshold: value('u-threshold'),
    lowerThreshold: value('l-threshold'),
    tunnel: options.get('tun-type')?.option ?? options.get('checksum')?.option,
    'tunnel.type': value('tun-type'),
    'tunnel.port': value('tun-port') ?? value('tun-type'),
    'tunnel.checksum': options.get('checksum')?.option,
    address: value('real-server'),
    port: value('real-server'),
  };
  return checked(words, first, () => {
    const settings = {
      weight: numberOf(words.weight),
      upperThreshold: numberOf(words.upperThreshold),
      lowerThreshold: numberOf(words.lowerThreshold),
      tunnel: tunnelOf(options),
    };
    return slimDestination(toFullDestination(service, { ...key, forward, ...settings }));
  });
}

function tunnelOf(options: Options): unknown {
  const names = ['tun-type', 'tun-port', 'checksum'];
  if (!names.some((name) => options.has(name))) return undefined;
  const port = options.get('tun-port')?.value;
  return {
    type: options.get('tun-type')?.value?.text ?? 'ipip',
    ...(port === undefined ? {} : { port: decimal(port) }),
    checksum: options.has('tun-remcsum') ? 'remote' : options.has('tun-csum'),
  };
}

function numberOf(word: Word | undefined): number | undefined {
  return word === undefined ? undefined : decimal(word);
}

function decimal(word: Word): number {
  if (/^(?:0|[1-9]\d{0,15})$/.test(word.text)) return Number(word.text);
  throw new BadLine(
    word,
    `${show(word.text)} is not a plain decimal number: write digits alone, such as 10`,
  );
}

/** What the check makes of it; what it has against it concerns the word of the setting that it names. */
function checked<T>(
  words: Readonly<Record<string, Word | undefined>>,
  first: Word,
  check: () => T,
): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    const [path = ''] = error.problem.split(':', 1);
    throw new BadLine(words[path] ?? first, error.problem);
  }
}
