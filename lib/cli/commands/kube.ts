// ipvs kube map: a dump of a cluster in, what a node would be programmed with out. Touches nothing.
import { createReadStream } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Family, Scheduler } from '../../model';
import { ipsetRestore, ipvsProgram, serviceMap } from '../../kube';
import type { IpvsProgramOptions, NodeProgram, NodeView, ServiceMap } from '../../kube';
import { printIpvsadm } from '../../ipvsadm';
import type { Io } from '../io';
import { readConfig, type ReadConfig } from '../kube/config';
import { readObjects } from '../kube/input';
import { lazy } from '../lazy';
import { toJson, toPlain } from '../plain';
import { writeAll } from '../printer';
import { WrongUse } from '../wrong';

/** The forms a program is printed in. */
export const PROGRAM_OUTPUTS = ['json', 'yaml', 'save', 'iptables', 'ipset'] as const;

/** What says which node, and what of a cluster counts for it. */
export interface ClusterFlags {
  readonly file: readonly string[];
  readonly config?: string;
  readonly node?: string;
  readonly zone?: string;
  readonly nodeAddress?: readonly string[];
  readonly nodePortAddresses?: readonly string[];
  readonly clusterCidr?: readonly string[];
  readonly masqueradeAll?: true;
  readonly family?: Family;
  readonly proxyName?: string;
}

export interface MapFlags extends ClusterFlags {
  readonly scheduler?: Scheduler;
  readonly reject: boolean;
  readonly externalLocal?: 'shared' | 'separate';
  readonly icmpEcho?: true;
  readonly output?: (typeof PROGRAM_OUTPUTS)[number];
}

/** Prints the program of a node. */
export async function map(io: Io, flags: MapFlags): Promise<void> {
  const program = await programOf(io, flags);
  const { output = 'json' } = flags;
  if (output === 'json' || output === 'yaml') {
    const data = { ...program, sets: Object.fromEntries(program.sets) };
    const printed = output === 'json' ? `${toJson(data)}\n` : lazy.yaml().stringify(toPlain(data));
    await writeAll(io.stdout, printed);
    return;
  }
  for (const problem of program.problems) io.stderr.write(`${problem}\n`);
  await writeAll(io.stdout, asText(program, output));
}

function asText(program: NodeProgram, output: 'save' | 'iptables' | 'ipset'): string {
  if (output === 'save') return printIpvsadm(program.servers);
  if (output === 'ipset') return ipsetRestore(program.sets);
  const tools = { ipv4: 'iptables-restore', ipv6: 'ip6tables-restore' };
  return (['ipv4', 'ipv6'] as const)
    .filter((family) => program.rules[family] !== undefined)
    .map((family) => `# ${tools[family]} --noflush\n${program.rules[family] ?? ''}`)
    .join('');
}

/** The program that files and options make. Throws WrongUse, and IpvsError for options that make no sense. */
export async function programOf(io: Io, flags: MapFlags): Promise<NodeProgram> {
  const { map: found, node, config, problems } = await clusterOf(io, flags);
  const program = ipvsProgram(found, node, optionsOf(flags, config));
  return { ...program, problems: [...problems, ...program.problems] };
}

/** A cluster as a node sees it, and what was said of it in files. */
export interface ReadCluster {
  readonly map: ServiceMap;
  readonly node: NodeView;
  readonly config: ReadConfig | undefined;
  /** Of the files; those of the map are its own. */
  readonly problems: readonly string[];
}

/** What files and options say of a cluster and a node. Throws WrongUse. */
export async function clusterOf(io: Io, flags: ClusterFlags): Promise<ReadCluster> {
  const config = flags.config === undefined ? undefined : await readConfigFile(flags.config, io);
  const name = flags.node ?? config?.nodeName;
  if (name === undefined) {
    throw new WrongUse(
      '--node is missing: name the node to program, as it is called in the endpoints',
    );
  }
  const open = flags.nodePortAddresses ?? config?.nodePortAddresses;
  const node: NodeView = {
    name,
    ...(flags.zone !== undefined && { zone: flags.zone }),
    addresses: flags.nodeAddress ?? [],
    ...(open && { nodePortAddresses: open }),
  };
  const { services, slices, ...gathered } = await gather(io, flags);
  const proxy = flags.proxyName === undefined ? {} : { serviceProxyName: flags.proxyName };
  const found = serviceMap(services, slices, node, proxy);
  return {
    map: found,
    node,
    config,
    problems: [...(config?.problems ?? []), ...gathered.problems],
  };
}

async function gather(
  io: Io,
  flags: ClusterFlags,
): Promise<{
  services: Parameters<typeof serviceMap>[0];
  slices: Parameters<typeof serviceMap>[1];
  problems: readonly string[];
}> {
  const gathered = await readObjects(flags.file, io.stdin);
  const { services, slices } = gathered;
  const problems = [...gathered.problems()];
  if (slices.length === 0) {
    problems.push(
      'EndpointSlice: there are none, so no service has an endpoint: give those of kubectl get endpointslices, too',
    );
  }
  return { services, slices, problems };
}

/** What is said on the command line goes before what a file says. */
export function optionsOf(flags: MapFlags, config: ReadConfig | undefined): IpvsProgramOptions {
  const { clusterCidr, scheduler, masqueradeAll, family, externalLocal, icmpEcho } = flags;
  return {
    ...config?.options,
    ...(clusterCidr && { detectLocal: { cidrs: clusterCidr } }),
    ...(scheduler !== undefined && { scheduler }),
    ...(masqueradeAll && { masqueradeAll }),
    ...(family && { families: [family] }),
    ...(externalLocal && { externalLocal }),
    ...(icmpEcho && { icmpEcho }),
    reject: flags.reject,
  };
}

/** Reads a KubeProxyConfiguration. Throws WrongUse. */
export async function readConfigFile(name: string, io: Io): Promise<ReadConfig> {
  const { parse } = lazy.yaml();
  try {
    const source = name === '-' ? io.stdin : createReadStream(name);
    return readConfig(parse(await text(source)), parse);
  } catch (error) {
    const { message } = error as Error;
    throw new WrongUse(`--config ${name}: ${message.split('\n')[0] ?? ''}`);
  }
}
