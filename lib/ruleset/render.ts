// Rules as text for whoever restores it by hand: our chains whole, and the ways into them, as for a host that has neither.
import type { IptablesProgram } from '../iptables/types';
import type { Family, VirtualServer } from '../model';
import { atOnce, type Work } from '../turns';
import { Comparison, difference, restoreText, type Wanted } from './difference';
import { ownerChain } from './host';
import { toBackendSettings, toPlace, type IptablesBackendOptions } from './options';
import { OWNER as KUBE_OWNER } from './node';
import { ServerRules, wantedOf } from './servers';

export interface RenderedRules {
  /** Input of `iptables-restore --noflush` and `ip6tables-restore --noflush`. */
  readonly rules: Readonly<Partial<Record<Family, string>>>;
  readonly problems: readonly string[];
}

/** Virtual servers as an IptablesBackend would write them. Throws IpvsError. */
export function renderServers(
  servers: readonly VirtualServer[],
  options: IptablesBackendOptions,
): RenderedRules {
  const settings = toBackendSettings(options);
  const rules = new ServerRules(settings);
  const read = atOnce(rules.read(servers));
  return {
    rules: texts(settings, (family) => rules.wanted(read, family)),
    problems: read.problems,
  };
}

/** A program as an IptablesNode would write it. */
export function renderProgram(program: IptablesProgram, prefix: string): RenderedRules {
  const families = Object.keys(program.rules) as Family[];
  const more = new Map([ownerChain(prefix, KUBE_OWNER)]);
  return {
    rules: texts(toPlace({ prefix, families }), (family) => wantedOf(program, family, more)),
    problems: program.problems,
  };
}

function texts(
  { families, isOurs }: ReturnType<typeof toPlace>,
  wanted: (family: Family) => Work<Wanted>,
): Readonly<Partial<Record<Family, string>>> {
  return Object.fromEntries(
    families.flatMap((family) => {
      const goal = atOnce(wanted(family));
      const text = atOnce(
        restoreText(atOnce(difference(goal, new Map(), isOurs, new Comparison()))),
      );
      return text === '' ? [] : [[family, text]];
    }),
  );
}
