// What a plan promises, on a real kernel: states follow one another, so that each plan starts from what others left.
// A failure prints its seed; FC_SEED=<seed> runs it again.
import fc from 'fast-check';
import type { Ipvs } from '../../lib/client';
import { applyPlan } from '../../lib/converge';
import { serviceId } from '../../lib/id';
import type { Change, VirtualServer, VirtualServerStatus } from '../../lib/model';
import { plan, type PlanOptions } from '../../lib/plan';
import { anyState } from '../arbitraries';
import { after, settled, shuffled, tableOf, type Table } from '../planning';
import { Namespace } from './helpers';

const RUNS = 1000;
const RACES = 200;
const seed = process.env['FC_SEED'];
const runs = (
  numRuns: number,
): { readonly numRuns: number; readonly endOnFailure: true; readonly seed?: number } => ({
  numRuns,
  // Every run starts where the one before ended: what it came from cannot be made smaller.
  endOnFailure: true,
  ...(seed === undefined ? {} : { seed: Number(seed) }),
});

const namespace = new Namespace();
let client: Ipvs;
let other: Ipvs;
beforeAll(async () => {
  client = await namespace.open();
  other = await namespace.open();
});
afterAll(async () => {
  await client.close();
  await other.close();
  namespace.delete();
});

/** What a kernel must tell when it is in that state. */
function toldOf(state: readonly VirtualServer[]): unknown {
  let table: Table = new Map();
  for (const change of plan(state, [])) table = after(table, change);
  return settled(
    [...table.values()].map(({ service, destinations }): VirtualServer => ({
      ...service,
      destinations: [...destinations.values()],
    })),
  );
}

// Services that were added before the end are no longer new, so the rest may go in another order.
function inSomeOrder(changes: readonly Change[]): string[] {
  return changes.map((change) => JSON.stringify(change)).sort();
}

function without<T extends VirtualServer>(
  state: readonly T[],
  ids: ReadonlySet<string>,
): readonly T[] {
  return state.filter((server) => !ids.has(serviceId(server)));
}

/** Destinations that a service has in both states and not in the third, where the service is in all of them. */
function missing(
  first: readonly VirtualServer[],
  last: readonly VirtualServer[],
  now: readonly VirtualServer[],
): string[] {
  const [before, then, there] = [tableOf(first), tableOf(last), tableOf(now)];
  return [...before].flatMap(([id, { destinations }]) => {
    const stays = then.get(id)?.destinations;
    return [...destinations.keys()].filter(
      (one) => stays?.has(one) === true && there.get(id)?.destinations.has(one) !== true,
    );
  });
}

test(`${RUNS} plans make what is wanted, leave the rest, and no service empty on the way`, async () => {
  const counts = { changes: 0, foreign: 0, cut: 0 };
  const promised = async (
    desired: readonly VirtualServer[],
    bits: number,
    cut: number,
  ): Promise<void> => {
    const first = await client.snapshot();
    const foreign = new Set(first.filter((_, i) => (bits >> i) & 1).map(serviceId));
    const options: PlanOptions = { owns: (key) => !foreign.has(serviceId(key)) };
    const whole = plan(desired, first, options);

    // Broken off anywhere, and taken up again by another plan.
    const some = whole.changes.slice(0, cut % (whole.changes.length + 1));
    await client.apply(some);
    const middle = await client.snapshot();
    expect(missing(without(first, foreign), desired, middle)).toEqual([]);
    const rest = plan(desired, middle, options);
    expect(inSomeOrder(rest.changes)).toEqual(inSomeOrder(whole.changes.slice(some.length)));
    const { outcomes } = await applyPlan(client, rest);
    expect(outcomes.filter(({ status, converged }) => status !== 'done' || converged)).toEqual([]);

    const last = await client.snapshot();
    expect(settled(without(last, foreign))).toEqual(toldOf(without(desired, foreign)));
    const theirs = (state: readonly VirtualServerStatus[]): readonly VirtualServerStatus[] =>
      state.filter((server) => foreign.has(serviceId(server)));
    expect(theirs(last)).toEqual(theirs(first));
    expect(plan(desired, last, options).empty).toBe(true);
    counts.changes += whole.changes.length;
    counts.foreign += foreign.size;
    counts.cut += some.length;
  };
  // Mostly none are foreign, or there would soon be nothing left to change.
  const bits = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(63));
  await fc.assert(fc.asyncProperty(anyState, bits, fc.nat(), promised), runs(RUNS));
  expect(counts.changes).toBeGreaterThan(5 * RUNS);
  expect(counts.foreign).toBeGreaterThan(RUNS / 2);
  expect(counts.cut).toBeGreaterThan(RUNS);
}, 240_000);

test(`${RACES} plans applied after another program has changed the same things`, async () => {
  const all: PlanOptions = { owns: () => true };
  let converged = 0;
  const raced = async (
    desired: readonly VirtualServer[],
    elsewhere: readonly VirtualServer[],
    random: number,
  ): Promise<void> => {
    const first = await client.snapshot();
    const steps = plan(desired, first, all);
    const theirs: readonly Change[] = plan(elsewhere, first, all).changes;
    await other.apply(shuffled(theirs, random).slice(0, random % 8));
    const applied = await applyPlan(client, steps);
    expect(applied.complete).toBe(true);
    converged += applied.outcomes.filter((outcome) => outcome.converged !== undefined).length;
    // Once nobody else is at it, the next plan makes the rest.
    await applyPlan(client, plan(desired, await client.snapshot(), all));
    expect(settled(await client.snapshot())).toEqual(toldOf(desired));
  };
  await fc.assert(fc.asyncProperty(anyState, anyState, fc.nat(1000), raced), runs(RACES));
  expect(converged).toBeGreaterThan(RACES / 2);
}, 120_000);
