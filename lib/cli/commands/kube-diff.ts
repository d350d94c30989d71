// ipvs kube diff: what kube-proxy has on a node, against what the manifests say.
import type { Ipvs } from '../../client';
import { serviceId } from '../../id';
import type { IptablesMap } from '../../iptables/read';
import { parseIpvsadm } from '../../ipvsadm';
import { ipvsProgram, nodePortAddresses, type IpvsProgramOptions } from '../../kube';
import { contains, parseCidr } from '../../kube/cidr';
import type { VirtualServer } from '../../model';
import { readText } from '../../state/file';
import type { Io } from '../io';
import { compare, waysOfMap, waysOfServers, type Difference, type Way } from '../kube/compare';
import { nothingIn, readRules, type RuleFlags } from '../kube/now';
import type { Printer } from '../printer';
import type { Paint } from '../table';
import { NotDone } from '../wrong';
import { clusterOf, optionsOf, type MapFlags, type ReadCluster } from './kube';

export interface DiffFlags extends Omit<MapFlags, 'output'>, RuleFlags {
  readonly ipvsadmSave?: string;
}

type Cluster = ReadCluster & { readonly options: IpvsProgramOptions };

/** Resolves with the exit status: 1 when something differs. */
export async function diffKube(
  io: Io,
  printer: Printer,
  flags: DiffFlags,
  netns: string | undefined,
): Promise<number> {
  const read = await clusterOf(io, flags);
  const cluster: Cluster = { ...read, options: optionsOf(flags, read.config) };
  const now = await readNow(io, flags, netns);
  const differences = [
    ...('map' in now ? againstRules(now.map, cluster) : againstServers(now.servers, cluster)),
  ];
  const known = [...cluster.problems, ...cluster.map.problems, ...now.problems];
  const problems = [...new Set('map' in now ? [...known, ...unseen(now.map, cluster)] : known)];
  const mode = 'map' in now ? 'iptables' : 'ipvs';
  if (printer.output === 'table') for (const each of problems) io.stderr.write(`${each}\n`);
  await printer.oneLines({ mode, differences, problems }, (paint) => report(differences, paint));
  return differences.length > 0 ? 1 : 0;
}

type Now = { readonly problems: readonly string[] } & (
  { readonly map: IptablesMap } | { readonly servers: readonly VirtualServer[] }
);

async function readNow(io: Io, flags: DiffFlags, netns: string | undefined): Promise<Now> {
  const { ipvsadmSave, iptablesSave } = flags;
  if (ipvsadmSave !== undefined) {
    const file = ipvsadmSave === '-' ? 'stdin' : ipvsadmSave;
    const text = await (ipvsadmSave === '-' ? readText(file, io.stdin) : readText(file));
    return inIpvs(parseIpvsadm(text, { file }).services);
  }
  const map = await readRules(io, flags, netns);
  if (map.families.length > 0) return { map, problems: map.problems };
  if (iptablesSave !== undefined) throw nothingIn(iptablesSave, map);
  const servers = await snapshot(io, netns);
  if (servers.length > 0) return inIpvs(servers);
  throw new NotDone(
    `kube-proxy has nothing here: no rules of its iptables mode, and no virtual services: run it on a node that it serves, or give --iptables-save or --ipvsadm-save`,
  );
}

async function snapshot(io: Io, netns: string | undefined): Promise<readonly VirtualServer[]> {
  const client: Ipvs = await io.open(netns === undefined ? {} : { netns });
  try {
    return await client.snapshot();
  } finally {
    await client.close();
  }
}

// Destinations of weight 0 are on their way out, and go when their connections end.
function inIpvs(all: readonly VirtualServer[]): Now {
  const servers = all.map((server) => ({
    ...server,
    destinations: server.destinations.filter(({ weight }) => weight !== 0),
  }));
  const count = (list: readonly VirtualServer[]): number =>
    list.reduce((sum, { destinations }) => sum + destinations.length, 0);
  const going = count(all) - count(servers);
  const problems = going === 0 ? [] : [`${going} of the destinations have weight 0: not compared`];
  return { servers, problems };
}

function againstRules(now: IptablesMap, { map, options }: Cluster): readonly Difference[] {
  const families: readonly string[] = options.families ?? now.families;
  const of = <T extends { readonly ports: IptablesMap['ports'] }>(all: T): T => ({
    ...all,
    ports: all.ports.filter(({ family }) => families.includes(family)),
  });
  return compare(waysOfMap(of(now)), waysOfMap(of(map)));
}

// A family whose rules nobody gave is no difference, but nobody should think that it was looked at.
function unseen({ families }: IptablesMap, { map, options }: Cluster): readonly string[] {
  return (['ipv4', 'ipv6'] as const)
    .filter((family) => !families.includes(family) && options.families === undefined)
    .filter((family) => map.ports.some((port) => port.family === family))
    .map((family) => `${family}: there are no rules of it; not compared`);
}

function againstServers(now: readonly VirtualServer[], cluster: Cluster): readonly Difference[] {
  const { map, node, options } = cluster;
  const program = ipvsProgram(map, node, options);
  const owners = new Map<string, Pick<Way, 'service' | 'kind'>>();
  for (const { name: service, protocol, family, frontends } of map.ports) {
    for (const { kind, address, port } of frontends) {
      const at = kind === 'nodePort' ? nodePortAddresses(node, family).addresses : [address];
      for (const each of at) {
        const id = serviceId({ protocol, address: each, port });
        if (!owners.has(id)) owners.set(id, { service, kind });
      }
    }
  }
  const excluded = program.excludeCIDRs.flatMap((text) => parseCidr(text) ?? []);
  const families: readonly string[] = options.families ?? ['ipv4', 'ipv6'];
  const ours = now.filter((server) => {
    if ('fwmark' in server) return families.includes(server.family);
    const { address } = server;
    return (
      families.includes(address.includes(':') ? 'ipv6' : 'ipv4') &&
      !excluded.some((cidr) => contains(cidr, address))
    );
  });
  return compare(waysOfServers(ours, owners), waysOfServers(program.servers, owners));
}

const SIGNS = { missing: '+', extra: '-', different: '~' } as const;
const STYLES = { missing: 'green', extra: 'red', different: 'yellow' } as const;
const WORDS = {
  missing: 'not on the node',
  extra: 'on the node, not in the manifests',
  different: 'different',
} as const;

function* report(differences: readonly Difference[], paint: Paint): Generator<string> {
  for (const { change, service, frontend, kind, settings, endpoints } of differences) {
    const who = [service, frontend, kind === 'nodePort' ? undefined : kind];
    const what = who.filter((each) => each !== undefined && each !== '').join(' ');
    yield `${paint(STYLES[change], `${SIGNS[change]} ${what}`)}: ${WORDS[change]}`;
    for (const { name, now, wanted } of settings) yield `    ${name}: ${now} → ${wanted}`;
    for (const each of endpoints) {
      const line = `    ${SIGNS[each.change]} ${each.endpoint}`;
      yield paint(STYLES[each.change], `${line}${weights(each)}`);
    }
  }
}

function weights({ now, wanted }: Difference['endpoints'][number]): string {
  if (now !== undefined && wanted !== undefined) return ` weight ${now} → ${wanted}`;
  const weight = now ?? wanted ?? 1;
  return weight === 1 ? '' : ` weight ${weight}`;
}
