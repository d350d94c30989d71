// What a plan promises, of any two states. The same on a real kernel: kernel/plan.test.ts.
import fc from 'fast-check';
import { serviceId } from '../lib/id';
import { memoryIpvs } from '../lib/memory';
import type { VirtualServer } from '../lib/model';
import { plan, type PlanOptions } from '../lib/plan';
import {
  after,
  anyTask,
  available,
  passes,
  settled,
  shuffledState,
  tableOf,
  type Table,
} from './planning';

const RUNS = { numRuns: 1000 };
const all: PlanOptions = { owns: () => true };

/** Ends up as the last of the tables, and says how it looks. */
function end(table: Table, changes: Iterable<Parameters<typeof after>[1]>): Table {
  let last = table;
  for (const next of passes(table, changes)) last = next;
  return last;
}

test('applied to what there is, it makes what is wanted; then there is nothing left to do', async () => {
  let changed = 0;
  await fc.assert(
    fc.asyncProperty(anyTask, async ({ desired, actual }) => {
      const client = memoryIpvs();
      const other = memoryIpvs();
      await client.apply(plan(actual, []));
      await other.apply(plan(desired, []));
      const steps = plan(desired, await client.snapshot(), all);
      changed += steps.changes.length;
      expect((await client.apply(steps)).filter(({ status }) => status !== 'done')).toEqual([]);
      const reached = await client.snapshot();
      expect(settled(reached)).toEqual(settled(await other.snapshot()));
      expect(plan(desired, reached, all).empty).toBe(true);
      expect(plan(reached, desired, all).empty).toBe(true);
    }),
    RUNS,
  );
  expect(changed).toBeGreaterThan(RUNS.numRuns);
});

test('a state is its own: nothing to do', () => {
  fc.assert(
    fc.property(anyTask, ({ desired }) => {
      const { empty, changes, withheld, conflicts, draining } = plan(desired, desired, all);
      expect([empty, changes, withheld, conflicts, draining]).toEqual([true, [], [], [], []]);
    }),
    RUNS,
  );
});

test('what is not owned is not touched', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyTask,
      fc.integer({ min: 0, max: 63 }),
      async ({ desired, actual }, bits) => {
        const foreign = new Set(actual.filter((_, i) => (bits >> i) & 1).map(serviceId));
        const client = memoryIpvs();
        await client.apply(plan(actual, []));
        const before = await client.snapshot();
        const steps = plan(desired, before, { owns: (key) => !foreign.has(serviceId(key)) });
        await client.apply(steps);
        const theirs = (servers: readonly VirtualServer[]): unknown =>
          servers.filter((server) => foreign.has(serviceId(server)));
        expect(theirs(await client.snapshot())).toEqual(theirs(before));
        // What is foreign and wanted otherwise is told.
        const differ = desired.filter(
          (server) =>
            foreign.has(serviceId(server)) &&
            !plan(
              [server],
              before.filter((one) => serviceId(one) === serviceId(server)),
            ).empty,
        );
        expect(new Set(steps.conflicts.map(({ service }) => serviceId(service)))).toEqual(
          new Set(differ.map(serviceId)),
        );
      },
    ),
    RUNS,
  );
});

test('unless something is owned, only what is wanted is touched', () => {
  fc.assert(
    fc.property(anyTask, ({ desired, actual }) => {
      const ours = new Set(desired.map(serviceId));
      const { changes } = plan(desired, actual);
      expect(changes.filter(({ service }) => !ours.has(serviceId(service)))).toEqual([]);
    }),
    RUNS,
  );
});

test('no step leaves a service that stays without a destination that stays', () => {
  let kept = 0;
  fc.assert(
    fc.property(anyTask, ({ desired, actual }) => {
      const first = tableOf(actual);
      const steps = plan(desired, actual, all);
      const last = end(first, steps);
      const stay = [...first.keys()]
        .filter((id) => last.has(id))
        .map((id) => ({ id, both: commonTo(first, last, id) }));
      const wrong: string[] = [];
      for (const table of passes(first, steps)) {
        for (const { id, both } of stay) {
          kept += both.length;
          const now = table.get(id)?.destinations;
          if (!both.every((one) => now?.has(one) === true)) wrong.push(id);
          // Nor with fewer that take connections than there are before and after.
          const least = Math.min(available(first, id), available(last, id));
          if (available(table, id) < least) wrong.push(id);
        }
      }
      expect(wrong).toEqual([]);
    }),
    RUNS,
  );
  expect(kept).toBeGreaterThan(RUNS.numRuns);
});

function commonTo(first: Table, last: Table, id: string): string[] {
  const after = last.get(id)?.destinations;
  return [...(first.get(id)?.destinations.keys() ?? [])].filter((one) => after?.has(one));
}

test('no change could be left out', () => {
  fc.assert(
    fc.property(anyTask, fc.nat(), ({ desired, actual }, which) => {
      const { changes } = plan(desired, actual, all);
      // Without its service a destination cannot be added: the two make sense only together.
      const single = changes.filter(({ op }) => op !== 'addService');
      const left = single[which % single.length];
      if (left === undefined) return;
      const rest = end(
        tableOf(actual),
        changes.filter((change) => change !== left),
      );
      const servers = [...rest.values()].map(({ service, destinations }) => ({
        ...service,
        destinations: [...destinations.values()],
      }));
      expect(plan(desired, servers, all).changes).toHaveLength(1);
    }),
    RUNS,
  );
});

test('the order of the input makes no difference', () => {
  fc.assert(
    fc.property(anyTask, ({ desired, actual, seed }) => {
      const drain = (): boolean => seed % 2 === 0;
      const options: PlanOptions = { owns: (key) => !('fwmark' in key), drain };
      const one = plan(desired, actual, options);
      const other = plan(shuffledState(desired, seed), shuffledState(actual, seed ^ 1), options);
      expect(JSON.stringify(other)).toBe(JSON.stringify(one));
      expect(String(other)).toBe(String(one));
      expect(other.toIpvsadm()).toEqual(one.toIpvsadm());
    }),
    RUNS,
  );
});
