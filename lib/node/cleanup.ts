// Takes back what was done to a node, and puts its settings back as they were.
import type { Family } from '../model';
import type { NodeStep } from './apply';
import type { NodeSystem, Observed } from './observe';
import { deleteRecord, type KeptRecord, type NodeRecord, type RulesRecord } from './record';
import { removal } from './rules';
import { serviceId } from '../id';
import { programsOf } from './variant';

/** The steps that leave the node as it was, from the traffic inwards. What is gone already needs none. */
export function cleanupSteps(
  system: NodeSystem,
  observed: Observed,
  { record, file }: KeptRecord,
): NodeStep[] {
  const steps: NodeStep[] = [];
  const add = (name: string, run: () => Promise<void>) => steps.push({ name, run });

  removeRules(system, observed, record, add);
  removeServices(system, observed, record, add);
  removeAddresses(system, observed, record, add);

  const sets = record.sets.filter((name) => observed.sets.has(name));
  if (sets.length > 0)
    add(`destroy ${sets.length} ip sets`, async () => {
      await system.tools.run(
        'ipset',
        ['restore'],
        `${sets.map((name) => `destroy ${name}`).join('\n')}\n`,
      );
    });
  const settings = Object.entries(record.sysctls).map(([path, value]) => ({ path, value }));
  if (settings.length > 0)
    add(`put ${settings.length} kernel settings back`, () => system.sysctls.write(settings));
  add('forget the record', () => deleteRecord(file));
  return steps;
}

type Add = (name: string, run: () => Promise<void>) => void;

function removeRules(
  { tools }: NodeSystem,
  observed: Observed,
  record: NodeRecord,
  add: Add,
): void {
  for (const [family, rules] of Object.entries(record.rules) as [Family, RulesRecord][]) {
    const chains = new Map(rules.chains.map(([table, names]) => [table, new Set(names)] as const));
    const saved = observed.rules.get(family)?.saved;
    const text = saved === undefined ? '' : removal(chains, saved);
    if (text === '') continue;
    add(`remove ${family} rules`, async () => {
      await tools.run(programsOf(family, rules.variant).restore, ['-w', '5', '--noflush'], text);
    });
  }
}

function removeServices(
  { ipvs }: NodeSystem,
  observed: Observed,
  record: NodeRecord,
  add: Add,
): void {
  const there = new Set(observed.servers.map((server) => serviceId(server)));
  const services = record.services.filter((key) => there.has(serviceId(key)));
  if (services.length === 0) return;
  add(`delete ${services.length} virtual services`, async () => {
    const outcomes = await ipvs.apply(
      services.map((service) => ({ op: 'deleteService', service })),
      { onError: 'continue' },
    );
    const failed = outcomes.find(({ error }) => error !== undefined && error.code !== 'ESRCH');
    if (failed?.error !== undefined) throw failed.error;
  });
}

function removeAddresses(
  { links }: NodeSystem,
  observed: Observed,
  record: NodeRecord,
  add: Add,
): void {
  const device = observed.links.find(({ name }) => name === record.device?.name);
  if (device === undefined) return;
  if (record.device?.made === true) {
    add(`delete ${device.name}`, () => links.deleteLink(device.index));
    return;
  }
  const ours = new Set(record.addresses);
  const changes = observed.addresses
    .filter(({ link, address }) => link === device.index && ours.has(address))
    .map(({ address }) => ({ op: 'remove' as const, link: device.index, address }));
  if (changes.length > 0)
    add(`unbind ${changes.length} addresses`, async () => {
      await links.changeAddresses(changes);
    });
}
