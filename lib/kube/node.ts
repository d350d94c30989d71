// The node a map is made for, checked: it is the caller's own, so what is wrong with it is an error and not a problem.
import { parseAddress, whyNotAddress } from '../address';
import { InvalidInput, show } from '../errors';
import type { Family } from '../model';
import { contains, isReachable, parseCidr, type Cidr } from './cidr';
import { toRecord } from './read';
import type { NodeView } from './types';

/** A node as the map and the programs see it. */
export interface Node {
  readonly name: string;
  readonly zone: string;
  /** Everything that no service may bind. */
  readonly held: ReadonlySet<string>;
  readonly primary: Readonly<Partial<Record<Family, string>>>;
  readonly nodePorts: Readonly<Record<Family, NodePortAddresses>>;
}

/** Where node ports are open in one family. @public */
export interface NodePortAddresses {
  /** On every address of the node, those that come later included. */
  readonly all: boolean;
  /** The addresses there are now, without loopback. */
  readonly addresses: readonly string[];
}

/** Checks the node. Throws InvalidInput. */
export function toNode(view: unknown): Node {
  const node = toRecord(view);
  if (node === undefined) throw new InvalidInput(`node: ${show(view)} is not an object`);
  const { name, zone } = node;
  if (typeof name !== 'string' || name === '') {
    throw new InvalidInput(
      `node.name: ${show(name)} is no node name: give the one in the endpoints, such as 'worker-1'`,
    );
  }
  if (zone !== undefined && typeof zone !== 'string') {
    throw new InvalidInput(`node.zone: ${show(zone)} is not text: give the zone, or leave it out`);
  }
  const addresses = toAddresses('node.addresses', node['addresses'] ?? []);
  const primary = toAddresses('node.primary', node['primary'] ?? []);
  const reachable = addresses.filter(isReachable);
  const own = (family: Family): string | undefined =>
    [...primary, ...reachable].find((candidate) => candidate.family === family)?.address;
  const choice = toChoice(node['nodePortAddresses'] ?? []);
  const open = (family: Family): NodePortAddresses =>
    openOn(
      choice,
      family,
      reachable.filter((each) => each.family === family).map((each) => each.address),
      own(family),
    );
  const ipv4 = own('ipv4');
  const ipv6 = own('ipv6');
  return {
    name,
    zone: zone ?? '',
    held: new Set(addresses.map(({ address }) => address)),
    primary: { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) },
    nodePorts: { ipv4: open('ipv4'), ipv6: open('ipv6') },
  };
}

// CIDRs of one family do not limit the other.
function openOn(
  choice: readonly Cidr[] | 'primary',
  family: Family,
  addresses: readonly string[],
  primary: string | undefined,
): NodePortAddresses {
  if (choice === 'primary') {
    return { all: false, addresses: primary === undefined ? [] : [primary] };
  }
  const ranges = choice.filter((range) => range.family === family);
  if (ranges.length === 0 || ranges.some(({ prefix }) => prefix === 0)) {
    return { all: true, addresses };
  }
  return {
    all: false,
    addresses: addresses.filter((address) => ranges.some((range) => contains(range, address))),
  };
}

function toChoice(value: unknown): readonly Cidr[] | 'primary' {
  if (Array.isArray(value) && value.length === 1 && value[0] === 'primary') return 'primary';
  return toCidrs('node.nodePortAddresses', value, "'primary' alone or ");
}

/** Checks ranges given as an option. Throws InvalidInput. */
export function toCidrs(what: string, value: unknown, also = ''): readonly Cidr[] {
  return toTexts(what, value).map((text) => {
    const cidr = parseCidr(text);
    if (cidr !== undefined) return cidr;
    throw new InvalidInput(`${what}: ${show(text)} is no range: use ${also}one such as 10.0.0.0/8`);
  });
}

function toAddresses(what: string, value: unknown): { family: Family; address: string }[] {
  return toTexts(what, value).map((text) => {
    const parsed = parseAddress(text);
    if (parsed !== undefined) return parsed;
    throw new InvalidInput(`${what}: ${show(text)} is ${whyNotAddress(text)}`);
  });
}

function toTexts(what: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new InvalidInput(`${what}: ${show(value)} is not a list`);
  const bad: unknown = value.find((each) => typeof each !== 'string');
  if (bad !== undefined) throw new InvalidInput(`${what}: ${show(bad)} is not text`);
  return value as string[];
}

/** Where node ports are open on a node. Throws IpvsError `ERR_IPVS_INVALID`. @public */
export function nodePortAddresses(node: NodeView, family: Family): NodePortAddresses {
  return toNode(node).nodePorts[family];
}
