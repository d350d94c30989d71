// A KubeProxyConfiguration: what of it makes a difference to a program, and what does not apply.
import { show } from '../../errors';
import type { IpvsProgramOptions, LocalDetector } from '../../kube';
import { WrongUse } from '../wrong';

type Json = Readonly<Record<string, unknown>>;
type Changes<T> = { -readonly [K in keyof T]: T[K] };

/** A configuration, in the words of this project. */
export interface ReadConfig {
  readonly nodeName: string | undefined;
  readonly nodePortAddresses: readonly string[] | undefined;
  readonly options: IpvsProgramOptions;
  /** Of iptables mode alone. */
  readonly localhostNodePorts: boolean | undefined;
  /** What was given and makes no difference here, a line each. */
  readonly problems: readonly string[];
}

/** Fields that a program is made from; by their names, as people know them. */
const USED = new Set([
  'apiVersion',
  'kind',
  'mode',
  'hostnameOverride',
  'nodePortAddresses',
  'clusterCIDR',
  'detectLocalMode',
  'detectLocal.bridgeInterface',
  'detectLocal.interfaceNamePrefix',
  'ipvs.scheduler',
  'ipvs.excludeCIDRs',
  'iptables.masqueradeAll',
  'iptables.masqueradeBit',
  'linux.masqueradeAll',
]);
const GROUPS = ['detectLocal', 'ipvs', 'iptables', 'linux'];

/** Reads a configuration, bare or in the ConfigMap that kubeadm keeps it in. Throws WrongUse. */
export function readConfig(value: unknown, parse: (text: string) => unknown): ReadConfig {
  const config = configOf(value, parse);
  const text = (name: string): string => stringAt(config, name) ?? '';
  const options: Changes<IpvsProgramOptions> = {};
  const ipvs = groupAt(config, 'ipvs');
  const iptables = groupAt(config, 'iptables');
  const scheduler = stringAt(ipvs, 'scheduler', 'ipvs.');
  if (scheduler !== undefined && scheduler !== '') options.scheduler = scheduler;
  const excluded = listAt(ipvs, 'excludeCIDRs', 'ipvs.');
  if (excluded.length > 0) options.excludeCIDRs = excluded;
  const bit = iptables['masqueradeBit'] ?? undefined;
  if (bit !== undefined) {
    if (typeof bit !== 'number') wrong('iptables.masqueradeBit', bit, 'a number from 0 to 31');
    options.masqueradeBit = bit;
  }
  if (isOn(iptables, 'iptables.') || isOn(groupAt(config, 'linux'), 'linux.')) {
    options.masqueradeAll = true;
  }
  const problems = unused(config);
  const detector = detectorOf(config, text('detectLocalMode'), problems);
  if (detector !== undefined) options.detectLocal = detector;
  const addresses = listAt(config, 'nodePortAddresses');
  return {
    nodeName: text('hostnameOverride') === '' ? undefined : text('hostnameOverride'),
    nodePortAddresses: addresses.length === 0 ? undefined : addresses,
    options,
    localhostNodePorts: booleanAt(iptables, 'localhostNodePorts', 'iptables.'),
    problems,
  };
}

function configOf(value: unknown, parse: (text: string) => unknown): Json {
  const object = toRecord(value);
  if (object?.['kind'] === 'ConfigMap') {
    const inner = toRecord(object['data'])?.['config.conf'];
    if (typeof inner === 'string') return configOf(parse(inner), parse);
  }
  if (object?.['kind'] === 'KubeProxyConfiguration') return object;
  throw new WrongUse(
    `it is no KubeProxyConfiguration (kind: ${show(object?.['kind'])}): give the file that kube-proxy is started with, or its ConfigMap`,
  );
}

function detectorOf(config: Json, mode: string, problems: string[]): LocalDetector | undefined {
  const group = groupAt(config, 'detectLocal');
  const name = (field: string): string => {
    const value = stringAt(group, field, 'detectLocal.') ?? '';
    if (value === '')
      throw new WrongUse(`detectLocal.${field}: missing, and detectLocalMode wants it`);
    return value;
  };
  switch (mode) {
    case '':
    case 'ClusterCIDR': {
      const cidrs = (stringAt(config, 'clusterCIDR') ?? '').split(',').map((cidr) => cidr.trim());
      const given = cidrs.filter((cidr) => cidr !== '');
      return given.length === 0 ? undefined : { cidrs: given };
    }
    case 'NodeCIDR':
      problems.push(
        "detectLocalMode: NodeCIDR: the node's ranges stand in no file: give them with --cluster-cidr",
      );
      return undefined;
    case 'BridgeInterface':
      return { bridgeInterface: name('bridgeInterface') };
    case 'InterfaceNamePrefix':
      return { interfaceNamePrefix: name('interfaceNamePrefix') };
    default:
      return wrong(
        'detectLocalMode',
        mode,
        'ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix',
      );
  }
}

// What kubeadm writes for "not set" is not worth a word.
function unused(config: Json): string[] {
  const problems: string[] = [];
  const look = (prefix: string, group: Json): void => {
    for (const [field, value] of Object.entries(group)) {
      const path = prefix + field;
      if (GROUPS.includes(path)) look(`${path}.`, groupAt(config, path));
      else if (!USED.has(path) && isSet(value))
        problems.push(`${path}: does not apply to a program`);
    }
  };
  look('', config);
  return problems.sort();
}

function isSet(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  const record = toRecord(value);
  if (record !== undefined) return Object.values(record).some(isSet);
  return ![undefined, null, '', 0, false, '0s'].includes(value as null);
}

function isOn(group: Json, prefix: string): boolean {
  return booleanAt(group, 'masqueradeAll', prefix) ?? false;
}

function booleanAt(group: Json, name: string, prefix: string): boolean | undefined {
  const value = group[name] ?? undefined;
  return value === undefined || typeof value === 'boolean'
    ? value
    : wrong(prefix + name, value, 'true or false');
}

function groupAt(config: Json, name: string): Json {
  const value = config[name] ?? {};
  return toRecord(value) ?? wrong(name, value, 'an object');
}

function stringAt(group: Json, name: string, prefix = ''): string | undefined {
  const value = group[name] ?? undefined;
  return value === undefined || typeof value === 'string'
    ? value
    : wrong(prefix + name, value, 'text');
}

function listAt(group: Json, name: string, prefix = ''): readonly string[] {
  const value = group[name] ?? [];
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
    ? value
    : wrong(prefix + name, value, 'a list of text');
}

function wrong(field: string, value: unknown, right: string): never {
  throw new WrongUse(`${field}: ${show(value)} is not ${right}`);
}

function toRecord(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : undefined;
}
