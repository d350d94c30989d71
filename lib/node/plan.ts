// What must be done to a node so that it is as a program says. Pure; printed by a dry run, carried out by apply.ts.
import { createHash } from 'node:crypto';
import { serviceId } from '../id';
import { contains, type Cidr } from '../kube/cidr';
import type { NodeProgram } from '../kube/types';
import type { Family, ServiceKey } from '../model';
import { plan, type Plan } from '../plan';
import type { Work } from '../turns';
import { planAddresses, type AddressPlan } from './addresses';
import { drainsOf, mayDrain, type Drain } from './drains';
import type { Observed } from './observe';
import type { NodeRecord, RulesRecord } from './record';
import { chainsOf, fingerprint, missingJumps, withJumps } from './rules';
import { planningSets, type SetPlan } from './sets';
import { planSysctls, type Setting, type SettingChange } from './sysctls';
import type { Variant } from './variant';

export interface NodePlanInput {
  readonly program: NodeProgram;
  readonly observed: Observed;
  readonly record: NodeRecord;
  readonly device: string;
  readonly settings: readonly Setting[];
  /** Ranges of virtual addresses that are ours, whoever made the services. */
  readonly managed: readonly Cidr[];
  /** Ranges whose services are never touched. */
  readonly excluded: readonly Cidr[];
  /** Longest time that a destination drains, in milliseconds; 0 for not at all. */
  readonly drain: number;
  /** Milliseconds since the machine started. */
  readonly now: number;
}

/** Rules to be written in one restore. */
export interface RulesChange {
  readonly family: Family;
  readonly variant: Variant;
  readonly text: string;
  readonly record: RulesRecord;
  /** Why, such as `the program changed`. */
  readonly reason: string;
}

export interface NodePlan {
  /** Whether the device must be made. */
  readonly makesDevice: boolean;
  /** Its index; 0 while it does not exist. */
  readonly link: number;
  readonly settings: readonly SettingChange[];
  readonly addresses: AddressPlan;
  readonly sets: SetPlan;
  readonly rules: readonly RulesChange[];
  readonly servers: Plan;
  /** Destinations that drain from now on, or still do. */
  readonly drains: readonly Drain[];
  /** Whether some of them begin to. */
  readonly beginsDraining: boolean;
  readonly problems: readonly string[];
  readonly empty: boolean;
}

/** As work to be done in turns: each part of a large cluster takes tens of milliseconds. */
export function* planningNode(input: NodePlanInput): Work<NodePlan> {
  const { program, observed, device, record } = input;
  const link = observed.links.find(({ name }) => name === device);
  const problems: string[] = [];
  if (link !== undefined && link.kind !== 'dummy')
    problems.push(
      `${device} is not a dummy device: name another one, or delete it: ip link delete ${device}`,
    );

  const addresses = planAddresses(program.addresses, observed.addresses, link?.index ?? 0);
  yield;
  const sets = yield* planningSets(program.sets, observed.sets);
  const settings = planSysctls(input.settings, (path) => observed.settings.get(path));
  const rules = planRules(input, problems);
  yield;
  const draining = {
    wanted: program.servers,
    endless: endlessMarks(program),
    before: record.draining,
    limit: input.drain,
    now: input.now,
  };
  const servers = plan(program.servers, observed.servers, {
    owns: ownership(input),
    drain: mayDrain(draining),
  });
  yield;
  const drains = drainsOf(servers.draining, draining);
  for (const { service } of servers.conflicts)
    problems.push(
      `${serviceId(service)} is another program's: it stays as it is; delete it, or name its range as managed`,
    );
  problems.push(...sets.problems, ...settings.problems);
  return {
    makesDevice: link === undefined,
    link: link?.index ?? 0,
    settings: settings.changes,
    addresses,
    sets,
    rules,
    servers,
    drains,
    beginsDraining: drains.some(({ since }) => since === input.now),
    problems,
    empty:
      link !== undefined &&
      servers.empty &&
      drains === record.draining &&
      [settings.changes, addresses.add, addresses.remove, sets.grow, sets.shrink, rules].every(
        (list) => list.length === 0,
      ),
  };
}

/** Ours are the services that we recorded, those on our device, and those in managed ranges; never the excluded ones. */
function ownership({
  observed,
  record,
  device,
  managed,
  excluded,
}: NodePlanInput): (service: ServiceKey) => boolean {
  const link = observed.links.find(({ name }) => name === device)?.index;
  const ofDevice = observed.addresses.filter((one) => one.link === link);
  const bound = new Set(ofDevice.map(({ address }) => address));
  // Made when it is needed: most services are at an address of the device.
  let recorded: ReadonlySet<string> | undefined;
  const isRecorded = (service: ServiceKey): boolean => {
    recorded ??= new Set(record.services.map((key) => serviceId(key)));
    return recorded.has(serviceId(service));
  };
  return (service) => {
    if ('fwmark' in service) return isRecorded(service);
    if (excluded.some((range) => contains(range, service.address))) return false;
    return (
      bound.has(service.address) ||
      managed.some((range) => contains(range, service.address)) ||
      isRecorded(service)
    );
  };
}

// What comes by firewall mark is of the protocol of the entries that make the mark.
function endlessMarks({ sets }: NodeProgram): ReadonlySet<number> {
  const marks = new Set<number>();
  for (const { create, entries } of sets.values()) {
    if (!create.includes('skbinfo')) continue;
    for (const entry of entries) {
      const mark = /,(?:udp|sctp):.* skbmark (0x[0-9a-f]+)/.exec(entry)?.[1];
      if (mark !== undefined) marks.add(Number(mark));
    }
  }
  return marks;
}

function planRules(
  { program, observed, record }: NodePlanInput,
  problems: string[],
): RulesChange[] {
  const changes: RulesChange[] = [];
  for (const [family, found] of observed.rules) {
    const text = program.rules[family];
    if (text === undefined) continue;
    if (found.warning !== undefined) problems.push(found.warning);
    const chains = chainsOf(text);
    const missing = missingJumps(program.jumps, found.saved);
    const before = record.rules[family];
    const now = {
      chains: [...chains].map(([table, names]) => [table, [...names]] as const),
      variant: found.variant,
      program: digest(text),
      kernel: fingerprint(chains, found.saved),
    };
    const reason = whyRules(before, now, missing.length);
    if (reason === undefined) continue;
    changes.push({
      family,
      variant: found.variant,
      text: withJumps(text, missing),
      record: now,
      reason,
    });
  }
  return changes;
}

function whyRules(
  before: RulesRecord | undefined,
  now: RulesRecord,
  missing: number,
): string | undefined {
  if (before === undefined) return 'first time';
  if (before.program !== now.program) return 'the program changed';
  if (before.kernel !== now.kernel) return 'somebody changed the rules';
  if (missing > 0) return 'somebody removed the jumps to them';
  return undefined;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
