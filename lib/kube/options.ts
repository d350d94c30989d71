// How a program is to be made, checked, with every default filled in.
import { InvalidInput, show } from '../errors';
import type { Family, SchedulerFlag } from '../model';
import { onlyNames, toFullService } from '../settings';
import type { Cidr } from './cidr';
import { toCidrs } from './node';
import { toRecord, type Json } from './read';

export interface FullOptions {
  readonly scheduler: string;
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly masqueradeAll: boolean;
  readonly detect: Readonly<Partial<Record<Family, LocalMatch>>>;
  readonly masqueradeBit: number;
  readonly randomFully: boolean;
  readonly excludeCIDRs: readonly Cidr[];
  readonly families: readonly Family[];
  readonly reject: boolean;
  readonly externalLocal: 'shared' | 'separate';
  readonly icmpEcho: boolean;
}

/** Arguments of a rule that tell traffic of the node's own pods from the rest. @public */
export interface LocalMatch {
  readonly local: string;
  readonly notLocal: string;
}

const NAMES = [
  'scheduler',
  'masqueradeAll',
  'clusterCIDRs',
  'detectLocal',
  'masqueradeBit',
  'randomFully',
  'excludeCIDRs',
  'families',
  'reject',
  'externalLocal',
  'icmpEcho',
];

/** Checks options of a program. Throws InvalidInput. */
export function toOptions(value: unknown): FullOptions {
  const options = toRecord(value);
  if (options === undefined) throw new InvalidInput(`options: ${show(value)} is not an object`);
  onlyNames('program', options, NAMES);
  const { masqueradeBit = 14, externalLocal = 'shared', scheduler = 'rr' } = options;
  if (!Number.isInteger(masqueradeBit) || Number(masqueradeBit) < 0 || Number(masqueradeBit) > 31) {
    throw new InvalidInput(`masqueradeBit: ${show(masqueradeBit)} is not from 0 to 31`);
  }
  if (externalLocal !== 'shared' && externalLocal !== 'separate') {
    throw new InvalidInput(
      `externalLocal: ${show(externalLocal)} is neither 'shared' nor 'separate'`,
    );
  }
  return {
    ...settled(scheduler),
    masqueradeAll: booleanOf(options, 'masqueradeAll', false),
    detect: detectors(options),
    masqueradeBit: Number(masqueradeBit),
    randomFully: booleanOf(options, 'randomFully', true),
    excludeCIDRs: toCidrs('excludeCIDRs', options['excludeCIDRs'] ?? []),
    families: toFamilies(options['families'] ?? ['ipv4', 'ipv6']),
    reject: booleanOf(options, 'reject', true),
    externalLocal,
    icmpEcho: booleanOf(options, 'icmpEcho', false),
  };
}

/** A scheduler with the flags that go with it: kube-proxy has mh take the port into account. */
export function settled(
  name: unknown,
  flags: readonly SchedulerFlag[] = name === 'mh' ? ['port'] : [],
): { readonly scheduler: string; readonly schedulerFlags: readonly SchedulerFlag[] } {
  const service = { protocol: 'tcp', address: '192.0.2.1', port: 1 };
  const { scheduler, schedulerFlags } = toFullService({
    ...service,
    scheduler: name,
    schedulerFlags: flags,
  });
  return { scheduler, schedulerFlags };
}

function booleanOf(options: Json, name: string, absent: boolean): boolean {
  const value = options[name] ?? absent;
  if (typeof value === 'boolean') return value;
  throw new InvalidInput(`${name}: ${show(value)} is not a boolean: use true or false`);
}

function toFamilies(value: unknown): readonly Family[] {
  const known: readonly Family[] = ['ipv4', 'ipv6'];
  const given: readonly unknown[] = Array.isArray(value) ? value : [];
  if (given.length === 0 || given.some((each) => !(known as readonly unknown[]).includes(each))) {
    throw new InvalidInput(`families: use ['ipv4'], ['ipv6'] or both`);
  }
  return known.filter((family) => given.includes(family));
}

function detectors(options: Json): Readonly<Partial<Record<Family, LocalMatch>>> {
  const { clusterCIDRs, detectLocal } = options;
  if (clusterCIDRs !== undefined && detectLocal !== undefined) {
    throw new InvalidInput('clusterCIDRs: is short for detectLocal.cidrs: leave one of them out');
  }
  const detector = clusterCIDRs === undefined ? detectLocal : { cidrs: clusterCIDRs };
  return detector === undefined ? {} : localMatches(detector);
}

/** The match of each family; none where the detector has nothing for it. Throws InvalidInput. */
export function localMatches(detector: unknown): Readonly<Partial<Record<Family, LocalMatch>>> {
  const given = toRecord(detector);
  if (given === undefined)
    throw new InvalidInput(`detectLocal: ${show(detector)} is not an object`);
  onlyNames('detectLocal', given, ['cidrs', 'bridgeInterface', 'interfaceNamePrefix']);
  const { cidrs, bridgeInterface, interfaceNamePrefix } = given;
  const ways = [cidrs, bridgeInterface, interfaceNamePrefix].filter((way) => way !== undefined);
  if (ways.length !== 1) {
    throw new InvalidInput('detectLocal: give one of cidrs, bridgeInterface, interfaceNamePrefix');
  }
  if (cidrs === undefined) {
    const name =
      bridgeInterface === undefined
        ? `${toInterface('interfaceNamePrefix', interfaceNamePrefix)}+`
        : toInterface('bridgeInterface', bridgeInterface);
    const match = { local: `-i ${name}`, notLocal: `! -i ${name}` };
    return { ipv4: match, ipv6: match };
  }
  const matches: Partial<Record<Family, LocalMatch>> = {};
  for (const { family, text } of toCidrs('clusterCIDRs', cidrs)) {
    matches[family] ??= { local: `-s ${text}`, notLocal: `! -s ${text}` };
  }
  return matches;
}

// It becomes a word of a restore line.
function toInterface(what: string, value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z0-9][-A-Za-z0-9_.@:]{0,14}$/.test(value)) return value;
  throw new InvalidInput(`detectLocal.${what}: ${show(value)} is no interface name`);
}
