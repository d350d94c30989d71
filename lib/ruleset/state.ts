// What virtual servers were asked for, kept where their rules are: a chain for each, which nothing leads to, with a comment
// for the service and one for each destination, in ipvsadm's words. Rules alone cannot tell: 5:3 and 10:6 are the same
// chance, and a scheduler that rules only come near to is still the one that was asked for. So a process that has only begun,
// and a restore that was refused, find what is so; and no file can get lost.
import { IpvsError } from '../errors';
import { serviceId } from '../id';
import { digest } from '../iptables/names';
import { parseIpvsadm } from '../ipvsadm/parse';
import { changeArgs } from '../ipvsadm-args';
import type { ServiceKey, VirtualServer } from '../model';
import type { Work } from '../turns';
import { sameLines, type Chains } from './difference';

const LINE = /-m comment --comment "(-[Aa] [^"]*)"$/;

/** The chain that keeps what a service was asked for. */
export function stateChain(prefix: string, key: ServiceKey): string {
  return `${prefix}-VS-${digest(serviceId(key))}`;
}

/** The rules of that chain. */
export function stateRules(prefix: string, server: VirtualServer): readonly string[] {
  const { destinations, ...service } = server;
  const rule = (line: string): string =>
    `-A ${stateChain(prefix, service)} -m comment --comment "${line}"`;
  return [
    rule(changeArgs({ op: 'addService', service })),
    ...destinations.map((destination) =>
      rule(changeArgs({ op: 'addDestination', service, destination })),
    ),
  ];
}

/** What chains kept when they were last read, so that one that says the same is the very same server. */
export type Records = ReadonlyMap<
  string,
  { readonly rules: readonly string[]; readonly server: VirtualServer }
>;

/** What the chains of a table keep. One that somebody edited so that it cannot be read keeps nothing. */
export function* recordedServers(
  prefix: string,
  chains: Chains,
  before: Records = new Map(),
): Work<Records> {
  const records = new Map<string, { rules: readonly string[]; server: VirtualServer }>();
  for (const [chain, rules] of chains) {
    yield;
    if (!chain.startsWith(`${prefix}-VS-`)) continue;
    const known = before.get(chain);
    if (known !== undefined && (yield* sameLines(known.rules, rules))) {
      records.set(chain, known);
      continue;
    }
    const server = readServer(rules);
    if (server === undefined || stateChain(prefix, server) !== chain) continue;
    records.set(chain, { rules, server });
  }
  return records;
}

function readServer(rules: readonly string[]): VirtualServer | undefined {
  const lines = rules.map((rule) => LINE.exec(rule)?.[1]);
  if (lines.includes(undefined)) return undefined;
  try {
    const { services } = parseIpvsadm(lines.join('\n'));
    return services.length === 1 ? services[0] : undefined;
  } catch (error) {
    if (error instanceof IpvsError) return undefined;
    throw error;
  }
}
