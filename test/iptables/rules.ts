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
    if (name !== '') table = all[name] ??= {};
    else if (line !== 'COMMIT') restoreLine(line, table);
  }
  for (const chains of Object.values(all)) dangling(chains);
  return all;
}

function restoreLine(line: string, table: Record<string, string[]>): void {
  const [, declared] = /^:(\S+) - \[0:0\]$/.exec(line) ?? [];
  if (declared !== undefined) {
    table[declared] = [];
    return;
  }
  const [, command, chain = '', rest = ''] = /^-([ADIX]) (\S+)(?: (.+))?$/.exec(line) ?? [];
  const rules = table[chain];
  if (rules === undefined) throw new Error(`no line, or no chain for it: ${line}`);
  const [, number = '', inserted = ''] = /^(\d+) (.+)$/.exec(rest) ?? [];
  if (command === 'X') remove(table, chain);
  else if (command === 'A' && rest !== '') rules.push(rest);
  else if (command === 'D') removeRule(rules, rest);
  else if (command === 'I' && Number(number) >= 1 && Number(number) <= rules.length + 1) {
    rules.splice(Number(number) - 1, 0, inserted);
  } else throw new Error(`not to be done: ${line}`);
}

// The first that is just that one.
function removeRule(rules: string[], rule: string): void {
  const at = rules.indexOf(rule);
  if (at < 0) throw new Error(`no such rule: ${rule}`);
  rules.splice(at, 1);
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
