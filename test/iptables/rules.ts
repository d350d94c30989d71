// Restore text taken apart, for the tests of the iptables writer.
import type { NodeView, ServiceMap } from '../../lib/kube';
import { iptablesProgram, type IptablesProgramOptions } from '../../lib/iptables';
import { mapOf, node } from '../kube/objects';

/** Chains of each table with their rules, without the leading `-A CHAIN`. */
export type Ruleset = Record<string, Record<string, string[]>>;

/** What a text says when it is restored over what was there, as `iptables-restore --noflush` does it. */
export function restore(text: string, before: Ruleset = {}): Ruleset {
  const all = structuredClone(before);
  let table: Record<string, string[]> = {};
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, name = ''] = /^\*(\w+)$/.exec(line) ?? [];
    const [, declared] = /^:(\S+) - \[0:0\]$/.exec(line) ?? [];
    const [, chain = '', rule = ''] = /^-A (\S+) (.+)$/.exec(line) ?? [];
    const [, gone] = /^-X (\S+)$/.exec(line) ?? [];
    if (name !== '') table = all[name] ??= {};
    else if (declared !== undefined) table[declared] = [];
    else if (gone !== undefined) remove(table, gone);
    else if (chain !== '') {
      if (table[chain] === undefined) throw new Error(`no chain for: ${line}`);
      table[chain].push(rule);
    } else if (line !== 'COMMIT') throw new Error(`not a line: ${line}`);
  }
  for (const chains of Object.values(all)) dangling(chains);
  return all;
}

// As the kernel does: only an empty chain that nothing leads to.
function remove(table: Record<string, string[]>, chain: string): void {
  if (table[chain]?.length !== 0) throw new Error(`not an empty chain: ${chain}`);
  Reflect.deleteProperty(table, chain);
}

const BUILT_IN = ['ACCEPT', 'DROP', 'REJECT', 'RETURN', 'MARK', 'MASQUERADE', 'DNAT'];

function dangling(chains: Record<string, string[]>): void {
  for (const rule of Object.values(chains).flat()) {
    const [, target = 'RETURN'] = / ?-j (\S+)/.exec(rule) ?? [];
    if (!BUILT_IN.includes(target) && chains[target] === undefined) {
      throw new Error(`leads nowhere: ${rule}`);
    }
  }
}

/** The IPv4 rules of a map. */
export function rulesOf(
  map: ServiceMap,
  options: IptablesProgramOptions = { clusterCIDRs: ['10.0.0.0/8'] },
  view: NodeView = node,
): Ruleset {
  return restore(iptablesProgram(map, view, options).rules.ipv4 ?? '');
}

/** The IPv4 rules for services and slices. */
export function rulesFor(...objects: readonly unknown[]): Ruleset {
  return rulesOf(mapOf(...objects));
}

/** The rules of the one nat chain of a kind, such as `SVC`. */
export function chain(rules: Ruleset, kind: string): readonly string[] | undefined {
  const found = Object.entries(rules['nat'] ?? {}).filter(([name]) =>
    name.startsWith(`KUBE-${kind}-`),
  );
  if (found.length > 1) throw new Error(found.map(([name]) => name).join());
  return found[0]?.[1];
}
