// Watching connections: what differs between snapshots, against a naive model; and the loop around it.
import fc from 'fast-check';
import type { Ipvs } from '../lib/client';
import { compare, Snapshot } from '../lib/connection-diff';
import type { Connection, ConnectionTable } from '../lib/connections';
import { MemoryKernel } from '../lib/memory';
import type { ConnectionChange } from '../lib/watch';

function connection(client: string, state = 'ESTABLISHED', destination = '192.0.2.10'): Connection {
  return {
    protocol: 'tcp',
    client: { address: client, port: 1024 },
    virtual: { address: client.includes(':') ? '2001:db8::1' : '10.0.0.1', port: 80 },
    destination: { address: destination, port: 80 },
    state,
    expires: 60,
  };
}

const tableOf = (rows: readonly Connection[]): ConnectionTable => {
  const kernel = new MemoryKernel();
  kernel.setConnections(rows);
  return kernel.openSync().connections();
};

function finish<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

const snapshot = (rows: readonly Connection[], seed = 1): Snapshot =>
  finish(Snapshot.of(tableOf(rows), seed));

/** Everything that tells connections apart, as text. */
const identity = ({ protocol, client, virtual, destination }: Connection): string =>
  JSON.stringify([protocol, client, virtual, destination]);

/** The same with a Map of strings. */
function naively(before: readonly Connection[], after: readonly Connection[]): string[] {
  const old = new Map(before.map((row) => [identity(row), row]));
  const now = new Map(after.map((row) => [identity(row), row]));
  const changes: string[] = [];
  for (const [key, row] of old) {
    const found = now.get(key);
    if (found === undefined) changes.push(`closed ${key} ${row.state}`);
    else if (found.state !== row.state) changes.push(`changed ${key} ${row.state} ${found.state}`);
  }
  for (const [key, row] of now) if (!old.has(key)) changes.push(`opened ${key} ${row.state}`);
  return changes.sort();
}

function diff(before: Snapshot, after: Snapshot): string[] {
  const changes: string[] = [];
  for (const change of compare(before, after)) {
    if (change === undefined) continue;
    const row = (change.kind === 'closed' ? before : after).table.at(change.row) as Connection;
    const was = before.table.at(change.before ?? 0);
    const words = change.kind === 'changed' ? [was?.state, row.state] : [row.state];
    changes.push([change.kind, identity(row), ...words].join(' '));
  }
  return changes.sort();
}

// Few enough of each that rows repeat, collide and differ in one thing alone.
const row: fc.Arbitrary<Connection> = fc
  .record({
    six: fc.boolean(),
    protocol: fc.constantFrom('tcp', 'udp', 'ip'),
    client: fc.constantFrom('1', '2', '3'),
    ports: fc.array(fc.constantFrom(0, 1, 65535), { minLength: 3, maxLength: 3 }),
    destination: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1', '::', '0.0.0.0'),
    state: fc.constantFrom('ESTABLISHED', 'FIN_WAIT', 'UDP', 'NONE', 'COOKIE'),
    expires: fc.nat(900),
  })
  .map(({ six, protocol, client, ports: [one = 0, two = 0, three = 0], ...rest }) => ({
    protocol,
    client: { address: six ? `2001:db8::${client}` : `198.51.100.${client}`, port: one },
    virtual: { address: six ? '2001:db8::5' : '10.0.0.1', port: two },
    destination: { address: rest.destination, port: three },
    state: rest.state,
    expires: rest.expires,
  }));

describe('the difference of two snapshots', () => {
  it('is what a Map of strings finds', () => {
    const rows = fc.array(row, { maxLength: 60 });
    fc.assert(
      fc.property(rows, rows, fc.array(fc.nat()), fc.integer(), (one, two, kept, seed) => {
        // Most connections stay; some of them in another state.
        const after = [...kept.flatMap((i) => one[i % Math.max(1, one.length)] ?? []), ...two];
        expect(diff(snapshot(one, seed), snapshot(after, seed))).toEqual(naively(one, after));
      }),
    );
  });

  it('is right from each snapshot to the next', () => {
    fc.assert(
      fc.property(fc.array(fc.array(row, { maxLength: 30 }), { minLength: 2 }), (all) => {
        let before = snapshot(all[0] ?? []);
        for (let i = 1; i < all.length; i++) {
          const after = snapshot(all[i] ?? []);
          expect(diff(before, after)).toEqual(naively(all[i - 1] ?? [], all[i] ?? []));
          before = after;
        }
      }),
      { numRuns: 50 },
    );
  });

  it('does not see what the walk of the kernel repeats; of those, the last one counts', () => {
    const [a, b] = [connection('198.51.100.1'), connection('198.51.100.2')];
    expect(diff(snapshot([a, b]), snapshot([a, b, a, b]))).toEqual([]);
    expect(diff(snapshot([a, b, a]), snapshot([b, a]))).toEqual([]);
    const fin = { ...a, state: 'FIN_WAIT' };
    expect(diff(snapshot([a]), snapshot([a, fin]))).toHaveLength(1);
    expect(diff(snapshot([a, fin]), snapshot([fin]))).toEqual([]);
  });

  it('takes time in proportion to the rows, and gives others a turn', () => {
    // The test runner makes Math slow.
    const count = 20_000;
    const table = tableOf([connection('198.51.100.1')]);
    const words = new Uint32Array(4 * count);
    for (let i = 0; i < count; i++) words[4 * i] = i;
    const column = <T extends Uint8Array | Uint16Array | Uint32Array>(of: T): T =>
      of.constructor === Uint8Array
        ? (new Uint8Array(count).fill(of[0] ?? 0) as T)
        : (new Uint16Array(count).fill(of[0] ?? 0) as T);
    const { columns } = table;
    const big = {
      length: count,
      states: table.states,
      columns: {
        protocol: column(columns.protocol),
        family: column(columns.family),
        state: column(columns.state),
        clientPort: column(columns.clientPort),
        virtualPort: column(columns.virtualPort),
        destinationPort: column(columns.destinationPort),
        clientAddress: new Uint8Array(words.buffer),
        virtualAddress: new Uint8Array(16 * count),
        destinationAddress: new Uint8Array(16 * count),
      },
    } as unknown as ConnectionTable;
    let longest = 0;
    let last = performance.now();
    const turn = (): void => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    };
    const make = (): Snapshot => {
      const work = Snapshot.of(big, 7);
      for (;;) {
        const step = work.next();
        turn();
        if (step.done === true) return step.value;
      }
    };
    const [one, two] = [make(), make()];
    let changes = 0;
    for (const change of compare(one, two)) {
      turn();
      if (change !== undefined) changes++;
    }
    expect(changes).toBe(0);
    // Turns are of four milliseconds; a busy machine may take the thread away in the middle of one.
    expect(longest).toBeLessThan(200);
  });
});

describe('watchConnections', () => {
  let kernel: MemoryKernel;
  let client: Ipvs;
  /** How often the table was read, and whether that ever happened twice at once. */
  let reads: number;
  let most: number;
  beforeEach(() => {
    kernel = new MemoryKernel();
    client = kernel.open();
    reads = most = 0;
    let under = 0;
    const read = client.connections.bind(client);
    client.connections = async (...args) => {
      reads++;
      most = Math.max(most, ++under);
      try {
        return await read(...args);
      } finally {
        under--;
      }
    };
  });
  afterEach(async () => {
    await client.close();
  });

  const A = connection('198.51.100.1');
  const B = connection('198.51.100.2');
  const told = ({ kind, connection, ...rest }: ConnectionChange): unknown[] => [
    kind,
    connection.client.address,
    connection.state,
    ...Object.values(rest),
  ];
  const until = async (what: () => boolean): Promise<void> => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('tells what opened, changed and closed, not what was there', async () => {
    kernel.setConnections([A]);
    const changes = client.watchConnections({ interval: 5 });
    const first = changes.next();
    await until(() => reads >= 1);
    kernel.setConnections([A, B]);
    expect(told((await first).value as ConnectionChange)).toEqual([
      'opened',
      '198.51.100.2',
      'ESTABLISHED',
    ]);
    kernel.setConnections([{ ...A, state: 'FIN_WAIT' }]);
    const found = [await changes.next(), await changes.next()].map(({ value }) =>
      told(value as ConnectionChange),
    );
    expect(found).toEqual([
      ['changed', '198.51.100.1', 'FIN_WAIT', 'ESTABLISHED'],
      ['closed', '198.51.100.2', 'ESTABLISHED'],
    ]);
    await changes.return?.();
    expect(await changes.next()).toEqual({ done: true, value: undefined });
  });

  it('takes no snapshot while the loop is busy, never two at once, and tells what came of it', async () => {
    const changes = client.watchConnections({ interval: 1 });
    const first = changes.next();
    await until(() => reads >= 1);
    kernel.setConnections([A]);
    await first;
    const before = reads;
    for (const state of ['FIN_WAIT', 'TIME_WAIT', 'CLOSE']) {
      kernel.setConnections([{ ...A, state }]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(reads).toBe(before);
    const both = [changes.next(), changes.next()];
    expect(told((await both[0])?.value as ConnectionChange)).toEqual([
      'changed',
      '198.51.100.1',
      'CLOSE',
      'ESTABLISHED',
    ]);
    kernel.setConnections([]);
    expect(told((await both[1])?.value as ConnectionChange)[0]).toBe('closed');
    expect(most).toBe(1);
    await changes.return?.();
  });

  it('with a state tells of those that enter and leave it', async () => {
    kernel.setConnections([A, B]);
    const filter = { state: 'FIN_WAIT', client: '198.51.100.1' };
    const changes = client.watchConnections({ interval: 5, filter });
    const first = changes.next();
    await until(() => reads >= 1);
    kernel.setConnections([{ ...A, state: 'FIN_WAIT' }]);
    expect(told((await first).value as ConnectionChange)).toEqual([
      'changed',
      '198.51.100.1',
      'FIN_WAIT',
      'ESTABLISHED',
    ]);
    kernel.setConnections([{ ...A, state: 'CLOSE' }]);
    expect(told((await changes.next()).value as ConnectionChange)).toEqual([
      'changed',
      '198.51.100.1',
      'CLOSE',
      'FIN_WAIT',
    ]);
    await changes.return?.();
  });

  it('ends at once when it is told to, while it waits: by its own return, by closing, by its signal', async () => {
    const start = performance.now();
    const one = client.watchConnections({ interval: 60_000 });
    const waiting = one.next();
    await until(() => reads >= 1);
    await one.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });

    const controller = new AbortController();
    const two = client.watchConnections({ interval: 60_000, signal: controller.signal }).next();
    await until(() => reads >= 2);
    controller.abort('enough');
    await expect(two).rejects.toMatchObject({
      code: 'ABORT_ERR',
      operation: 'watchConnections',
      cause: 'enough',
    });

    const three = client.watchConnections({ interval: 60_000 }).next();
    await until(() => reads >= 3);
    await client.close();
    expect(await three).toEqual({ done: true, value: undefined });
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it('fails with what is wrong', async () => {
    const next = (options: object): Promise<unknown> => client.watchConnections(options).next();
    await expect(next({ interval: 0 })).rejects.toMatchObject({
      code: 'ERR_IPVS_INVALID',
      message:
        'watchConnections: interval: 0 is out of range: use a whole number from 1 to 86400000',
    });
    await expect(next({ filter: { state: 7 } })).rejects.toMatchObject({
      code: 'ERR_IPVS_INVALID',
    });
    await expect(next({ filter: { clients: '' } })).rejects.toMatchObject({
      code: 'ERR_IPVS_INVALID',
    });
    await expect(next({ source: 'auto' })).rejects.toThrow(/source: "auto" is nothing to watch/);
    await expect(next({ signal: 'x' })).rejects.toThrow(/signal: "x" is no AbortSignal/);
    await expect(next({ intervall: 5 })).rejects.toThrow(/intervall/);
    await expect(next({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORT_ERR',
    });
    await client.close();
    await expect(next({})).rejects.toMatchObject({ code: 'ERR_IPVS_CLOSED' });
    expect(reads).toBe(1);
  });
});
