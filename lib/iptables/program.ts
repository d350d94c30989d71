// A service map in, the rules one node needs in iptables mode out; and of a changed map, what changed.
import { InvalidInput, show } from '../errors';
import { compareText, toRecord } from '../kube/read';
import type { NodeView, ServiceMap, ServicePort } from '../kube/types';
import type { Family } from '../model';
import { jumpsOf, tops } from './fixed';
import { routesLocalnet, toSettings, type Settings } from './options';
import { partOf, reachable, type Part } from './part';
import type { IptablesJump, IptablesProgram, IptablesProgramOptions } from './types';

const LARGE = 1000;

/**
 * What a node needs to serve the map by iptables: chain for chain and rule for rule what kube-proxy writes. Pure. Throws
 * IpvsError `ERR_IPVS_INVALID` for a node or options that make no sense.
 * @public
 */
export function iptablesProgram(
  map: ServiceMap,
  node: NodeView,
  options: IptablesProgramOptions = {},
): IptablesProgram {
  if (!Array.isArray(toRecord(map)?.['ports'])) {
    throw new InvalidInput(`map: ${show(map)} is no service map: use what serviceMap() gave`);
  }
  return new Program(map, toSettings(node, options));
}

class Program implements IptablesProgram {
  readonly problems: readonly string[];
  readonly routeLocalnet: boolean;
  readonly jumps: Readonly<Partial<Record<Family, readonly IptablesJump[]>>>;
  readonly #families: readonly FamilyRules[];
  #rules: Readonly<Partial<Record<Family, string>>> | undefined;

  constructor(map: ServiceMap, settings: readonly Settings[]) {
    this.problems = map.problems;
    this.routeLocalnet = routesLocalnet(settings);
    this.jumps = Object.fromEntries(settings.map((each) => [each.family, jumpsOf(each)]));
    this.#families = settings.map((each) => new FamilyRules(each, map.ports));
  }

  get rules(): Readonly<Partial<Record<Family, string>>> {
    return (this.#rules ??= Object.fromEntries(
      this.#families.map((each) => [each.settings.family, each.text()]),
    ));
  }

  chains(family: Family): Readonly<Record<'filter' | 'nat', readonly string[]>> {
    const found = this.#families.find(({ settings }) => settings.family === family);
    return { filter: found?.filterChains() ?? [], nat: found?.natChains() ?? [] };
  }
}

/** A port and what was written for it. */
interface Written {
  readonly port: ServicePort;
  readonly part: Part;
}

class FamilyRules {
  readonly written = new Map<string, Written>();
  readonly large: boolean;

  constructor(
    readonly settings: Settings,
    ports: readonly ServicePort[],
  ) {
    const own = ports.filter(({ family }) => family === settings.family);
    this.large = settings.largeCluster ?? count(own) > LARGE;
    for (const port of inOrder(own)) {
      this.written.set(keyOf(port), { port, part: partOf(port, settings, this.large) });
    }
  }

  filterChains(): readonly string[] {
    return [...this.#fixed('filter').keys()];
  }

  natChains(): readonly string[] {
    const own = [...this.written.values()].flatMap(({ part }) => [...part.chains.keys()]);
    return [...this.#fixed('nat').keys(), ...own];
  }

  text(): string {
    const filter = this.#fixed('filter');
    const nat = new Map(this.#fixed('nat'));
    for (const { part } of this.written.values()) {
      for (const [name, rules] of part.chains) nat.set(name, rules);
    }
    return table('filter', filter) + table('nat', nat);
  }

  #fixed(name: 'filter' | 'nat'): ReadonlyMap<string, string> {
    const gathered = (which: Exclude<keyof Part, 'chains'>): string => {
      let text = '';
      for (const { part } of this.written.values()) text += part[which];
      return text;
    };
    return new Map(
      [...tops(this.settings, name)].map(([chain, { which, tail }]) => [
        chain,
        (which === undefined ? '' : gathered(which)) + tail,
      ]),
    );
  }
}

function table(name: string, chains: ReadonlyMap<string, string>): string {
  const declared = [...chains.keys()].map((chain) => `:${chain} - [0:0]\n`).join('');
  return `*${name}\n${declared}${[...chains.values()].join('')}COMMIT\n`;
}

function keyOf({ name, protocol }: ServicePort): string {
  return `${name}/${protocol}`;
}

function count(ports: readonly ServicePort[]): number {
  return ports.reduce((sum, port) => sum + reachable(port).length, 0);
}

// As a map has them; one made by hand may not.
function inOrder(ports: readonly ServicePort[]): readonly ServicePort[] {
  const compare = (a: ServicePort, b: ServicePort): number =>
    compareText(a.name, b.name) || compareText(a.protocol, b.protocol);
  const sorted = ports.every((port, i) => {
    const before = ports[i - 1];
    return before === undefined || compare(before, port) <= 0;
  });
  return sorted ? ports : [...ports].sort(compare);
}
