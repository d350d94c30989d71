// A service map in, the rules one node needs in iptables mode out; and of a changed map, what changed.
import { InvalidInput, show } from '../errors';
import { toRecord } from '../kube/read';
import type { NodeView, ServiceMap, ServicePort } from '../kube/types';
import type { Family } from '../model';
import { atOnce, type Work } from '../turns';
import { familyRules, type FamilyRules } from './family';
import { jumpsOf } from './fixed';
import { routesLocalnet, toSettings } from './options';
import type {
  IptablesJump,
  IptablesProgram,
  IptablesProgramOptions,
  IptablesUpdate,
} from './types';
import { updateOf } from './update';

/**
 * What a node needs to serve the map by iptables: chain for chain and rule for rule what kube-proxy writes. Pure. Throws
 * IpvsError `ERR_IPVS_INVALID` for a node or options that make no sense, and for a map that neither `serviceMap` nor
 * `fromServers` gave and that rules cannot carry.
 * @public
 */
export function iptablesProgram(
  map: ServiceMap,
  node: NodeView,
  options: IptablesProgramOptions = {},
): IptablesProgram {
  const settings = toSettings(node, options);
  const ports = toPorts(map);
  const families = settings.map((each) => familyRules(ports, each));
  return new Program(map.problems, families, { node, options });
}

/** `rules` of a program as work to be done in turns; what it has once been asked for is there at once. */
export function* rulesOf(program: IptablesProgram): Work<ByFamily<string>> {
  return program instanceof Program ? yield* program.writing() : program.rules;
}

function toPorts(map: ServiceMap): readonly ServicePort[] {
  const ports = toRecord(map)?.['ports'];
  if (Array.isArray(ports)) return map.ports;
  throw new InvalidInput(
    `map: ${show(map)} is no service map: use what serviceMap() or fromServers() gave`,
  );
}

/** What a program was asked for. */
interface Asked {
  readonly node: NodeView;
  readonly options: IptablesProgramOptions;
}

type ByFamily<T> = Readonly<Partial<Record<Family, T>>>;

class Program implements IptablesProgram {
  readonly routeLocalnet: boolean;
  readonly jumps: ByFamily<readonly IptablesJump[]>;
  readonly #families: readonly FamilyRules[];
  readonly #asked: Asked;
  #rules: ByFamily<string> | undefined;

  constructor(
    readonly problems: readonly string[],
    families: readonly FamilyRules[],
    asked: Asked,
  ) {
    const settings = families.map((each) => each.settings);
    this.routeLocalnet = routesLocalnet(settings);
    this.jumps = Object.fromEntries(settings.map((each) => [each.family, jumpsOf(each)]));
    this.#families = families;
    this.#asked = asked;
  }

  get rules(): ByFamily<string> {
    return atOnce(this.writing());
  }

  *writing(): Work<ByFamily<string>> {
    if (this.#rules !== undefined) return this.#rules;
    const texts: [Family, string][] = [];
    for (const each of this.#families) texts.push([each.settings.family, yield* each.writing()]);
    return (this.#rules = Object.fromEntries(texts));
  }

  rulesOver(family: Family, chains: Iterable<string>): string {
    return this.#of(family)?.text(chains) ?? '';
  }

  chains(family: Family): Readonly<Record<'filter' | 'nat', readonly string[]>> {
    const found = this.#of(family);
    if (found === undefined) return { filter: [], nat: [] };
    return {
      filter: [...found.tops('filter').keys()],
      nat: [...found.tops('nat').keys(), ...found.names()],
    };
  }

  update(map: ServiceMap, node: NodeView = this.#asked.node): IptablesUpdate {
    const { options } = this.#asked;
    const ports = toPorts(map);
    const settings = new Map(toSettings(node, options).map((each) => [each.family, each]));
    const turns = this.#families.map((before) =>
      updateOf(before, ports, settings.get(before.settings.family) ?? before.settings),
    );
    const texts = turns.flatMap(({ after, text }) =>
      text === '' ? [] : [[after.settings.family, text] as const],
    );
    const families = turns.map(({ after }) => after);
    return {
      program: new Program(map.problems, families, { node, options }),
      rules: Object.fromEntries(texts),
      full: turns.some(({ full }) => full),
    };
  }

  #of(family: Family): FamilyRules | undefined {
    return this.#families.find(({ settings }) => settings.family === family);
  }
}
