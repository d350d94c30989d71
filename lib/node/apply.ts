// Carries out what was planned for a node, in an order in which traffic has no gap: what is needed comes before what needs
// it, and nothing is taken away before the new is in place.
import { applyPlan } from '../converge';
import { IpvsError } from '../errors';
import type { NodeProgram } from '../kube/types';
import type { Drainage } from './drainage';
import { Journal } from './journal';
import type { NodeSystem } from './observe';
import type { NodePlan, RulesChange } from './plan';
import type { KeptRecord } from './record';
import { fingerprint } from './rules';
import { restoreRules } from './variant';

/** One part of the work, in words, such as `ip sets: 12 added`. */
export interface NodeStep {
  readonly name: string;
  run(): Promise<void>;
}

/**
 * What was done when a step failed. What is done stays, is consistent, and is on record: applying again completes it,
 * clean-up takes it back.
 * @public
 */
export class NodeError extends IpvsError {
  readonly done: readonly string[];
  readonly failed: string;
  readonly notTried: readonly string[];

  /** @internal */
  constructor(steps: readonly NodeStep[], at: number, cause: unknown) {
    const failed = steps[at]?.name ?? '';
    const why = cause instanceof Error ? cause.message : String(cause);
    const done = steps.slice(0, at).map(({ name }) => name);
    const notTried = steps.slice(at + 1).map(({ name }) => name);
    super(
      `node: ${failed}: ${why} (done: ${done.join(', ') || 'nothing'}; not tried: ${notTried.join(', ') || 'nothing'})`,
      {
        code: cause instanceof IpvsError ? cause.code : 'ERR_IPVS_NODE',
        operation: 'node',
        cause,
      },
    );
    this.done = done;
    this.failed = failed;
    this.notTried = notTried;
  }
}

/** Runs steps in order, up to the first that fails. */
export async function runSteps(steps: readonly NodeStep[], signal?: AbortSignal): Promise<void> {
  for (const [at, step] of steps.entries()) {
    try {
      signal?.throwIfAborted();
      await step.run();
    } catch (error) {
      throw new NodeError(steps, at, error);
    }
  }
}

export interface NodeWork {
  readonly plan: NodePlan;
  readonly program: NodeProgram;
  readonly system: NodeSystem;
  readonly device: string;
  readonly kept: KeptRecord;
  readonly drainage: Drainage;
}

/** The steps of a plan; those with nothing to do are left out. An empty plan has none. */
export function stepsOf(work: NodeWork): NodeStep[] {
  const { plan, system, device, drainage } = work;
  const journal = new Journal(work);
  const waiting = drainage.waits && {
    name: `wait until ${plan.drains.length} destinations have drained`,
    run: () => drainage.wait(() => journal.drained(drainage.left)),
  };
  if (plan.empty) return waiting === false ? [] : [waiting];
  const { addresses, sets, servers } = plan;
  let link = plan.link;
  const steps: (NodeStep | false)[] = [
    { name: 'record', run: () => journal.begin() },
    plan.makesDevice && {
      name: `device ${device}`,
      run: async () => {
        await system.links.addDummy(device);
        link = (await system.links.links()).find(({ name }) => name === device)?.index ?? 0;
      },
    },
    plan.settings.length > 0 && {
      name: `${plan.settings.length} kernel settings`,
      run: () => system.sysctls.write(plan.settings),
    },
    restoreSets('ip sets: add', sets.grow, system),
    ...plan.rules.map((change) => ({
      name: `${change.family} rules`,
      run: () => writeRules(change, system, journal),
    })),
    !servers.empty && {
      name: `${servers.changes.length} changes of virtual services`,
      run: async () => {
        const { outcomes, restored } = await applyPlan(system.ipvs, servers);
        throwFirst(
          [...outcomes, ...restored].flatMap(({ error }) => error ?? []),
          outcomes.length,
        );
      },
    },
    addresses.add.length > 0 && {
      name: `bind ${addresses.add.length} addresses`,
      run: () => change('add', addresses.add),
    },
    addresses.remove.length > 0 && {
      name: `unbind ${addresses.remove.length} addresses`,
      run: () => change('remove', addresses.remove),
    },
    restoreSets('ip sets: delete', sets.shrink, system),
    plan.beginsDraining && {
      name: `drain ${plan.drains.length} destinations`,
      run: () => drainage.sweep(),
    },
    { name: 'final record', run: () => journal.end(drainage.left) },
    waiting,
  ];
  return steps.filter((step) => step !== false);

  async function change(op: 'add' | 'remove', list: readonly string[]): Promise<void> {
    const outcomes = await system.links.changeAddresses(
      list.map((address) => ({ op, link, address })),
    );
    throwFirst(
      outcomes.flatMap(({ error }) => error ?? []),
      list.length,
    );
  }
}

function throwFirst(errors: readonly IpvsError[], count: number): void {
  const [first] = errors;
  if (first === undefined) return;
  if (errors.length === 1) throw first;
  throw new IpvsError(`${errors.length} of ${count} failed, the first: ${first.message}`, {
    code: first.code,
    operation: first.operation,
    cause: first,
  });
}

function restoreSets(name: string, lines: readonly string[], { tools }: NodeSystem) {
  if (lines.length === 0) return false;
  return {
    name: `${name} ${lines.length} lines`,
    // `-exist`: what somebody else did meanwhile is as good as done.
    run: async () => {
      await tools.run('ipset', ['-exist', 'restore'], `${lines.join('\n')}\n`);
    },
  };
}

async function writeRules(
  change: RulesChange,
  system: NodeSystem,
  journal: Journal,
): Promise<void> {
  const { family, text, record: planned } = change;
  const { tools } = system;
  const variant = await restoreRules(tools, family, change.variant, text);
  const { saved } = await system.rules.find(tools, family, variant);
  const chains = new Map(planned.chains.map(([table, names]) => [table, new Set(names)] as const));
  journal.rules(family, { ...planned, variant, kernel: fingerprint(chains, saved) });
}
