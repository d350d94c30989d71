// The record of a node while a plan is carried out: always ahead of what is done, so that nothing is ever left behind
// without an owner.
import { IpvsError } from '../errors';
import { serviceId, serviceKey } from '../id';
import type { NodeProgram } from '../kube/types';
import type { Family, ServiceKey } from '../model';
import { drainId, type Drain } from './drains';
import type { NodePlan } from './plan';
import {
  readRecord,
  readText,
  writeRecord,
  type KeptRecord,
  type NodeRecord,
  type RulesRecord,
} from './record';

/** What the record is about. */
export interface JournalWork {
  readonly plan: NodePlan;
  readonly program: NodeProgram;
  readonly device: string;
  readonly kept: KeptRecord;
}

export class Journal {
  readonly #work: JournalWork;
  #wanted: readonly ServiceKey[] | undefined;
  #record: NodeRecord;

  constructor(work: JournalWork) {
    this.#work = work;
    this.#record = work.kept.record;
  }

  // Not before something is to be written: mostly nothing is.
  get #services(): readonly ServiceKey[] {
    return (this.#wanted ??= servicesOf(this.#work));
  }

  /** Everything that is about to become ours, beside what is ours already. */
  async begin(): Promise<void> {
    const { plan, device, kept } = this.#work;
    await refuseChanged(kept);
    const before = this.#record;
    const sysctls = { ...before.sysctls };
    for (const { path, before: value } of plan.settings) sysctls[path] ??= value;
    const rules = { ...before.rules };
    for (const { family, record } of plan.rules)
      rules[family] = { ...record, program: '', kernel: '' };
    const services = new Map(
      [...before.services, ...this.#services].map((key) => [serviceId(key), key] as const),
    );
    const made = plan.makesDevice || (before.device?.name === device && before.device.made);
    this.#record = {
      ...before,
      revision: before.revision + 1,
      device: { name: device, made },
      addresses: made ? [] : [...new Set([...before.addresses, ...plan.addresses.add])],
      sysctls,
      rules,
      services: [...services.values()],
      sets: [...new Set([...before.sets, ...createdSets(plan)])],
      draining: plan.drains,
    };
    await this.#write();
  }

  /** Rules that were written; on record with what comes next. */
  rules(family: Family, rules: RulesRecord): void {
    this.#record = { ...this.#record, rules: { ...this.#record.rules, [family]: rules } };
  }

  /** What is ours from now on. */
  async end(draining: readonly Drain[]): Promise<void> {
    const gone = new Set(this.#work.plan.addresses.remove);
    this.#record = {
      ...this.#record,
      addresses: this.#record.addresses.filter((address) => !gone.has(address)),
      services: this.#services,
      draining,
    };
    await this.#write();
  }

  /** Which of those that drained are left. Waiting takes long, so another call may have written meanwhile. */
  async drained(left: readonly Drain[]): Promise<void> {
    const { file, text, record } = await readRecord(this.#work.kept.file);
    const going = new Set(left.map(drainId));
    const watched = new Set(this.#work.plan.drains.map(drainId));
    const draining = record.draining.filter(
      (drain) => going.has(drainId(drain)) || !watched.has(drainId(drain)),
    );
    if (text !== undefined) await writeRecord(file, { ...record, draining });
  }

  #write(): Promise<void> {
    return writeRecord(this.#work.kept.file, this.#record);
  }
}

// A plan is shown, somebody thinks about it, and meanwhile another program puts something else here: what was shown is then
// not what would be done.
async function refuseChanged({ file, text }: KeptRecord): Promise<void> {
  if ((await readText(file)) === text) return;
  throw new IpvsError(
    `the record ${file} was changed while this was planned: another program is at work on the node; nothing was changed: try again`,
    { code: 'EAGAIN', operation: 'node' },
  );
}

/** Those of the program that are ours once it is on the node. */
function servicesOf({ plan, program }: JournalWork): readonly ServiceKey[] {
  const foreign = new Set(plan.servers.conflicts.map(({ service }) => serviceId(service)));
  return program.servers.map(keyOf).filter((key) => !foreign.has(serviceId(key)));
}

function keyOf(service: ServiceKey): ServiceKey {
  return serviceKey(
    'fwmark' in service
      ? { fwmark: service.fwmark, family: service.family }
      : { protocol: service.protocol, address: service.address, port: service.port },
  );
}

function createdSets(plan: NodePlan): string[] {
  return plan.sets.grow.flatMap((line) => /^create (\S+)/.exec(line)?.[1] ?? []);
}
