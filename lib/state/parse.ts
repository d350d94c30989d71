// From the nodes of a state file to the state. What each setting may be is settings.ts's to say; here is where it stands.
import { InvalidInput, show } from '../errors';
import { serviceId, destinationId, toDestinationKey, toServiceKey } from '../id';
import type { Destination, ServiceKey, Timeouts, VirtualServer } from '../model';
import { noSuchSetting, toFullDestination, toFullService, toFullTimeouts } from '../settings';
import { documents, type Entry, type ListNode, type MapNode, type Node } from './document';
import * as names from './names';
import { Problems } from './problems';
import { slimDestination, slimService } from './slim';

/** What the kernel is to have. @public */
export interface State {
  /** Each with the settings that are not defaults. */
  readonly services: readonly VirtualServer[];
  /** Those that are left out stay as they are. */
  readonly timeouts?: Partial<Timeouts>;
}

/** @public */
export interface ParseOptions {
  /** What errors call the text: the file's name. */
  readonly file?: string | undefined;
}

/** Characters; the parser wants some hundred bytes of memory for each. */
const LONGEST = 16 * 1024 * 1024;
/** Services, destinations and settings. Aliases can make many of a short text. */
const MOST = 1_000_000;

/**
 * Reads a state file: YAML, or JSON, which is YAML too. All or nothing: throws a StateError that has every problem found.
 * @public
 */
export function parseState(text: string, { file }: ParseOptions = {}): State {
  const problems = new Problems('parseState', file, text);
  if (text.length > LONGEST) {
    problems.add(0, 1, `${text.length} characters are too many: split it in files of ${LONGEST}`);
    problems.check();
  }
  const builder = new Builder(problems);
  for (const node of documents(text, problems)) builder.document(node);
  return builder.state();
}

type Entries = ReadonlyMap<string, Entry>;
type Settings = Readonly<Record<string, unknown>>;
const NONE: Entries = new Map();

class Builder {
  readonly #problems: Problems;
  readonly #services: VirtualServer[] = [];
  readonly #places = new Map<string, number>();
  readonly #timeouts: Partial<Record<keyof Timeouts, number>> = {};
  readonly #timeoutPlaces = new Map<string, number>();
  #hasServices = false;
  #made = 0;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  state(): State {
    if (!this.#hasServices && this.#problems.count === 0) {
      this.#problems.add(0, 1, 'there are no services: write services: [] to have none');
    }
    this.#problems.check();
    const hasTimeouts = Object.keys(this.#timeouts).length > 0;
    return {
      services: this.#services,
      ...(hasTimeouts ? { timeouts: this.#timeouts } : {}),
    };
  }

  /** A document, with defaults of its own. */
  document(node: Node): void {
    // As `ipvs list` prints it.
    if (node.kind === 'list') {
      this.#serviceList(node, NONE);
      return;
    }
    if (node.kind !== 'map') {
      this.#wrong(node, 'not a state: write services: with a list of services');
      return;
    }
    this.#onlyNames('state', node, names.TOP, (name) => name.startsWith('x-'));
    const { entries } = node;
    const defaults = this.#defaults(entries.get('defaults')?.node);
    const timeouts = entries.get('timeouts');
    if (timeouts !== undefined) this.#readTimeouts(timeouts.node);
    const services = entries.get('services');
    if (services === undefined) return;
    if (services.node.kind === 'list') this.#serviceList(services.node, defaults);
    else {
      this.#hasServices = true;
      this.#wrong(services.node, 'services: not a list: write each after a dash, or [] for none');
    }
  }

  #defaults(node: Node | undefined): Entries {
    if (node === undefined) return NONE;
    if (!this.#isMap('defaults', node)) return NONE;
    this.#onlyNames('default', node, names.DEFAULTS);
    const before = this.#problems.count;
    // Anything goes with a mark but the families of destinations.
    const mark = { fwmark: 1, family: 'ipv6' } as const;
    const { entries } = node;
    const probe = { address: '::1', port: 0 };
    const service = this.#settings(names.SERVICE_DEFAULTS, entries, NONE);
    this.#try(node, entries, NONE, () => toFullService({ ...mark, ...service }));
    // A tunnel is for the destinations that use one, whatever the others do.
    const { tunnel, ...rest } = this.#settings(names.DESTINATION_DEFAULTS, entries, NONE);
    this.#try(node, entries, NONE, () => toFullDestination(mark, { ...probe, ...rest }));
    this.#try(node, entries, NONE, () =>
      toFullDestination(mark, { ...probe, forward: 'tunnel', tunnel }),
    );
    return this.#problems.count === before ? entries : NONE;
  }

  #readTimeouts(node: Node): void {
    if (!this.#isMap('timeouts', node)) return;
    this.#onlyNames('timeouts', node, names.TIMEOUTS);
    for (const name of names.TIMEOUTS) {
      const entry = node.entries.get(name);
      if (entry === undefined) continue;
      const first = this.#timeoutPlaces.get(name);
      if (first !== undefined) {
        const place = this.#problems.place(first);
        this.#wrong(entry.key, `timeouts: ${name} is here twice: first at ${place}`);
      }
      this.#timeoutPlaces.set(name, entry.key.start);
      const value = this.#value(entry.node);
      const full = this.#try(node, node.entries, NONE, () => toFullTimeouts({ [name]: value }));
      if (full !== undefined) this.#timeouts[name] = full[name];
    }
  }

  #serviceList(list: ListNode, defaults: Entries): void {
    this.#hasServices = true;
    for (const node of list.items) {
      if (this.#tooMuch(node)) return;
      if (this.#isMap('service', node)) this.#service(node, defaults);
    }
  }

  #service(node: MapNode, defaults: Entries): void {
    this.#onlyNames('service', node, names.SERVICE);
    const { entries } = node;
    const key = this.#serviceKey(node);
    const destinations = entries.get('destinations');
    if (destinations === undefined) {
      this.#wrong(node, 'destinations: missing: write [] for a service that has none');
    } else if (destinations.node.kind !== 'list') {
      this.#wrong(destinations.node, 'destinations: not a list: write [] for none');
    }
    if (key === undefined) return;
    const applicable = entries.has('scheduler') ? without(defaults, 'schedulerFlags') : defaults;
    const settings = this.#settings(names.SERVICE_DEFAULTS, entries, applicable);
    const full = this.#try(node, entries, applicable, () => toFullService({ ...key, ...settings }));
    if (!this.#isFirst(serviceId(key), `service ${serviceId(key)}`, this.#places, node)) return;
    const items = destinations?.node.kind === 'list' ? destinations.node.items : [];
    const made = this.#destinations(key, items, defaults);
    if (full !== undefined)
      this.#services.push(Object.assign(slimService(full), { destinations: made }));
  }

  #serviceKey(node: MapNode): ServiceKey | undefined {
    const { entries } = node;
    const id = entries.get('service');
    if (id === undefined) {
      const key = this.#settings(names.SERVICE_KEY, entries, NONE);
      if (Object.keys(key).length > 0) {
        return this.#try(node, entries, NONE, () => toServiceKey(key));
      }
      this.#wrong(node, 'service: missing: name it, such as service: tcp://10.0.0.1:80');
      return undefined;
    }
    this.#namedOnce('service', entries, names.SERVICE_KEY);
    const text = this.#value(id.node);
    return this.#try(node, entries, NONE, () => toServiceKey(named('service', text)));
  }

  #destinations(service: ServiceKey, items: readonly Node[], defaults: Entries): Destination[] {
    const destinations: Destination[] = [];
    const places = new Map<string, number>();
    for (const node of items) {
      if (this.#tooMuch(node)) break;
      const made = this.#destination(service, node, defaults, places);
      if (made !== undefined) destinations.push(made);
    }
    return destinations;
  }

  #destination(
    service: ServiceKey,
    node: Node,
    defaults: Entries,
    places: Map<string, number>,
  ): Destination | undefined {
    const entries = node.kind === 'map' ? node.entries : NONE;
    if (node.kind === 'map') this.#onlyNames('destination', node, names.DESTINATION);
    const key = this.#try(node, entries, NONE, () => {
      if (node.kind !== 'map') return toDestinationKey(named('destination', this.#value(node)));
      const id = entries.get('destination');
      if (id === undefined) {
        return toDestinationKey(this.#settings(names.DESTINATION_KEY, entries, NONE));
      }
      this.#namedOnce('destination', entries, names.DESTINATION_KEY);
      return toDestinationKey(named('destination', this.#value(id.node)));
    });
    if (key === undefined) return undefined;
    const forward = (entries.get('forward') ?? defaults.get('forward'))?.node;
    const tunnels = forward?.kind === 'scalar' && forward.value === 'tunnel';
    const applicable = tunnels ? defaults : without(defaults, 'tunnel');
    const settings = this.#settings(names.DESTINATION_DEFAULTS, entries, applicable);
    const full = this.#try(node, entries, applicable, () =>
      toFullDestination(service, { ...key, ...settings }),
    );
    const what = `destination ${destinationId(key)} of ${serviceId(service)}`;
    if (!this.#isFirst(destinationId(key), what, places, node)) return undefined;
    return full === undefined ? undefined : slimDestination(full);
  }

  /** The settings by these names: those given, and else the defaults. `false` takes a default away. */
  #settings(list: readonly string[], entries: Entries, defaults: Entries): Settings {
    const settings: Record<string, unknown> = {};
    for (const name of list) {
      const node = (entries.get(name) ?? defaults.get(name))?.node;
      if (node === undefined) continue;
      const value = this.#value(node, name);
      if (value === false && Object.hasOwn(names.WITHIN, name)) continue;
      settings[name] = value;
    }
    return settings;
  }

  // As deep as a setting is; what is deeper is nothing that any setting takes.
  #value(node: Node, name = '', depth = 0): unknown {
    if (node.kind === 'scalar') return node.value;
    if (depth > 0 || this.#tooMuch(node)) return node.kind === 'list' ? [] : {};
    if (node.kind === 'list') {
      this.#made += node.items.length;
      return this.#tooMuch(node) ? [] : node.items.map((item) => this.#value(item, '', 1));
    }
    const within = names.WITHIN[name] ?? [];
    this.#onlyNames(name, node, within);
    const value: Record<string, unknown> = {};
    for (const key of within) {
      const entry = node.entries.get(key);
      if (entry !== undefined) value[key] = this.#value(entry.node, '', 1);
    }
    return value;
  }

  /** What the check makes of it; what it has against it is a problem of the setting that it names. */
  #try<T>(node: Node, entries: Entries, defaults: Entries, check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      const [path = ''] = error.problem.split(':', 1);
      this.#wrong(
        find(path, entries) ?? find(path, defaults) ?? naming(entries) ?? node,
        error.problem,
      );
      return undefined;
    }
  }

  #namedOnce(id: string, entries: Entries, others: readonly string[]): void {
    const other = others.find((name) => entries.has(name));
    const place = other === undefined ? undefined : entries.get(other)?.key;
    if (place === undefined) return;
    this.#wrong(place, `${other}: the ${id} is named already by ${id}: leave one out`);
  }

  #isFirst(id: string, what: string, places: Map<string, number>, node: Node): boolean {
    const first = places.get(id);
    const name = (node.kind === 'map' ? naming(node.entries) : undefined) ?? node;
    // What an alias stands for may have its name where the first one has it.
    const place = name.start >= node.start && name.end <= node.end ? name : node;
    if (first === undefined) {
      places.set(id, place.start);
      return true;
    }
    this.#wrong(place, `${what} is here twice: first at ${this.#problems.place(first)}`);
    return false;
  }

  #onlyNames(
    what: string,
    { entries }: MapNode,
    list: readonly string[],
    also: (name: string) => boolean = () => false,
  ): void {
    for (const [name, { key }] of entries) {
      if (list.includes(name) || also(name)) continue;
      this.#wrong(key, noSuchSetting(what, name, list));
    }
  }

  #isMap(what: string, node: Node): node is MapNode {
    if (node.kind === 'map') return true;
    // An alias of nothing has been told of.
    if (node.kind === 'scalar' && node.value === undefined) return false;
    const found = node.kind === 'list' ? 'a list' : show(node.value);
    this.#wrong(node, `${what}: ${found} is not a map: write its settings as name: value`);
    return false;
  }

  #tooMuch(node: Node): boolean {
    this.#made++;
    if (this.#made <= MOST) return false;
    if (this.#made !== Infinity) {
      this.#wrong(node, `more than ${MOST} services, destinations and settings: write fewer`);
    }
    this.#made = Infinity;
    return true;
  }

  #wrong({ start, end }: { start: number; end: number }, message: string): void {
    this.#problems.add(start, end, message);
  }
}

function named(what: 'service' | 'destination', value: unknown): string {
  if (typeof value === 'string') return value;
  const example = what === 'service' ? 'tcp://10.0.0.1:80' : '192.0.2.10:8080';
  throw new InvalidInput(`${what}: ${show(value)} is not text: name it such as ${example}`);
}

function without(entries: Entries, name: string): Entries {
  if (!entries.has(name)) return entries;
  return new Map([...entries].filter(([key]) => key !== name));
}

/** The node of a setting, such as `weight` or `persistence.timeout`; of what it is within, where it is missing. */
function find(path: string, entries: Entries): Node | undefined {
  const [name = '', inner] = path.split('.');
  const node = entries.get(name)?.node;
  if (inner === undefined || node?.kind !== 'map') return node;
  return node.entries.get(inner)?.node ?? node;
}

/** What names the service or destination. */
function naming(entries: Entries): Node | undefined {
  return (entries.get('service') ?? entries.get('destination') ?? entries.get('address'))?.node;
}
