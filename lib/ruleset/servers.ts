// Virtual servers as the rules of a family, and which of those that the kernel has are still served as they were asked for.
import { joinHostPort } from '../address';
import { familyOf, serviceId } from '../id';
import { endpointDigest, portDigest } from '../iptables/names';
import { iptablesProgram } from '../iptables/program';
import { fromServers } from '../iptables/servers';
import type { IptablesProgram } from '../iptables/types';
import type { Family, VirtualServer } from '../model';
import { parseSaved } from '../node/rules';
import { grouped, type Wanted } from './difference';
import { ownerChain, ownerOf, type FamilyChange } from './host';
import type { BackendSettings } from './options';
import { stateChain, stateRules } from './state';

export const OWNER = 'virtual servers';
const NODE = { name: 'here', addresses: [] };

/** Servers as rules of every family. */
export class ServerRules {
  readonly problems: readonly string[];
  /** Why servers were left out, by their id. */
  readonly leftOut: ReadonlyMap<string, string>;
  readonly #program: IptablesProgram;
  readonly #servers: readonly VirtualServer[];
  readonly #prefix: string;

  constructor(
    servers: readonly VirtualServer[],
    { unsupported, program, prefix }: Pick<BackendSettings, 'unsupported' | 'program' | 'prefix'>,
  ) {
    const map = fromServers(servers, { unsupported });
    const written = new Set(map.ports.map(({ name }) => name));
    this.problems = map.problems;
    this.leftOut = new Map(
      servers.flatMap((server) => {
        const id = serviceId(server);
        if (written.has(id)) return [];
        const said = `${id}: left out: `;
        const found = map.problems.find((problem) => problem.startsWith(said));
        return [[id, found?.slice(said.length) ?? 'rules cannot do it']];
      }),
    );
    this.#program = iptablesProgram(map, NODE, program);
    this.#servers = servers.filter((server) => written.has(serviceId(server)));
    this.#prefix = prefix;
  }

  /** What a family shall have: nothing at all where it has no server. */
  wanted(family: Family): Wanted {
    const servers = this.#servers.filter((server) => familyOf(server) === family);
    if (servers.length === 0) return { tables: new Map(), jumps: [] };
    const nat = new Map([ownerChain(this.#prefix, OWNER)]);
    for (const server of servers) {
      nat.set(stateChain(this.#prefix, server), stateRules(this.#prefix, server));
    }
    return wantedOf(this.#program, family, nat);
  }
}

/** The rules of a program, with more chains of the nat table. */
export function wantedOf(
  program: Pick<IptablesProgram, 'rules' | 'jumps'>,
  family: Family,
  more: ReadonlyMap<string, readonly string[]>,
): Wanted {
  const tables = grouped(parseSaved(program.rules[family] ?? ''));
  const nat = new Map([...(tables.get('nat') ?? []), ...more]);
  return {
    tables: new Map([...tables, ['nat', nat]]),
    jumps: program.jumps[family] ?? [],
  };
}

/** What is not as it was written: which servers that touches, and a line for each chain. */
export interface Damage {
  readonly isDamaged: (id: string) => boolean;
  readonly lines: readonly string[];
}

/** What of a family's rules somebody has changed. @param servers - those of the family */
export function damageOf(
  { found, differences }: FamilyChange,
  servers: readonly VirtualServer[],
  prefix: string,
): Damage {
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
    for (const { chain, before } of write) {
      const what = before === undefined ? 'is gone' : 'is not as it was written';
      lines.push(`${chain} (${name}) ${what}: somebody else was at it; it is written anew`);
      chains.add(chain);
      if (isShared(chain)) all = true;
    }
    for (const rule of jumps)
      lines.push(`${name} ${rule.slice(3)}: somebody removed it; it is written anew`);

    for (const { chain } of remove) lines.push(`${chain} (${name}) is of no server: it is removed`);
    for (const rule of strays) lines.push(`${name} ${rule.slice(3)}: not from here: it is removed`);
    // What has no way in is not served.
    if (jumps.length > 0) all = true;
  }
  if (all) return { isDamaged: () => true, lines };
  const damaged = new Set<string>(
    chains.size === 0
      ? []
      : servers
          .filter((server) => chainsOf(server, prefix).some((chain) => chains.has(chain)))
          .map((server) => serviceId(server)),
  );
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
