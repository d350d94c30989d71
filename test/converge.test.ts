// Plans applied where others write too.
import { ApplyError } from '../lib/apply';
import { destinationId, serviceId } from '../lib/id';
import type { Ipvs } from '../lib/client';
import { applyPlan, type Applied } from '../lib/converge';
import type { Backend } from '../lib/backend';
import { memoryIpvs, MemoryKernel } from '../lib/memory';
import type { Change, VirtualServer } from '../lib/model';
import { plan, type PlanOptions } from '../lib/plan';
import fc from 'fast-check';
import { anyTask, settled, shuffled } from './planning';

const WEB = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const DNS = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const;
const A = { address: '192.0.2.1', port: 80 } as const;
const B = { address: '192.0.2.2', port: 80 } as const;
const C = { address: '192.0.2.3', port: 80 } as const;
const all: PlanOptions = { owns: () => true };

/** A kernel where `meanwhile` is done after the plan was made and before it is applied. */
async function race(
  desired: readonly VirtualServer[],
  actual: readonly VirtualServer[],
  meanwhile: (other: Ipvs) => Promise<unknown>,
  options: PlanOptions = all,
): Promise<{ applied: Applied; reached: unknown; wanted: unknown; left: readonly Change[] }> {
  const kernel = new MemoryKernel();
  const client = kernel.open();
  await client.apply(plan(actual, []));
  const steps = plan(desired, await client.snapshot(), options);
  await meanwhile(kernel.open());
  const applied = await applyPlan(client, steps);
  const fresh = memoryIpvs();
  await fresh.apply(plan(desired, []));
  const reached = await client.snapshot();
  return {
    applied,
    reached: settled(reached),
    wanted: settled(await fresh.snapshot()),
    left: plan(desired, reached, options).changes,
  };
}

function shown({ outcomes }: Applied): string[] {
  return outcomes.map(({ change, status, converged, error }) => {
    const words: string[] = [change.op, serviceId(change.service)];
    if ('destination' in change) words.push(destinationId(change.destination));
    return [...words, status, converged, error?.code]
      .filter((word) => word !== undefined)
      .join(' ');
  });
}

test('what is there already is set', async () => {
  const { applied, reached, wanted } = await race(
    [{ ...WEB, scheduler: 'rr', destinations: [{ ...A, weight: 2 }, B] }],
    [],
    async (other) => {
      await other.addService({ ...WEB, scheduler: 'sh' });
      await other.addDestination(WEB, A);
    },
  );
  expect(shown(applied)).toEqual([
    'addService tcp://10.0.0.1:80 done set',
    'addDestination tcp://10.0.0.1:80 192.0.2.1:80 done set',
    'addDestination tcp://10.0.0.1:80 192.0.2.2:80 done',
  ]);
  expect(applied.complete).toBe(true);
  expect(reached).toEqual(wanted);
});

test('what has gone already is gone', async () => {
  const { applied, reached, wanted } = await race(
    [{ ...WEB, destinations: [A] }],
    [
      { ...WEB, destinations: [A, B] },
      { ...DNS, destinations: [A] },
    ],
    async (other) => {
      await other.deleteService(DNS);
      await other.deleteDestination(WEB, B);
    },
  );
  expect(shown(applied)).toEqual([
    'deleteDestination tcp://10.0.0.1:80 192.0.2.2:80 done gone',
    'deleteService udp://10.0.0.1:53 done gone',
  ]);
  expect(reached).toEqual(wanted);
});

test('what was to be set and has gone is added', async () => {
  const { applied, reached, wanted } = await race(
    [{ ...WEB, destinations: [{ ...A, weight: 2 }] }],
    [{ ...WEB, destinations: [A] }],
    (other) => other.deleteDestination(WEB, A),
  );
  expect(shown(applied)).toEqual(['setDestination tcp://10.0.0.1:80 192.0.2.1:80 done added']);
  expect(reached).toEqual(wanted);
});

test('a service that has gone is added with all of its destinations', async () => {
  const { applied, reached, wanted } = await race(
    [{ ...WEB, scheduler: 'rr', destinations: [A, { ...B, weight: 2 }, C] }],
    [{ ...WEB, destinations: [A, B] }],
    (other) => other.flush(),
  );
  expect(shown(applied)).toEqual([
    'setDestination tcp://10.0.0.1:80 192.0.2.2:80 done added',
    'addDestination tcp://10.0.0.1:80 192.0.2.3:80 done added',
    'setService tcp://10.0.0.1:80 done added',
  ]);
  expect(applied.restored.map(({ change, status }) => [change.op, status])).toEqual([
    ['addDestination', 'done'],
  ]);
  expect(reached).toEqual(wanted);
});

test('a service that has gone and lacks only destinations is added too', async () => {
  const { applied, reached, wanted } = await race(
    [{ ...WEB, destinations: [A, B] }],
    [{ ...WEB, destinations: [A] }],
    (other) => other.flush(),
  );
  expect(applied.complete).toBe(true);
  expect(applied.restored.map(({ change }) => change.op)).toEqual(['addService', 'addDestination']);
  expect(reached).toEqual(wanted);
});

test('a destination that drains and has gone is gone', async () => {
  const { applied } = await race(
    [{ ...WEB, destinations: [] }],
    [{ ...WEB, destinations: [A] }],
    (other) => other.deleteDestination(WEB, A),
    { drain: true },
  );
  expect(shown(applied)).toEqual(['setDestination tcp://10.0.0.1:80 192.0.2.1:80 done gone']);
});

test('a service of another program that turned up meanwhile is left as it is', async () => {
  const theirs = [{ ...WEB, scheduler: 'sh', destinations: [C] }];
  const { applied, reached } = await race(
    [{ ...WEB, destinations: [A, C] }],
    [],
    (other) => other.apply(plan(theirs, [])),
    { owns: () => false },
  );
  const fresh = memoryIpvs();
  await fresh.apply(plan(theirs, []));
  expect(reached).toEqual(settled(await fresh.snapshot()));
  expect(shown(applied)).toEqual([
    'addService tcp://10.0.0.1:80 failed EEXIST',
    'addDestination tcp://10.0.0.1:80 192.0.2.1:80 failed EEXIST',
    'addDestination tcp://10.0.0.1:80 192.0.2.3:80 failed EEXIST',
  ]);
  expect(applied.complete).toBe(false);
});

test('nothing is taken from a service whose gains failed, and others go on', async () => {
  const bad = { address: '224.0.0.1', port: 80 };
  const { applied } = await race(
    [
      { ...WEB, destinations: [bad] },
      { ...DNS, destinations: [B] },
    ],
    [
      { ...WEB, destinations: [A] },
      { ...DNS, destinations: [A] },
    ],
    () => Promise.resolve(),
  );
  expect(shown(applied)).toEqual([
    'addDestination tcp://10.0.0.1:80 224.0.0.1:80 failed EINVAL',
    'addDestination udp://10.0.0.1:53 192.0.2.2:80 done',
    'deleteDestination tcp://10.0.0.1:80 192.0.2.1:80 not tried',
    'deleteDestination udp://10.0.0.1:53 192.0.2.1:80 done',
  ]);
});

test('a service that the kernel refuses fails with its destinations', async () => {
  const { applied } = await race([{ ...WEB, scheduler: 'nosuch', destinations: [A] }], [], () =>
    Promise.resolve(),
  );
  expect(shown(applied)).toEqual([
    'addService tcp://10.0.0.1:80 failed ENOENT',
    'addDestination tcp://10.0.0.1:80 192.0.2.1:80 failed ESRCH',
  ]);
});

test('one trip where nothing has to wait, two where a service gains and loses', async () => {
  const trips = async (desired: VirtualServer[], actual: VirtualServer[]): Promise<string[][]> => {
    const client = memoryIpvs();
    await client.apply(plan(actual, []));
    const seen: string[][] = [];
    const backend: Backend = {
      snapshot: () => client.snapshot(),
      apply: (changes, options) => {
        const list = [...changes];
        seen.push(list.map(({ op }) => op));
        return client.apply(list, options);
      },
    };
    await applyPlan(backend, plan(desired, await client.snapshot(), all));
    return seen;
  };
  const web = (...destinations: VirtualServer['destinations']): VirtualServer => ({
    ...WEB,
    destinations,
  });
  const dns = (...destinations: VirtualServer['destinations']): VirtualServer => ({
    ...DNS,
    destinations,
  });
  expect(await trips([web(A)], [web(A)])).toEqual([]);
  expect(await trips([web(A, B), dns(A)], [web(A), dns(A, B)])).toEqual([
    ['addDestination', 'deleteDestination'],
  ]);
  expect(await trips([web(B), dns(A)], [web(A), dns(A, B)])).toEqual([
    ['addDestination', 'deleteDestination'],
    ['deleteDestination'],
  ]);
});

test('a program that is at it all the time: tried some times, then told', async () => {
  const kernel = new MemoryKernel();
  const client = kernel.open();
  const other = kernel.open();
  await other.addService(WEB);
  let calls = 0;
  const backend: Backend = {
    snapshot: () => client.snapshot(),
    apply: async (changes, options) => {
      calls++;
      const list = [...changes];
      const there = (await other.destinations(WEB)).length > 0;
      if (there) await other.deleteDestination(WEB, A);
      else await other.addDestination(WEB, A);
      return client.apply(list, options);
    },
  };
  const applied = await applyPlan(
    backend,
    plan([{ ...WEB, destinations: [A] }], await client.snapshot()),
  );
  expect(calls).toBe(5);
  expect(applied.complete).toBe(false);
  expect(applied.outcomes[0]?.status).toBe('failed');
});

test('broken off: says what was done of the whole plan', async () => {
  const client = memoryIpvs();
  await client.addService(WEB);
  await client.addDestination(WEB, A);
  const steps = plan([{ ...WEB, destinations: [B] }], await client.snapshot());
  let calls = 0;
  const backend: Backend = {
    snapshot: () => client.snapshot(),
    apply: async (changes, options) => {
      if (++calls === 2) await client.close();
      return client.apply(changes, options);
    },
  };
  const error = await applyPlan(backend, steps).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApplyError);
  const { code, outcomes, message } = error as ApplyError;
  expect(code).toBe('ERR_IPVS_CLOSED');
  expect(outcomes.map(({ status }) => status)).toEqual(['done', 'not tried']);
  expect(message).toMatch(/of the plan, 1 of 2 changes were done$/);
});

test('the signal', async () => {
  const client = memoryIpvs();
  const steps = plan([{ ...WEB, destinations: [A] }], []);
  const error = await applyPlan(client, steps, { signal: AbortSignal.abort() }).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'ABORT_ERR' });
  expect(
    (error as { outcomes: { status: string }[] }).outcomes.map(({ status }) => status),
  ).toEqual(['not tried', 'not tried']);
  expect((error as Error).message).toMatch(/of the plan, 0 of 2 changes were done$/);
  expect(await client.services()).toEqual([]);
});

test('progress counts the whole plan', async () => {
  const client = memoryIpvs();
  await client.apply(plan([{ ...WEB, destinations: [A] }], []));
  const seen: unknown[] = [];
  const steps = plan([{ ...WEB, destinations: [B] }], await client.snapshot());
  await applyPlan(client, steps, { progress: (at) => seen.push(at) });
  expect(seen).toEqual([
    { done: 1, total: 2 },
    { done: 2, total: 2 },
  ]);
});

test('takes plans only', async () => {
  await expect(applyPlan(memoryIpvs(), [] as never)).rejects.toMatchObject({
    code: 'ERR_IPVS_INVALID',
    message: 'applyPlan: not a plan: give what plan() returns',
  });
});

/** Some of the changes that would lead to another state. */
function someOf(changes: readonly Change[], seed: number): Change[] {
  return shuffled(changes, seed).slice(0, 1 + (Math.abs(seed) % 6));
}

test('whatever another program does in between, what the plan changes is as it is wanted', async () => {
  let converged = 0;
  const target = (change: Change): string =>
    `${serviceId(change.service)} ${'destination' in change ? destinationId(change.destination) : ''}`;
  await fc.assert(
    fc.asyncProperty(
      anyTask,
      anyTask,
      async ({ desired, actual, seed }, { desired: elsewhere }) => {
        const { applied, left } = await race(desired, actual, async (other) => {
          await other.apply(someOf(plan(elsewhere, await other.snapshot(), all).changes, seed));
        });
        converged += applied.outcomes.filter((outcome) => outcome.converged !== undefined).length;
        expect(applied.complete).toBe(true);
        // What the plan had no change for is for the next one to see.
        const changed = new Set(applied.outcomes.map(({ change }) => target(change)));
        expect(left.filter((change) => changed.has(target(change)))).toEqual([]);
      },
    ),
    { numRuns: 500 },
  );
  expect(converged).toBeGreaterThan(300);
});
