// Virtual servers as the rules of a family, and which of those that the kernel has are still served as they were asked for.
import { joinHostPort } from '../address';
import { familyOf, serviceId } from '../id';
import { checkPort } from '../iptables/check';
import { comparePorts, FamilyRules, TABLES } from '../iptables/family';
import { jumpsOf, type Top } from '../iptables/fixed';
import { endpointDigest, portDigest } from '../iptables/names';
import { toSettings, type Settings } from '../iptables/options';
import { countOf, type Head } from '../iptables/part';
import { rulesOf } from '../iptables/program';
import { fromServer, twice, type FromServer } from '../iptables/servers';
import type { IptablesProgram } from '../iptables/types';
import { compareText } from '../kube/read';
import type { ServicePort } from '../kube/types';
import type { Family, VirtualServer } from '../model';
import { parsing } from '../node/rules';
import { eachOf, eachQuick, type Work } from '../turns';
import { grouped, type Wanted } from './difference';
import { ownerChain, ownerOf, type FamilyChange } from './host';
import type { BackendSettings } from './options';
import { stateChain, stateRules } from './state';

export const OWNER = 'virtual servers';
const NODE = { name: 'here', addresses: [] };

type Lines = readonly string[];

/** A server, and what becomes of it. */
interface ReadServer extends FromServer {
  readonly server: VirtualServer;
}

/** What becomes of servers. */
export interface ReadServers {
  readonly problems: readonly string[];
  /** Why servers were left out, by their id. */
  readonly leftOut: ReadonlyMap<string, string>;
  readonly written: readonly ReadServer[];
}

/** What a port has in the chains of all, and its own chains. */
interface PortLines {
  readonly large: boolean;
  readonly heads: ReadonlyMap<keyof Head, Lines>;
  readonly chains: readonly (readonly [string, Lines])[];
}

/**
 * Servers as rules of every family: the same rules as those of `iptablesProgram`, chain by chain. What was made of a server
 * is kept as long as the server is, so that those that stay the same objects cost little.
 */
export class ServerRules {
  readonly #read = new WeakMap<VirtualServer, ReadServer>();
  readonly #lines = new WeakMap<ServicePort, PortLines>();
  readonly #state = new WeakMap<VirtualServer, readonly [string, Lines]>();
  readonly #settings: ReadonlyMap<Family, Settings>;
  readonly #approximate: boolean;
  readonly #prefix: string;

  /** Throws InvalidInput for options that make no sense. */
  constructor({
    unsupported,
    program,
    prefix,
  }: Pick<BackendSettings, 'unsupported' | 'program' | 'prefix'>) {
    this.#settings = new Map(toSettings(NODE, program).map((each) => [each.family, each]));
    this.#approximate = unsupported === 'approximate';
    this.#prefix = prefix;
  }

  /** Throws InvalidInput for what IPVS would not take, or is there twice. */
  *read(servers: readonly VirtualServer[]): Work<ReadServers> {
    const problems: string[] = [];
    const leftOut = new Map<string, string>();
    const written: ReadServer[] = [];
    const ids = new Set<string>();
    yield* eachOf(servers, (server) => {
      const read = this.#readOne(server);
      const { id, problem, foreign } = read;
      if (ids.has(id) && !foreign) throw twice(id);
      ids.add(id);
      if (problem !== undefined) problems.push(problem);
      if (read.port !== undefined) written.push(read);
      else leftOut.set(id, problem?.slice(`${id}: left out: `.length) ?? 'rules cannot do it');
    });
    return { problems: problems.sort(compareText), leftOut, written };
  }

  /** What a family shall have: nothing at all where it has no server. */
  *wanted({ written }: ReadServers, family: Family): Work<Wanted> {
    const own = written.filter(({ server }) => familyOf(server) === family);
    const settings = this.#settings.get(family);
    if (own.length === 0 || settings === undefined) return { tables: new Map(), jumps: [] };
    const ports = own.flatMap(({ port }) => port ?? []).sort(comparePorts);
    yield;
    const parts = yield* this.#partsOf(ports, settings);
    const tables = new Map<string, Map<string, Lines>>();
    for (const table of TABLES) {
      const chains = new Map<string, Lines>();
      for (const [chain, top] of parts.rules.tops(table)) {
        chains.set(chain, yield* linesOfTop(top, parts.lines));
      }
      tables.set(table, chains);
    }
    const nat = tables.get('nat') ?? new Map<string, Lines>();
    yield* eachQuick(parts.lines, ({ chains }) => {
      for (const [chain, lines] of chains) nat.set(chain, lines);
    });
    nat.set(...ownerChain(this.#prefix, OWNER));
    yield* eachOf(own, ({ server }) => {
      nat.set(...this.#stateOf(server));
    });
    return { tables, jumps: jumpsOf(settings) };
  }

  #readOne(server: VirtualServer): ReadServer {
    let read = this.#read.get(server);
    if (read === undefined) {
      read = { server, ...fromServer(server, this.#approximate) };
      this.#read.set(server, read);
    }
    return read;
  }

  #stateOf(server: VirtualServer): readonly [string, Lines] {
    let state = this.#state.get(server);
    if (state === undefined) {
      state = [stateChain(this.#prefix, server), stateRules(this.#prefix, server)];
      this.#state.set(server, state);
    }
    return state;
  }

  *#partsOf(
    ports: readonly ServicePort[],
    settings: Settings,
  ): Work<{ readonly rules: FamilyRules; readonly lines: readonly PortLines[] }> {
    let endpoints = 0;
    yield* eachQuick(ports, (port) => {
      endpoints += countOf(port);
    });
    const rules = new FamilyRules(settings, ports, endpoints);
    const lines: PortLines[] = [];
    yield* eachOf(ports, (port) => {
      let found = this.#lines.get(port);
      // With many endpoints all are written another way.
      if (found?.large !== rules.large) {
        checkPort(port);
        found = portLines(rules, port);
        this.#lines.set(port, found);
      }
      lines.push(found);
    });
    return { rules, lines };
  }
}

function portLines(rules: FamilyRules, port: ServicePort): PortLines {
  const { head, chains } = rules.partOf(port);
  const heads = Object.entries(head) as [keyof Head, string][];
  return {
    large: rules.large,
    heads: new Map(heads.flatMap(([name, text]) => (text === '' ? [] : [[name, linesOf(text)]]))),
    chains: chains.map((chain) => [chain.name, linesOf(chain.rules)]),
  };
}

function* linesOfTop({ which, tail }: Top, parts: readonly PortLines[]): Work<Lines> {
  const lines: string[] = [];
  yield* eachQuick(which === undefined ? [] : parts, ({ heads }) => {
    if (which !== undefined) lines.push(...(heads.get(which) ?? []));
  });
  lines.push(...linesOf(tail));
  return lines;
}

function linesOf(text: string): Lines {
  return text === '' ? [] : text.slice(0, -1).split('\n');
}

/** The rules of a program, with more chains of the nat table. */
export function* wantedOf(
  program: IptablesProgram,
  family: Family,
  more: ReadonlyMap<string, Lines>,
): Work<Wanted> {
  const rules = yield* rulesOf(program);
  const tables = yield* grouped(yield* parsing(rules[family] ?? ''));
  const nat = tables.get('nat') ?? new Map<string, Lines>();
  for (const [chain, lines] of more) nat.set(chain, lines);
  tables.set('nat', nat);
  return { tables, jumps: program.jumps[family] ?? [] };
}

/** What is not as it was written: which servers that touches, and a line for each chain. */
export interface Damage {
  readonly isDamaged: (id: string) => boolean;
  readonly lines: readonly string[];
}

/** What of a family's rules somebody has changed. @param servers - those of the family */
export function* damageOf(
  { found, differences }: FamilyChange,
  servers: readonly VirtualServer[],
  prefix: string,
): Work<Damage> {
  const { family } = found;
  if (differences.length > 0 && isThere(differences) && ownerOf(found, prefix) === undefined) {
    const line = `${prefix}-CANARY (${family} nat) is empty or gone: somebody flushed our chains; all of them are written anew`;
    return { isDamaged: () => true, lines: [line] };
  }
  const lines: string[] = [];
  const chains = new Set<string>();
  let all = false;
  for (const { table, write, remove, jumps, strays } of differences) {
    const name = `${family} ${table}`;
    yield* eachQuick(write, ({ chain, before }) => {
      const what = before === undefined ? 'is gone' : 'is not as it was written';
      lines.push(`${chain} (${name}) ${what}: somebody else was at it; it is written anew`);
      chains.add(chain);
      if (isShared(chain)) all = true;
    });
    for (const rule of jumps)
      lines.push(`${name} ${rule.slice(3)}: somebody removed it; it is written anew`);

    for (const { chain } of remove) lines.push(`${chain} (${name}) is of no server: it is removed`);
    for (const rule of strays) lines.push(`${name} ${rule.slice(3)}: not from here: it is removed`);
    // What has no way in is not served.
    if (jumps.length > 0) all = true;
  }
  if (all) return { isDamaged: () => true, lines };
  const damaged = new Set<string>();
  yield* eachOf(chains.size === 0 ? [] : servers, (server) => {
    if (chainsOf(server, prefix).some((chain) => chains.has(chain))) damaged.add(serviceId(server));
  });
  return { isDamaged: (id) => damaged.has(id), lines };
}

// Something of ours is there.
function isThere(differences: FamilyChange['differences']): boolean {
  return differences.some(
    ({ write, remove, strays }) =>
      remove.length > 0 || strays.length > 0 || write.some(({ before }) => before !== undefined),
  );
}

function isShared(chain: string): boolean {
  return !/-(?:SVC|SVL|SEP|EXT|FW|VS)-[A-Z2-7]{16}$/.test(chain);
}

function chainsOf(server: VirtualServer, prefix: string): readonly string[] {
  const { destinations, ...key } = server;
  const own = stateChain(prefix, key);
  if (!('protocol' in key)) return [own];
  const id = serviceId(key);
  return [
    own,
    `${prefix}-SVC-${portDigest(id, key.protocol)}`,
    ...destinations.map(({ address, port }) => {
      const to = port === 0 ? key.port : port;
      return `${prefix}-SEP-${endpointDigest(id, key.protocol, joinHostPort(address, to))}`;
    }),
  ];
}
