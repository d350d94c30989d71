// What drains, followed to its end while another program does what it likes.
import fc from 'fast-check';
import type { Backend } from '../lib/backend';
import { applyPlan } from '../lib/converge';
import { destinationId, serviceId } from '../lib/id';
import { MemoryKernel } from '../lib/memory';
import type { Destination, DestinationKey, ServiceKey, VirtualServer } from '../lib/model';
import { plan } from '../lib/plan';
import { Remaining } from '../lib/reconcile/remaining';
import { toFullOptions } from '../lib/reconcile/options';
import { anyState } from './arbitraries';
import { settled, shuffled, tableOf } from './planning';
import { FakeClock } from './reconciling';

jest.setTimeout(60_000);

const owns = (): boolean => true;
const goes = (): Promise<void> => Promise.resolve();

function nameOf(service: ServiceKey, destination: Destination | DestinationKey): string {
  return `${serviceId(service)} ${destinationId(destination)}`;
}

/** Some have connections. */
function busy(kernel: MemoryKernel, state: readonly VirtualServer[], seed: number): void {
  for (const { destinations, ...service } of state) {
    for (const [i, destination] of destinations.entries()) {
      const connections = (seed >> i) & 1;
      kernel.setTraffic(service, destination, {
        activeConnections: i % 2 === 0 ? connections : 0,
        inactiveConnections: i % 2 === 0 ? 0 : connections,
      });
    }
  }
}

/** Begins to drain what `desired` does not have, and follows it; `meanwhile` happens before each look. */
async function followed(
  desired: readonly VirtualServer[],
  actual: readonly VirtualServer[],
  meanwhile: (kernel: MemoryKernel, look: number) => Promise<void>,
  prepare: (kernel: MemoryKernel) => void = () => undefined,
): Promise<{ kernel: MemoryKernel; remaining: Remaining; clock: FakeClock }> {
  const wanted = new Set<string>(desired.map(serviceId));
  const kernel = new MemoryKernel();
  const client = kernel.open();
  await client.apply(plan(actual, []));
  prepare(kernel);
  const clock = new FakeClock();
  // Between two looks.
  const drain = { timeout: 5_500, only: () => true };
  const options = toFullOptions({ owns, drain }, clock);
  const first = plan(desired, await client.snapshot(), options.plan);
  if (options.drains === undefined) throw new Error('it drains');
  options.drains.settle(first.draining, () => false);
  await applyPlan(client, first);
  let look = 0;
  let seen: readonly VirtualServer[] = [];
  const began = new Set(
    first.draining.map(({ service, destination }) => nameOf(service, destination)),
  );
  const isOurs = (service: ServiceKey, one: Destination | undefined): boolean =>
    one?.weight === 0 && began.has(nameOf(service, one));
  const backend: Backend = {
    snapshot: async () => {
      await meanwhile(kernel, look++);
      return (seen = await client.snapshot());
    },
    apply: (changes, more) => {
      const list = [...changes];
      const table = tableOf(seen);
      for (const change of list) {
        const there = table.get(serviceId(change.service))?.destinations;
        if (change.op === 'deleteService') {
          expect([...(there?.values() ?? [])].every((one) => isOurs(change.service, one))).toBe(
            true,
          );
          expect(wanted.has(serviceId(change.service))).toBe(false);
        } else if (change.op === 'deleteDestination') {
          const one = there?.get(destinationId(change.destination));
          expect(isOurs(change.service, one)).toBe(true);
        } else throw new Error(`${change.op} takes nothing away`);
      }
      return client.apply(list, more);
    },
  };
  const remaining = new Remaining(
    backend,
    first.draining,
    {
      drains: options.drains,
      leaves: (service) => !wanted.has(serviceId(service)),
      signal: new AbortController().signal,
    },
    clock,
  );
  await remaining.follow();
  return { kernel, remaining, clock };
}

test('in the end there is what is wanted, and it takes no longer than it may', async () => {
  await fc.assert(
    fc.asyncProperty(anyState, anyState, fc.nat(), async (desired, actual, seed) => {
      const { kernel, clock, remaining } = await followed(desired, actual, goes, (one) => {
        busy(one, actual, seed);
      });
      const end = await kernel.open().snapshot();
      expect(plan(desired, end, { owns }).changes).toEqual([]);
      expect(clock.time).toBeLessThanOrEqual(5_500);
      expect(remaining.draining).toEqual([]);
      expect(clock.time === 5_500).toBe(remaining.cut.length > 0);
    }),
    { numRuns: 300 },
  );
});

test('it takes away what it began to drain, and nothing of what another program does meanwhile', async () => {
  let [deleted, revived] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      anyState,
      anyState,
      anyState,
      fc.nat(1000),
      async (desired, actual, elsewhere, seed) => {
        const { remaining } = await followed(
          desired,
          actual,
          async (one, look) => {
            const other = one.open();
            const theirs = plan(elsewhere, await other.snapshot(), { owns }).changes;
            await other.apply(shuffled(theirs, seed + look).slice(0, seed % 9));
          },
          (one) => {
            busy(one, actual, seed);
          },
        );
        expect(remaining.draining).toEqual([]);
        deleted += remaining.outcomes.length;
        revived += remaining.revived.length;
      },
    ),
    { numRuns: 300 },
  );
  expect(deleted).toBeGreaterThan(300);
  expect(revived).toBeGreaterThan(10);
});

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const a = { address: '192.0.2.1', port: 80 } as const;

test('a kernel that cannot be read ends it, and it still says what drains', async () => {
  const clock = new FakeClock();
  const { drains } = toFullOptions({ drain: true }, clock);
  if (drains === undefined) throw new Error('it drains');
  const draining = [{ service: web, destination: a, connections: 3 }];
  const remaining = new Remaining(
    {
      snapshot: () => Promise.reject(new Error('no module')),
      apply: () => Promise.resolve([]),
    },
    draining,
    { drains, leaves: () => true, signal: new AbortController().signal },
    clock,
  );
  await expect(remaining.follow()).rejects.toThrow('no module');
  expect(remaining.draining).toEqual(draining);
});

test('a service of which another program has taken everything away goes all the same', async () => {
  const { kernel } = await followed([], [{ ...web, destinations: [a] }], async (one) => {
    await one
      .open()
      .deleteDestination(web, a)
      .catch(() => undefined);
  });
  expect(settled(await kernel.open().snapshot())).toEqual([]);
});

test('a hundred thousand that drain are no trouble', () => {
  const clock = new FakeClock();
  const { drains } = toFullOptions({ drain: true }, clock);
  if (drains === undefined) throw new Error('it drains');
  const many = Array.from({ length: 200_000 }, (_, i) => ({
    service: web,
    destination: { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 80 },
    connections: 1,
  }));
  drains.settle(many, () => false);
  expect(drains.nextDeadline).toBe(300_000);
  expect(drains.lastDeadline).toBe(300_000);
});
