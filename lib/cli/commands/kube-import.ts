// ipvs kube import: the services of kube-proxy's iptables mode, as a state that IPVS can be given.
import { joinHostPort } from '../../address';
import type { IptablesMap } from '../../iptables/read';
import { printIpvsadm } from '../../ipvsadm';
import { ipvsProgram, type Frontend, type NodeView, type ServicePort } from '../../kube';
import { contains, isReachable, parseCidr } from '../../kube/cidr';
import type { Scheduler } from '../../model';
import { toNamespacePath } from '../../namespace';
import { openLinks } from '../../node/links';
import { printState } from '../../state';
import type { Io } from '../io';
import { nothingIn, readRules, type RuleFlags } from '../kube/now';
import { writeAll } from '../printer';

export interface ImportFlags extends RuleFlags {
  readonly nodeAddress?: readonly string[];
  readonly scheduler?: Scheduler;
  readonly output?: 'yaml' | 'json' | 'save';
}

/** Prints the state, and on stderr what of the rules no state can say. */
export async function importKube(
  io: Io,
  flags: ImportFlags,
  netns: string | undefined,
): Promise<void> {
  const map = await readRules(io, flags, netns);
  if (map.families.length === 0) throw nothingIn(flags.iptablesSave ?? ['this node'], map);
  const node = await nodeOf(map, flags, netns);
  const { scheduler, output = 'yaml' } = flags;
  const program = ipvsProgram(
    { ...map, ports: map.ports.map((port) => weighted(port, scheduler)) },
    node,
    { ...(scheduler !== undefined && { scheduler }), families: map.families },
  );
  for (const line of [...new Set([...program.problems, ...lost(map, node)])])
    io.stderr.write(`${line}\n`);
  const state = { services: program.servers };
  await writeAll(
    io.stdout,
    output === 'save' ? printIpvsadm(state.services) : printState(state, { format: output }),
  );
}

// Shares need a scheduler that looks at weights.
function weighted(port: ServicePort, scheduler: Scheduler | undefined): ServicePort {
  const { cluster = [], local = [] } = port.endpoints;
  const even = [...cluster, ...local].every(({ weight = 1 }) => weight === 1);
  return even || scheduler !== undefined ? port : { ...port, settings: { scheduler: 'wrr' } };
}

// IPVS has virtual services on addresses, so node ports are on those that the node has.
async function nodeOf(
  map: IptablesMap,
  { nodeAddress, iptablesSave }: ImportFlags,
  netns: string | undefined,
): Promise<NodeView> {
  const open = Object.values(map.nodePortAddresses).flat();
  const given = nodeAddress ?? (iptablesSave === undefined ? await liveAddresses(netns) : []);
  const ranges = open.map((address) => `${address}/${address.includes(':') ? 128 : 32}`);
  return {
    name: 'node',
    addresses: [...new Set([...given, ...open])],
    ...(ranges.length > 0 && { nodePortAddresses: ranges }),
  };
}

async function liveAddresses(netns: string | undefined): Promise<readonly string[]> {
  const links = await openLinks(toNamespacePath(netns));
  try {
    const device = (await links.links()).find(({ name }) => name === 'kube-ipvs0');
    return (await links.addresses())
      .filter((each) => each.link !== device?.index && isReachable(each))
      .map(({ address }) => address);
  } finally {
    await links.close();
  }
}

/** How many ways in are named of each kind. */
const SHOWN = 5;

/** What rules do and no state says. */
function lost(map: IptablesMap, node: NodeView): readonly string[] {
  const ways = map.ports.flatMap((port) => port.frontends.map((way) => [port, way] as const));
  const line = (
    topic: string,
    is: (port: ServicePort, way: Frontend) => boolean,
    what: string,
  ): readonly string[] => {
    const all = ways.filter(([port, way]) => is(port, way));
    if (all.length === 0) return [];
    const names = all.slice(0, SHOWN).map(([port, way]) => labelOf(port, way));
    const more = all.length > SHOWN ? ` and ${all.length - SHOWN} more` : '';
    return [`${topic}: ${names.join(', ')}${more}: ${what}`];
  };
  const here = ({ endpoints }: ServicePort): boolean => (endpoints.local ?? []).length > 0;
  return [
    ...line(
      'source ranges',
      (_port, { sourceRanges }) => sourceRanges !== undefined,
      'the rules let certain sources in alone, the state everybody',
    ),
    ...line(
      'no endpoints',
      ({ endpoints }) => !endpoints.anywhere,
      'the rules refuse connections, the state has a service without destinations',
    ),
    ...line(
      'policy Local',
      (port, { kind, policy }) => isOutside(kind, policy) && here(port),
      'the rules lead pods and this node to every endpoint, the state leads everybody to those of this node',
    ),
    ...line(
      'policy Local without an endpoint here',
      (port, { policy }) => policy === 'local' && port.endpoints.anywhere && !here(port),
      'the rules drop what comes from outside, the state leads it to endpoints elsewhere where there are any in the rules',
    ),
    ...line(
      'node ports',
      ({ family }, { kind }) => kind === 'nodePort' && openOn(node, family).length === 0,
      'no address of this node is known, so they are left out: give --node-address',
    ),
    ...line(
      'health check node ports',
      ({ healthCheckNodePort }, { kind }) =>
        healthCheckNodePort !== undefined && kind === 'clusterIP',
      'nothing answers there',
    ),
    'addresses and masquerading: a state has virtual services alone: bind their addresses to a device, and masquerade what the rules mark (MARK-MASQ); ipvs kube apply does both',
  ];
}

function isOutside(kind: Frontend['kind'], policy: Frontend['policy']): boolean {
  return kind !== 'clusterIP' && policy === 'local';
}

function labelOf({ name, protocol }: ServicePort, { kind, address, port }: Frontend): string {
  return kind === 'nodePort'
    ? `${name} at node port ${port}`
    : `${name} at ${protocol}://${joinHostPort(address, port)}`;
}

function openOn(
  { addresses, nodePortAddresses = [] }: NodeView,
  family: string,
): readonly string[] {
  const of = addresses.filter((each) => each.includes(':') === (family === 'ipv6'));
  const ranges = nodePortAddresses.flatMap((text) => parseCidr(text) ?? []);
  const own = ranges.filter((range) => range.family === family);
  return own.length === 0 ? of : of.filter((each) => own.some((range) => contains(range, each)));
}
