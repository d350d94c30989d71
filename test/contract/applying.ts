// Many changes in one trip.
import { ApplyError, type Outcome } from '../../lib/apply';
import { IpvsError } from '../../lib/errors';
import type { Change, DestinationKey, Service } from '../../lib/model';
import { A, B, DNS, MARK, WEB, failureOf, plain, stateOf, type Here } from './kit';

const add = (service: Service): Change => ({ op: 'addService', service });
const addTo = (service: Change['service'], destination: DestinationKey): Change => ({
  op: 'addDestination',
  service,
  destination,
});
const statuses = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ status }) => status);

/** Services 10.x.y.z with one destination each: two changes a service. */
function* pairs(count: number): Generator<Change> {
  for (let i = 0; i < count / 2; i++) {
    const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    const service = { protocol: 'tcp', address, port: 80 } as const;
    yield { op: 'addService', service };
    yield { op: 'addDestination', service, destination: A };
  }
}

export function applying(here: Here, many: number): void {
  test('changes of every kind are done in order', async () => {
    const { client } = here;
    const changes: Change[] = [
      add(WEB),
      addTo(WEB, A),
      addTo(WEB, B),
      { op: 'setDestination', service: WEB, destination: { ...A, weight: 5 } },
      { op: 'deleteDestination', service: WEB, destination: B },
      add(DNS),
      { op: 'setService', service: { ...WEB, scheduler: 'rr' } },
      add(MARK),
      { op: 'deleteService', service: MARK },
    ];
    const outcomes = await client.apply(changes);
    expect(outcomes).toEqual(changes.map((change) => ({ change, status: 'done' })));
    expect(outcomes.every(({ change }, i) => change === changes[i])).toBe(true);
    expect((await stateOf(client)).servers).toMatchObject([
      { ...WEB, scheduler: 'rr', destinations: [{ ...plain(A), weight: 5 }] },
      { ...DNS, destinations: [] },
    ]);
  });

  test('nothing to do is done at once', async () => {
    const seen: unknown[] = [];
    const progress = (at: unknown): unknown => seen.push(at);
    expect(await here.client.apply([], { progress })).toEqual([]);
    expect(await here.client.apply(new Set<Change>(), { onError: 'stop' })).toEqual([]);
    expect(seen).toEqual([]);
  });

  const MIXED: readonly Change[] = [
    add(WEB),
    addTo(WEB, A),
    addTo(WEB, A),
    addTo(WEB, B),
    add({ ...DNS, scheduler: 'nosuch' }),
    add(MARK),
  ];

  test('after a refusal the rest is done', async () => {
    const { client } = here;
    const outcomes = await client.apply(MIXED);
    expect(statuses(outcomes)).toEqual(['done', 'done', 'failed', 'done', 'failed', 'done']);
    expect(outcomes[2]?.error).toBeInstanceOf(IpvsError);
    expect(outcomes[2]?.error).toMatchObject({
      code: 'EEXIST',
      operation: 'addDestination',
      service: WEB,
      destination: A,
      message: expect.stringMatching(/^addDestination tcp:.* 192.0.2.1:8080: .*setDest/) as string,
    });
    expect(outcomes[4]?.error).toMatchObject({
      code: 'ENOENT',
      operation: 'addService',
      service: DNS,
      message: expect.stringMatching(/no scheduler nosuch/) as string,
    });
    expect((await stateOf(client)).servers).toMatchObject([
      { ...MARK },
      { ...WEB, destinations: [B, A] },
    ]);
  });

  test('or nothing after it, when asked to stop', async () => {
    const { client } = here;
    const outcomes = await client.apply(MIXED, { onError: 'stop' });
    expect(statuses(outcomes)).toEqual([
      'done',
      'done',
      'failed',
      'not tried',
      'not tried',
      'not tried',
    ]);
    expect(outcomes[2]?.error).toMatchObject({ code: 'EEXIST', destination: A });
    expect((await stateOf(client)).servers).toMatchObject([{ ...WEB, destinations: [A] }]);
  });

  test('stopping without a refusal does everything', async () => {
    const outcomes = await here.client.apply(pairs(1500), { onError: 'stop' });
    expect(outcomes).toHaveLength(1500);
    expect(outcomes.every(({ status }) => status === 'done')).toBe(true);
    expect(await here.client.services()).toHaveLength(750);
  });

  test('bad input anywhere refuses everything, and says where', async () => {
    const { client } = here;
    await client.addService(WEB);
    const before = await stateOf(client);
    const good = [...pairs(1000)];
    const bad: [unknown, RegExp][] = [
      [
        { ...addTo(WEB, A), destination: { ...A, weight: 2 ** 31 } },
        /tcp:\/\/10.0.0.1:80 192.0.2.1:8080; nothing was done: weight: 2147483648/,
      ],
      [add({ ...WEB, port: 0 }), /nothing was done: port: 0/],
      [{ op: 'purge', service: WEB }, /op: "purge" is no change: use addService/],
      [undefined, /op: undefined/],
      [7, /op: undefined/],
      [{ op: 'deleteDestination', service: WEB }, /destination: undefined/],
    ];
    for (const [change, words] of bad) {
      for (const onError of ['stop', 'continue'] as const) {
        const error = await failureOf(client.apply([...good, change as Change], { onError }));
        expect(error).toBeInstanceOf(IpvsError);
        expect(error).toMatchObject({ code: 'ERR_IPVS_INVALID', operation: 'apply' });
        expect((error as IpvsError).message).toMatch(words);
        expect((error as IpvsError).message).toMatch(/^apply: change 1001, /);
        expect(await stateOf(client)).toEqual(before);
      }
    }
  });

  test('what is no list of changes is refused', async () => {
    const { client } = here;
    const cases: [unknown, unknown][] = [
      [undefined, undefined],
      [null, undefined],
      [7, undefined],
      [add(WEB), undefined],
      [[], { onError: 'ignore' }],
    ];
    for (const [changes, options] of cases) {
      const error = await failureOf(client.apply(changes as Change[], options as object));
      expect(error).toMatchObject({ code: 'ERR_IPVS_INVALID', operation: 'apply' });
    }
  });

  test('progress is told after each slice', async () => {
    const seen: number[] = [];
    await here.client.apply(pairs(6000), {
      progress: ({ done, total }) => {
        expect(total).toBe(6000);
        seen.push(done);
      },
    });
    // The first takes 2048, the next as many as the kernel is quick.
    expect(seen.length).toBeGreaterThan(1);
    expect(seen[0]).toBe(2048);
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(6000);
  });

  test('a signal that is up already stops everything', async () => {
    const error = await failureOf(
      here.client.apply([add(WEB)], { signal: AbortSignal.abort(new Error('no')) }),
    );
    expect(error).toBeInstanceOf(ApplyError);
    expect(error).toMatchObject({
      code: 'ABORT_ERR',
      operation: 'apply',
      cause: { message: 'no' },
      outcomes: [{ status: 'not tried' }],
    });
    expect(await here.client.services()).toEqual([]);
  });

  test('a signal while changes are still being read stops the reading', async () => {
    const stop = new AbortController();
    function* slow(): Generator<Change> {
      for (const change of pairs(10_000)) {
        const until = performance.now() + 1;
        while (performance.now() < until);
        stop.abort();
        yield change;
      }
    }
    const error = await failureOf(here.client.apply(slow(), { signal: stop.signal }));
    expect(error).toBeInstanceOf(ApplyError);
    expect(error).toMatchObject({ code: 'ABORT_ERR', operation: 'apply' });
    const { outcomes } = error as ApplyError;
    expect(outcomes.length).toBeLessThan(1000);
    expect(new Set(statuses(outcomes))).toEqual(new Set(['not tried']));
    expect(await here.client.services()).toEqual([]);
  });

  test('a callback that throws stops the rest, and the error tells what was done', async () => {
    const error = await failureOf(
      here.client.apply(pairs(3000), {
        progress: () => {
          throw new RangeError('full');
        },
      }),
    );
    expect((error as Error).message).toMatch(/progress threw "full": catch that in the callback/);
    expect((error as Error).cause).toBeInstanceOf(RangeError);
    await expectBrokenOff(here, error, 'ERR_IPVS_INVALID', 3000);
  });

  test('a signal in the middle stops the rest, and the error tells what was done', async () => {
    const { client } = here;
    const stop = new AbortController();
    const error = await failureOf(
      client.apply(pairs(3000), {
        signal: stop.signal,
        progress: () => {
          stop.abort();
        },
      }),
    );
    await expectBrokenOff(here, error, 'ABORT_ERR', 3000);
  });

  test('closing in the middle is told the same way', async () => {
    const client = await here.open();
    const error = await failureOf(
      client.apply(pairs(3000), {
        progress: () => {
          void client.close();
        },
      }),
    );
    await expectBrokenOff(here, error, 'ERR_IPVS_CLOSED', 3000);
  });

  describe.each(['continue', 'stop'] as const)(`${many} changes, %s on error`, (onError) => {
    test('one that the kernel refuses spoils none of the others', async () => {
      await here.elsewhere(async ({ client }) => {
        const changes = [...pairs(many)];
        const at = onError === 'stop' ? many / 10 : many / 2;
        changes[at] = changes[at - 2] as Change;
        const outcomes = await client.apply(changes, { onError });
        const failed = outcomes.flatMap(({ status }, i) => (status === 'failed' ? [i] : []));
        // Without its service the destination after it fails too.
        expect(failed).toEqual(onError === 'stop' ? [at] : [at, at + 1]);
        expect(outcomes[at]).toMatchObject({ error: { code: 'EEXIST', operation: 'addService' } });
        const done = outcomes.filter(({ status }) => status === 'done').length;
        expect(done).toBe(onError === 'stop' ? at : many - 2);
        expect(await client.services()).toHaveLength(done / 2);
      });
    }, 240_000);
  });

  test(`one invalid change of ${many} means that nothing is done`, async () => {
    const changes = [...pairs(many)];
    const at = (many / 4) * 3;
    changes[at] = add({ ...WEB, port: 65536 });
    const error = await failureOf(here.client.apply(changes));
    expect(error).toMatchObject({ code: 'ERR_IPVS_INVALID' });
    expect((error as Error).message).toContain(
      `change ${at + 1}, addService; nothing was done: port: `,
    );
    expect(await here.client.services()).toEqual([]);
  }, 120_000);
}

async function expectBrokenOff(
  here: Here,
  error: unknown,
  code: string,
  total: number,
): Promise<void> {
  expect(error).toBeInstanceOf(ApplyError);
  expect(error).toMatchObject({ code, operation: 'apply' });
  const { outcomes, message } = error as ApplyError;
  expect(outcomes).toHaveLength(total);
  const done = outcomes.filter(({ status }) => status === 'done').length;
  expect(done).toBeGreaterThan(0);
  expect(done).toBeLessThan(total);
  expect(statuses(outcomes)).toEqual([
    ...Array<string>(done).fill('done'),
    ...Array<string>(total - done).fill('not tried'),
  ]);
  expect(message).toMatch(
    new RegExp(`${done} of ${total} changes were done, 0 failed, ${total - done} were not tried`),
  );
  expect(await here.client.services()).toHaveLength(Math.ceil(done / 2));
}
