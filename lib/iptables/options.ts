// How a program is to be made, checked, with every default filled in.
import { InvalidInput, show } from '../errors';
import { contains } from '../kube/cidr';
import { toCidrs, toNode, type Node } from '../kube/node';
import { toOptions, type LocalMatch } from '../kube/options';
import { toRecord } from '../kube/read';
import type { NodeView } from '../kube/types';
import type { Family } from '../model';
import { onlyNames } from '../settings';
import { toPrefix } from './names';
import type { IptablesProgramOptions } from './types';

/** What the writer of one family looks at. */
export interface Settings {
  readonly family: Family;
  readonly masqueradeAll: boolean;
  readonly detect: LocalMatch | undefined;
  /** The mark that asks for masquerading, as rules say it. */
  readonly mark: string;
  readonly randomFully: boolean;
  readonly localhostNodePorts: boolean;
  readonly conntrackLiberal: boolean;
  readonly nfacct: boolean;
  readonly largeCluster: boolean | undefined;
  readonly prefix: string;
  /** Endpoints get a share by weight, whatever port they are of; weight 0 gets nothing. */
  readonly weights: boolean;
  readonly nodeAddress: string | undefined;
  /** Where node ports are open; undefined: everywhere. */
  readonly nodePorts: readonly string[] | undefined;
}

const SHARED = [
  'masqueradeAll',
  'clusterCIDRs',
  'detectLocal',
  'masqueradeBit',
  'randomFully',
  'families',
];
const OWN = [
  'localhostNodePorts',
  'conntrackLiberal',
  'nfacct',
  'largeCluster',
  'prefix',
  'weights',
];

/** Checks node and options. Throws InvalidInput. */
export function toSettings(view: NodeView, given: IptablesProgramOptions): readonly Settings[] {
  const options = toRecord(given);
  if (options === undefined) throw new InvalidInput(`options: ${show(given)} is not an object`);
  onlyNames('iptables program', options, [...SHARED, ...OWN]);
  const shared = toOptions(
    Object.fromEntries(Object.entries(options).filter(([name]) => SHARED.includes(name))),
  );
  const flag = (name: string, absent: boolean): boolean => {
    const value = options[name] ?? absent;
    if (typeof value === 'boolean') return value;
    throw new InvalidInput(`${name}: ${show(value)} is not a boolean: use true or false`);
  };
  const node = toNode(view);
  const localhostNodePorts = flag('localhostNodePorts', true);
  return shared.families.map((family) => ({
    family,
    masqueradeAll: shared.masqueradeAll,
    detect: shared.detect[family],
    // Unsigned, as bit 31 would be a minus sign.
    mark: `0x${((1 << shared.masqueradeBit) >>> 0).toString(16).padStart(8, '0')}`,
    randomFully: shared.randomFully,
    localhostNodePorts: localhostNodePorts && family === 'ipv4',
    conntrackLiberal: flag('conntrackLiberal', false),
    nfacct: flag('nfacct', false),
    largeCluster: options['largeCluster'] === undefined ? undefined : flag('largeCluster', false),
    prefix: toPrefix(options['prefix'] ?? 'KUBE'),
    weights: flag('weights', false),
    nodeAddress: node.primary[family],
    nodePorts: openOn(view, node, family, localhostNodePorts),
  }));
}

function openOn(
  view: NodeView,
  node: Node,
  family: Family,
  localhost: boolean,
): readonly string[] | undefined {
  const { all, addresses } = node.nodePorts[family];
  if (all) return undefined;
  return family === 'ipv4' && localhost ? [...loopback(view, node), ...addresses] : addresses;
}

// The node's other addresses leave loopback out, as IPVS cannot serve there.
function loopback(view: NodeView, node: Node): readonly string[] {
  const ranges = rangesOf(view);
  return [...node.held].filter(
    (address) => address.startsWith('127.') && ranges.some((range) => contains(range, address)),
  );
}

function rangesOf({ nodePortAddresses = [] }: NodeView): ReturnType<typeof toCidrs> {
  return nodePortAddresses[0] === 'primary'
    ? []
    : toCidrs('node.nodePortAddresses', nodePortAddresses);
}

/** Whether the kernel must route to loopback addresses what did not come from there. */
export function routesLocalnet(settings: readonly Settings[]): boolean {
  return settings.some(
    ({ localhostNodePorts, nodePorts }) =>
      localhostNodePorts && (nodePorts?.some((address) => address.startsWith('127.')) ?? true),
  );
}
