// What the clients do with answers that a real kernel cannot be made to give: a scripted handle stands for the addon.
import { ApplyError } from '../lib/apply';
import { Client, SyncClient } from '../lib/client';
import { IpvsError } from '../lib/errors';
import type { Change } from '../lib/model';
import { Op, type NativeHandle } from '../lib/native';
import { LAYOUT, Records } from '../lib/records';

type Answer = (op: Op, request: Uint8Array) => ArrayBuffer;

class ScriptedHandle implements NativeHandle {
  readonly calls: { op: Op; bytes: number }[] = [];
  readonly given: ArrayBuffer[] = [];
  readonly released: ArrayBuffer[] = [];
  constructor(readonly answer: Answer) {}
  call(op: Op, request: Uint8Array): Promise<ArrayBuffer> {
    return new Promise((resolve) => {
      resolve(this.callSync(op, request));
    });
  }
  callSync(op: Op, request: Uint8Array): ArrayBuffer {
    this.calls.push({ op, bytes: request.byteLength });
    const reply = this.answer(op, request);
    this.given.push(reply);
    return reply;
  }
  // As the addon does: who reads on finds nothing.
  release(reply: ArrayBuffer): void {
    this.released.push(reply);
    structuredClone(reply, { transfer: [reply] });
  }
  connections(): Promise<ArrayBuffer[]> {
    return Promise.reject(new Error('not in this script'));
  }
  connectionsSync(): ArrayBuffer[] {
    throw new Error('not in this script');
  }
  cancel(): void {
    // Nothing to call off.
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
  closeSync(): void {
    // Nothing is held.
  }
}

const failure = (op: string, errno: number): Error => Object.assign(new Error(op), { op, errno });
const refuse = (op: string, errno: number): Client =>
  new Client(
    new ScriptedHandle(() => {
      throw failure(op, errno);
    }),
  );
const results = (request: Uint8Array, of: (row: number) => number): ArrayBuffer =>
  Int32Array.from({ length: request.byteLength / LAYOUT.ChangeRecord.size }, (_, row) => of(row))
    .buffer;

const adds = (count: number): Change[] =>
  Array.from({ length: count }, (_, i) => ({
    op: 'addService',
    service: { protocol: 'tcp', address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 80 },
  }));

test.each([
  [
    'family',
    2,
    'ERR_IPVS_UNAVAILABLE',
    /this kernel has no IPVS: load its module with: .*modprobe ip_vs/,
  ],
  ['receive', 1, 'EPERM', /no permission: .*CAP_NET_ADMIN/],
  ['truncated', 74, 'ERR_IPVS_REPLY', /answer makes no sense \(truncated\)/],
  ['receive', 110, 'ETIMEDOUT', /did not answer in time/],
  ['closed', 9, 'ERR_IPVS_CLOSED', /client is closed/],
  ['close', 125, 'ERR_IPVS_CLOSED', /client is closed/],
  ['netns', 2, 'ENOENT', /the namespace does not exist: see ip netns list/],
  ['receive', 92, 'ENOPROTOOPT', /being unloaded/],
  ['receive', 71, 'EPROTO', /EPROTO/],
])('failure of %s with errno %i becomes %s', async (op, errno, code, words) => {
  const error: unknown = await refuse(op, errno)
    .services()
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(IpvsError);
  expect(error).toMatchObject({ code, operation: 'services', name: 'IpvsError' });
  expect((error as Error).message).toMatch(words);
  expect((error as Error).message).toMatch(/^services: /);
  expect((error as Error).message).not.toContain('\n');
});

test('an error names the service and the destination that were asked about', async () => {
  const client = new Client(new ScriptedHandle((_, request) => results(request, () => 17)));
  const error: unknown = await client
    .addDestination('tcp://[2001:DB8::1]:80', { address: '2001:db8::2', port: 8080 })
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    code: 'EEXIST',
    errno: 17,
    operation: 'addDestination',
    service: { protocol: 'tcp', address: '2001:db8::1', port: 80 },
    destination: { address: '2001:db8::2', port: 8080 },
  });
  expect((error as Error).message).toBe(
    'addDestination tcp://[2001:db8::1]:80 [2001:db8::2]:8080: the service has that destination already: change it with setDestination',
  );
});

test('bad input is refused before the addon is called', async () => {
  const handle = new ScriptedHandle(() => new ArrayBuffer(0));
  await expect(
    new Client(handle).addService({ protocol: 'tcp', address: '10.0.0.1', port: 65536 }),
  ).rejects.toThrow('addService: port: 65536 is out of range: use a whole number from 0 to 65535');
  expect(handle.calls).toEqual([]);
});

/** A kernel that takes so many milliseconds a change, by a clock that nothing else moves. */
function taking(milliseconds: number): ScriptedHandle {
  let clock = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => clock);
  return new ScriptedHandle((_, request) => {
    clock += (request.length / LAYOUT.ChangeRecord.size) * milliseconds;
    return results(request, () => 0);
  });
}
const slicesOf = (handle: ScriptedHandle): number[] =>
  handle.calls.map(({ bytes }) => bytes / LAYOUT.ChangeRecord.size);

afterEach(() => {
  jest.restoreAllMocks();
});

test('a large apply goes out in slices, each with its progress', async () => {
  const handle = taking(1 / 128);
  const seen: number[] = [];
  const outcomes = await new Client(handle).apply(adds(5000), {
    progress: ({ done, total }) => seen.push(done, total),
  });
  expect(slicesOf(handle)).toEqual([2048, 1024, 1024, 904]);
  expect(seen).toEqual([2048, 3072, 4096, 5000].flatMap((done) => [done, 5000]));
  expect(outcomes.map(({ status }) => status)).toEqual(Array(5000).fill('done'));
});

test.each([
  ['quick', 1 / 1024, [2048, ...Array<number>(5).fill(8192), 6992]],
  ['so quick that the largest slices take no time', 0, [2048, 8192, 16384, 16384, 6992]],
])('slices grow where the kernel is %s', async (_, milliseconds, slices) => {
  const handle = taking(milliseconds);
  await new Client(handle).apply(adds(50_000));
  expect(slicesOf(handle)).toEqual(slices);
});

test('slices shrink where the kernel is slow, so that others wait no longer for their turn', () => {
  const handle = taking(1 / 16);
  new SyncClient(handle).apply(adds(3000));
  expect(slicesOf(handle)).toEqual([2048, 512, 128, 128, 128, 56]);
});

test('changes that come one by one are sent like those of an array', async () => {
  const send = async (changes: Iterable<Change>): Promise<Buffer> => {
    const sent: Uint8Array[] = [];
    const handle = new ScriptedHandle((_, request) => {
      sent.push(request.slice());
      return results(request, () => 0);
    });
    await new Client(handle).apply(changes);
    return Buffer.concat(sent);
  };
  // More than any block that was used before in this file.
  const list = adds(70_000);
  // Its length says nothing, as it goes through another array.
  const odd: Change[] = [];
  odd[Symbol.iterator] = () => list.values();
  const [one, other, array] = [await send(odd), await send(list.values()), await send(list)];
  expect(one.length).toBe(70_000 * LAYOUT.ChangeRecord.size);
  expect(one.equals(other)).toBe(true);
  expect(one.equals(array)).toBe(true);
});

test('applies one after another, and two at once, send what each was given', async () => {
  const sent: string[] = [];
  const handle = new ScriptedHandle((_, request) => {
    sent.push(Buffer.from(request).toString('base64'));
    return results(request, () => 0);
  });
  const client = new Client(handle);
  const alone = async (changes: Change[]): Promise<string[]> => {
    sent.length = 0;
    await client.apply(changes);
    return [...sent];
  };
  const other = (count: number): Change[] =>
    adds(count).map(({ service }) => ({ op: 'deleteService', service }));
  const large = await alone(adds(6000));
  // More than any block that was used before in this file.
  const bytes = large.reduce((sum, text) => sum + Buffer.from(text, 'base64').length, 0);
  expect(bytes).toBe(6000 * LAYOUT.ChangeRecord.size);
  const small = await alone(other(3000));
  // A block of before is used again: nothing of it may show.
  expect(await alone(adds(6000))).toEqual(large);
  expect(await alone(other(3000))).toEqual(small);
  sent.length = 0;
  await Promise.all([client.apply(adds(6000)), client.apply(other(3000))]);
  expect(sent.sort()).toEqual([...large, ...small].sort());
});

test('an array that becomes longer or shorter while it is read counts as it was read', async () => {
  const client = new Client(new ScriptedHandle((_, request) => results(request, () => 0)));
  for (const change of [2500, -2500]) {
    const list = adds(5000);
    const extra = adds(2500);
    let once = true;
    Object.defineProperty(list[10], 'op', {
      get: () => {
        if (once) {
          if (change > 0) list.push(...extra);
          else list.length += change;
        }
        once = false;
        return 'addService';
      },
    });
    const outcomes = await client.apply(list);
    expect(outcomes).toHaveLength(5000 + change);
    expect(outcomes.every(({ status }) => status === 'done')).toBe(true);
  }
});

test('an empty apply does nothing', async () => {
  const handle = new ScriptedHandle(() => new ArrayBuffer(0));
  await expect(new Client(handle).apply([])).resolves.toEqual([]);
  expect(handle.calls).toEqual([]);
});

test('one invalid change among many refuses all of them, and says which', async () => {
  const handle = new ScriptedHandle((_, request) => results(request, () => 0));
  const changes = adds(2000);
  changes[1500] = {
    op: 'addService',
    service: { protocol: 'tcp', address: '10.0.0.300', port: 80 },
  };
  await expect(new Client(handle).apply(changes)).rejects.toThrow(
    /^apply: change 1501, addService; nothing was done: address: "10.0.0.300" is not an IPv4 address/,
  );
  expect(handle.calls).toEqual([]);
});

test('a change that is none is named', async () => {
  const client = new Client(new ScriptedHandle(() => new ArrayBuffer(0)));
  for (const [change, words] of [
    [{ op: 'addServices', service: 'fwmark:7' }, /op: "addServices" is no change: use addService/],
    [null, /change 1/],
    [7, /change 1/],
  ] as const) {
    await expect(client.apply([change as never])).rejects.toThrow(words);
    await expect(client.apply([change as never])).rejects.toMatchObject({
      code: 'ERR_IPVS_INVALID',
    });
  }
  await expect(client.apply(undefined as never)).rejects.toMatchObject({
    code: 'ERR_IPVS_INVALID',
  });
  await expect(client.apply([], { onError: 'ignore' as never })).rejects.toThrow(
    /onError: "ignore"/,
  );
});

test('what was not tried after an error says so', async () => {
  const handle = new ScriptedHandle((_, request) =>
    results(request, (row) => (row < 3 ? 0 : row === 3 ? 17 : -1)),
  );
  const outcomes = await new Client(handle).apply(adds(2500), { onError: 'stop' });
  expect(handle.calls).toEqual([
    { op: Op.applyUntilError, bytes: 2048 * LAYOUT.ChangeRecord.size },
  ]);
  expect(outcomes.slice(0, 5).map(({ status }) => status)).toEqual([
    'done',
    'done',
    'done',
    'failed',
    'not tried',
  ]);
  expect(outcomes).toHaveLength(2500);
  expect(outcomes[2499]?.status).toBe('not tried');
  expect(outcomes[3]?.error).toMatchObject({ code: 'EEXIST', operation: 'addService' });
});

test('an abort between two slices says what was done', async () => {
  const stop = new AbortController();
  const handle = new ScriptedHandle((_, request) => {
    stop.abort(new Error('enough'));
    return results(request, () => 0);
  });
  const error: unknown = await new Client(handle)
    .apply(adds(5000), { signal: stop.signal })
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ApplyError);
  expect(error).toMatchObject({
    code: 'ABORT_ERR',
    operation: 'apply',
    cause: { message: 'enough' },
  });
  expect((error as Error).message).toMatch(
    /2048 of 5000 changes were done, 0 failed, 2952 were not tried/,
  );
  expect((error as ApplyError).outcomes.filter(({ status }) => status === 'done')).toHaveLength(
    2048,
  );
  expect(handle.calls).toHaveLength(1);
});

test('a failure of the socket in the middle says what was done', async () => {
  let calls = 0;
  const handle = new ScriptedHandle((_, request) => {
    if (++calls === 2) throw failure('receive', 12);
    return results(request, () => 0);
  });
  const error: unknown = await new Client(handle)
    .apply(adds(5000))
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'ENOMEM', operation: 'apply' });
  expect((error as ApplyError).outcomes.map(({ status }) => status).indexOf('not tried')).toBe(
    2048,
  );
});

// An answer that was lost: the kernel may or may not have done the change.
function losing(found: (op: Op, request: Uint8Array) => ArrayBuffer): Client {
  return new Client(
    new ScriptedHandle((op, request) =>
      op === Op.apply ? results(request, () => 105) : found(op, request),
    ),
  );
}
const serviceRow = (request: Uint8Array, tweak = 0): ArrayBuffer => {
  const row = Records.of(LAYOUT.ServiceRow.size, 1);
  row.bytes.set(
    request.subarray(LAYOUT.ChangeRecord.service, LAYOUT.ChangeRecord.size),
    LAYOUT.ServiceRow.service,
  );
  row.bytes[LAYOUT.ServiceRow.settings] = (row.bytes[LAYOUT.ServiceRow.settings] ?? 0) + tweak;
  return row.buffer;
};
const destinationRow = (request: Uint8Array): ArrayBuffer => {
  const row = Records.of(LAYOUT.DestinationRow.size, 1);
  row.bytes.set(
    request.subarray(LAYOUT.ChangeRecord.destination),
    LAYOUT.DestinationRow.destination,
  );
  return row.buffer;
};
const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;

test('a lost answer is looked up: a change found done is done', async () => {
  const present = losing((op, request) =>
    op === Op.service ? serviceRow(request) : destinationRow(request),
  );
  await expect(present.addService(web)).resolves.toBeUndefined();
  await expect(
    present.addDestination(web, { address: '192.0.2.1', port: 80 }),
  ).resolves.toBeUndefined();
  const absent = losing(() => new ArrayBuffer(0));
  await expect(absent.deleteService(web)).resolves.toBeUndefined();
  await expect(absent.deleteDestination(web, '192.0.2.1:80')).resolves.toBeUndefined();
});

test('a lost answer to a change that was not done is an error that says so', async () => {
  const other = losing((op, request) =>
    op === Op.service ? serviceRow(request, 1) : new ArrayBuffer(0),
  );
  const lost = { code: 'ENOBUFS', errno: 105 };
  await expect(other.addService(web)).rejects.toMatchObject(lost);
  await expect(other.addDestination(web, { address: '192.0.2.1', port: 80 })).rejects.toMatchObject(
    lost,
  );
  await expect(other.deleteService(web)).rejects.toThrow(/may or may not have been done/);
});

test('a torn reply is an error, never wrong rows', async () => {
  const torn = new Client(new ScriptedHandle(() => new ArrayBuffer(33)));
  await expect(torn.services()).rejects.toMatchObject({ code: 'ERR_IPVS_REPLY' });
  await expect(torn.snapshot()).rejects.toMatchObject({ code: 'ERR_IPVS_REPLY' });
  await expect(torn.apply(adds(1))).rejects.toMatchObject({ code: 'ERR_IPVS_REPLY' });
});

test('fewer outcomes than changes is an error, never success', async () => {
  const short = new Client(new ScriptedHandle(() => new ArrayBuffer(0)));
  await expect(short.apply(adds(2))).rejects.toMatchObject({ code: 'ERR_IPVS_REPLY' });
  await expect(short.addService(web)).rejects.toMatchObject({ code: 'ERR_IPVS_REPLY' });
});

test('the synchronous client does and refuses the same', () => {
  const handle = new ScriptedHandle((_, request) =>
    results(request, (row) => (row === 0 ? 17 : 0)),
  );
  const client = new SyncClient(handle);
  expect(() => {
    client.addService(web);
  }).toThrow(expect.objectContaining({ code: 'EEXIST', operation: 'addService' }) as Error);
  expect(client.apply(adds(2)).map(({ status }) => status)).toEqual(['failed', 'done']);
  client.close();
  client.close();
  expect(client.closed).toBe(true);
  expect(() => client.services()).toThrow(
    expect.objectContaining({ code: 'ERR_IPVS_CLOSED' }) as Error,
  );
});

test('reading a large table lets others have the thread', async () => {
  const rows = new ArrayBuffer(LAYOUT.ServiceRow.size * 100_000);
  const client = new Client(new ScriptedHandle(() => rows));
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const found = await client.services();
  clearInterval(timer);
  expect(found).toHaveLength(100_000);
  expect(turns).toBeGreaterThan(2);
});

/** Lists so many services, with so many destinations each. */
function listing(services: number, each: number): ScriptedHandle {
  const { ChangeRecord, ServiceRow, DestinationRow } = LAYOUT;
  return new ScriptedHandle((op, request) => {
    if (op === Op.services) return new ArrayBuffer(ServiceRow.size * services);
    if (op === Op.apply) return results(request, () => 0);
    const count = (request.byteLength / ChangeRecord.size) * each;
    const rows = new Records(new ArrayBuffer(DestinationRow.size * count));
    for (let i = 0; i < count; i++)
      rows.u32[(i * DestinationRow.size + DestinationRow.service) >> 2] = Math.floor(i / each);
    return rows.buffer;
  });
}

test.each([
  [0, [256, ...Array<number>(5).fill(512), 184]],
  [5, [256, ...Array<number>(5).fill(512), 184]],
  [100, [256, ...Array<number>(26).fill(102), 92]],
  [5000, [256, ...Array<number>(343).fill(8)]],
])(
  'destinations are read for as many services at once as have ten thousand together: %i each',
  async (each, portions) => {
    for (const name of ['snapshot', 'servers'] as const) {
      const services = each === 5000 ? 272 : 3000;
      const handle = listing(services, each);
      expect(await new Client(handle)[name]()).toHaveLength(services);
      const asked = slicesOf(handle).slice(1);
      expect(asked).toEqual(portions.slice(0, asked.length));
      expect(asked.reduce((sum, count) => sum + count)).toBe(services);
    }
  },
);

test.each(['snapshot', 'servers', 'services', 'apply'] as const)(
  '%s gives back the memory of every reply, once, when it has been read',
  async (name) => {
    const handle = listing(600, 1);
    const client = new Client(handle);
    const found = await (name === 'apply' ? client.apply(adds(5000)) : client[name]());
    expect(found).toHaveLength(name === 'apply' ? 5000 : 600);
    expect(handle.given.length).toBeGreaterThan(0);
    expect(handle.released.toSorted(byTurn)).toEqual(handle.given);
    function byTurn(one: ArrayBuffer, other: ArrayBuffer): number {
      return handle.given.indexOf(one) - handle.given.indexOf(other);
    }
  },
);
