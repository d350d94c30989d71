// What is said about rules on a host, checked.
import { InvalidInput, show } from '../errors';
import { toPrefix } from '../iptables/names';
import type { FromServersOptions, IptablesProgramOptions } from '../iptables/types';
import type { Family } from '../model';
import { toNamespacePath } from '../namespace';
import { onlyNames } from '../settings';
import { ownership } from './difference';
import type { Access } from './family';

/** Where rules go, and under which names. @public */
export interface RulesOptions {
  /** A name under /run/netns, or a path. @defaultValue the caller's */
  readonly netns?: string;
  /**
   * What the names of our chains begin with: up to 7 capital letters and digits. Every chain of that name is ours, whoever
   * made it. @defaultValue `'IPVS'`, which lives beside kube-proxy's `KUBE`
   */
  readonly prefix?: string;
  /** @defaultValue both; one that the kernel does not have does no harm as long as nothing is wanted of it */
  readonly families?: readonly Family[];
  /** Which iptables. @defaultValue the one that has our chains, else the one that has rules, else `'nft'` where it works */
  readonly variant?: 'nft' | 'legacy';
}

/** How to serve virtual servers by iptables. @public */
export interface IptablesBackendOptions
  extends
    RulesOptions,
    FromServersOptions,
    Pick<
      IptablesProgramOptions,
      | 'masqueradeAll'
      | 'clusterCIDRs'
      | 'detectLocal'
      | 'masqueradeBit'
      | 'randomFully'
      | 'conntrackLiberal'
    > {}

export const RULES_OPTIONS = ['netns', 'prefix', 'families', 'variant'];
const PROGRAM_OPTIONS = [
  'masqueradeAll',
  'clusterCIDRs',
  'detectLocal',
  'masqueradeBit',
  'randomFully',
  'conntrackLiberal',
];
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** Where rules go, checked. */
export interface Place extends Access {
  readonly netns: string;
  readonly prefix: string;
  readonly families: readonly Family[];
}

/** Throws InvalidInput. */
export function toPlace(options: RulesOptions): Place {
  const { netns, prefix = 'IPVS', families = FAMILIES, variant } = options;
  const isFamily = (family: unknown): boolean => FAMILIES.some((each) => each === family);
  if (!Array.isArray(families) || !families.every(isFamily)) {
    throw new InvalidInput(`families: ${show(families)}: give a list of 'ipv4' and 'ipv6'`);
  }
  if (variant !== undefined && !['nft', 'legacy'].includes(variant)) {
    throw new InvalidInput(`variant: ${show(variant)} is neither: use 'nft' or 'legacy'`);
  }
  return {
    netns: toNamespacePath(netns),
    prefix: toPrefix(prefix),
    families: FAMILIES.filter((family) => families.includes(family)),
    variant,
    isOurs: ownership(toPrefix(prefix)),
  };
}

/** Kube-proxy and kubelet have 14 and 15. */
const MASQUERADE_BIT = 13;

/** A place, and how servers become rules there. Throws InvalidInput. */
export interface BackendSettings extends Place {
  readonly unsupported: NonNullable<FromServersOptions['unsupported']>;
  readonly program: IptablesProgramOptions;
}

export function toBackendSettings(options: IptablesBackendOptions): BackendSettings {
  onlyNames('iptables backend', { ...options }, [
    ...RULES_OPTIONS,
    'unsupported',
    ...PROGRAM_OPTIONS,
  ]);
  const place = toPlace(options);
  const { prefix, families } = place;
  if (prefix === 'KUBE') {
    throw new InvalidInput(
      "prefix: KUBE is what kube-proxy's chains begin with, and virtual servers would take their place: use another",
    );
  }
  const { unsupported = 'refuse' } = options;
  if (!['refuse', 'approximate'].includes(unsupported)) {
    throw new InvalidInput(
      `unsupported: ${show(unsupported)} is neither: use 'refuse' or 'approximate'`,
    );
  }
  const given = Object.entries(options).filter(
    ([name, value]) => PROGRAM_OPTIONS.includes(name) && value !== undefined,
  );
  const program = {
    masqueradeBit: MASQUERADE_BIT,
    ...Object.fromEntries(given),
    prefix,
    families,
    // Servers have no node ports.
    localhostNodePorts: false,
  };
  return { ...place, unsupported, program };
}
