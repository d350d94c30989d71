// Desired state minus actual state: what to change, in which order. Pure: the same two states give the same plan, in
// whatever order they come.
import { InvalidInput, show } from './errors';
import { serviceId } from './id';
import { changeArgs } from './ipvsadm-args';
import type { Change, ServiceKey, VirtualServer } from './model';
import { serviceRank, sortBy } from './order';
import { arrange, type Arranged } from './plan/arrange';
import { toFullOptions, type FullOptions, type PlanOptions } from './plan/options';
import {
  toFound,
  type Found,
  refusal,
  stepsToAdd,
  stepsToChange,
  stepsToDelete,
  toWanted,
  type Draining,
  type ServerSteps,
  type Wanted,
} from './plan/servers';
import { lineOf, type Step } from './plan/text';

export type { ChangeKind, LeavingDestination, PlanOptions } from './plan/options';
export type { Draining } from './plan/servers';

/** A service that is wanted, is there in another form, and is not ours: it stays as it is. @public */
export interface Conflict {
  readonly service: ServiceKey;
  /** What it would take to make it the wanted one. */
  readonly changes: readonly Change[];
}

/** What a plan is as JSON. @public */
export interface PlanJson {
  readonly changes: readonly Change[];
  readonly withheld: readonly Change[];
  readonly conflicts: readonly Conflict[];
  readonly draining: readonly Draining[];
}

/** Changes that turn the actual state into the desired one, in an order that is safe for live traffic. @public */
export interface Plan extends Iterable<Change> {
  readonly changes: readonly Change[];
  /** Whether there is nothing to change. */
  readonly empty: boolean;
  /** Changes that `allow` forbids, or that must not happen without one it forbids. */
  readonly withheld: readonly Change[];
  readonly conflicts: readonly Conflict[];
  /** Destinations that wait for their connections to go, or begin to. */
  readonly draining: readonly Draining[];
  /** One line a change: `+` what is added, `~` what is edited, from what to what, `-` what goes. */
  toString(): string;
  toJSON(): PlanJson;
  /** One line a change, as `ipvsadm -R` takes them. */
  toIpvsadm(): string[];
}

/**
 * Plans how to get from `actual` to `desired`. Settings left out mean their defaults; what else the kernel tells of its
 * services and destinations is ignored. What can be edited is edited in place. Throws IpvsError `ERR_IPVS_INVALID`
 * where `desired` makes no sense.
 * @public
 */
export function plan(
  desired: Iterable<VirtualServer>,
  actual: Iterable<VirtualServer>,
  options: PlanOptions = {},
): Plan {
  const full = attempt(() => toFullOptions(options));
  const found = new Map<string, Found>();
  for (const server of toIterable('actual', actual)) {
    const one = toFound(server);
    if (one === undefined) continue;
    const id = serviceId(one.key);
    // A dump of the kernel's may repeat rows; the first one counts.
    if (!found.has(id)) found.set(id, one);
  }
  const wanted = new Map<string, Wanted>();
  const servers: ServerSteps[] = [];
  const conflicts: ServerSteps[] = [];
  for (const server of toIterable('desired', desired)) {
    const one = toWanted(server);
    const { key } = one.full;
    const id = serviceId(key);
    if (wanted.has(id)) throw refusal('wanted twice: leave one out, or join the two', key);
    wanted.set(id, one);
    const before = found.get(id);
    const steps = before === undefined ? stepsToAdd(one) : stepsToChange(one, before.server, full);
    if (isNothing(steps)) continue;
    const ours = before === undefined || full.owns === undefined || full.owns(key);
    (ours ? servers : conflicts).push(steps);
  }
  for (const [id, { key, server }] of found) {
    if (wanted.has(id) || full.owns?.(key) !== true) continue;
    servers.push(stepsToDelete(key, server, full));
  }
  return new ChangePlan(arrange(servers, full.allows), conflictsOf(conflicts), wanted, full);
}

function isNothing({ service, destinations, draining }: ServerSteps): boolean {
  return service === undefined && destinations.length === 0 && draining.length === 0;
}

function conflictsOf(servers: readonly ServerSteps[]): Conflict[] {
  const everything = toFullOptions({}).allows;
  const conflicts = sortBy(servers, ({ key }) => serviceRank(key)).map((server) => ({
    service: server.key,
    changes: changesOf(arrange([server], everything).steps),
  }));
  return conflicts.filter(({ changes }) => changes.length > 0);
}

function changesOf(steps: readonly Step[]): Change[] {
  return steps.map(({ change }) => change);
}

function toIterable(what: string, value: unknown): Iterable<unknown> {
  if (typeof (Object(value) as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function') {
    return value as Iterable<unknown>;
  }
  throw refusal(`${what}: ${show(value)} is not iterable: give an array of virtual servers`);
}

function attempt<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw error instanceof InvalidInput ? refusal(error.problem) : error;
  }
}

/** A plan, with what applying it needs to know. */
export class ChangePlan implements Plan {
  readonly changes: readonly Change[];
  readonly withheld: readonly Change[];
  readonly conflicts: readonly Conflict[];
  readonly draining: readonly Draining[];
  readonly #steps: readonly Step[];
  readonly #wanted: ReadonlyMap<string, Wanted>;
  readonly #options: FullOptions;

  constructor(
    { steps, withheld, draining }: Arranged,
    conflicts: readonly Conflict[],
    wanted: ReadonlyMap<string, Wanted>,
    options: FullOptions,
  ) {
    this.changes = changesOf(steps);
    this.withheld = changesOf(withheld);
    this.conflicts = conflicts;
    this.draining = draining;
    this.#steps = steps;
    this.#wanted = wanted;
    this.#options = options;
  }

  get empty(): boolean {
    return this.changes.length === 0;
  }

  /** One for each of the changes. */
  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** The steps that make the wanted service where there is none; undefined when it is not wanted. */
  fromNothing(key: ServiceKey): readonly Step[] | undefined {
    const wanted = this.#wanted.get(serviceId(key));
    if (wanted === undefined) return undefined;
    return arrange([stepsToAdd(wanted)], toFullOptions({}).allows).steps;
  }

  /** Whether a service that turned up meanwhile may be edited. */
  mayEdit(key: ServiceKey): boolean {
    return this.#options.owns === undefined || this.#options.owns(key);
  }

  [Symbol.iterator](): Iterator<Change> {
    return this.changes[Symbol.iterator]();
  }

  toString(): string {
    return this.#steps.map(lineOf).join('\n');
  }

  toJSON(): PlanJson {
    const { changes, withheld, conflicts, draining } = this;
    return { changes, withheld, conflicts, draining };
  }

  toIpvsadm(): string[] {
    return this.changes.map(changeArgs);
  }
}
