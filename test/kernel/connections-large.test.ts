// A table too large to be read at once: what it costs, and what may happen in the middle.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Connection, Ipvs } from '../../lib';
import { failureOf } from '../contract/kit';
import { feed } from './feed';
import { Namespace } from './helpers';
import { rawRows } from './traffic';

jest.setTimeout(180_000);

/** Several slices of a reading. */
const COUNT = 50_000;
const PROGRAM = path.join(__dirname, 'programs/connections.js');

let namespace: Namespace;
let client: Ipvs;
let scratch: string;

beforeAll(async () => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'ipvs-connections-'));
  namespace = new Namespace();
  client = await namespace.open();
  feed(namespace, {
    count: COUNT,
    client: '10.0.0.1:1024',
    services: ['192.0.2.1:80', '192.0.2.2:443'],
    destinations: ['198.51.100.1:8080', '198.51.100.2:8080'],
    states: [1, 4],
  });
});
afterAll(async () => {
  await client.close();
  namespace.delete();
  rmSync(scratch, { recursive: true });
});

interface Environment {
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

async function report<T>(what: string, { flags = [], env = {} }: Environment = {}): Promise<T> {
  const args = [...flags, PROGRAM, namespace.name, what];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    timeout: 60_000,
    maxBuffer: 1 << 28,
    env: { ...process.env, ...env },
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as T;
}

test('as many rows as the file has lines, in an order of its own', async () => {
  const table = await client.connections();
  expect(table.length).toBe(COUNT);
  const ports = (rows: Iterable<{ client: { address: string; port: number } }>): Set<string> =>
    new Set(Array.from(rows, ({ client: { address, port } }) => `${address} ${port}`));
  expect(ports(table)).toEqual(ports(rawRows(namespace)));
  expect(Object.fromEntries(table.countBy('destination'))).toEqual({
    '198.51.100.1:8080': COUNT / 2,
    '198.51.100.2:8080': COUNT / 2,
  });
});

/** An environment where memory that is not V8's is refused, and how often it was. */
function refusing(): { env: NodeJS.ProcessEnv; refusals: () => number } {
  const library = path.join(scratch, 'refuse.so');
  const source = path.join(__dirname, 'programs/refuse.c');
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source]);
  const file = path.join(scratch, 'refusals');
  return {
    env: { LD_AUDIT: library, REFUSALS: file },
    refusals: () => readFileSync(file).length,
  };
}

describe('the memory', () => {
  interface Report {
    readonly length: number;
    readonly kept: number;
    /** With the table, with a view of one column, and with neither. */
    readonly heap: readonly number[];
    readonly outside: readonly number[];
  }

  function expectOutside({ length, kept, heap, outside }: Report): void {
    expect(length).toBe(COUNT);
    expect(kept).toBeGreaterThan(0);
    const [all = 0, one = 0, none = 0] = outside.map((bytes) => bytes / COUNT);
    expect(all).toBeGreaterThanOrEqual(61);
    expect(all).toBeLessThan(96);
    // Four bytes a row and what the process has anyhow.
    expect(one).toBeGreaterThanOrEqual(4);
    expect(one).toBeLessThan(40);
    expect(none).toBeLessThan(36);
    // A few kilobytes of objects, whatever the number of rows.
    expect(Math.max(...heap) / COUNT).toBeLessThan(10);
  }
  const flags = ['--expose-gc', '--max-old-space-size=32'];

  test('is outside of the heap, and comes back with the last view', async () => {
    expectOutside(await report<Report>('memory', { flags }));
  });

  test('is copied where the runtime takes none but its own', async () => {
    const { env, refusals } = refusing();
    expectOutside(await report<Report>('memory', { flags, env }));
    const before = refusals();
    expect(before).toBeGreaterThanOrEqual(10);
    const rows = await report<Connection[]>('rows', { env });
    expect(refusals()).toBeGreaterThanOrEqual(before + 10);
    expect(rows).toEqual(rawRows(namespace).map((row) => ({ ...row, expires: undefined })));
  });
});

describe('nobody waits for the whole of it', () => {
  test('when worker threads are terminated in the middle', async () => {
    const { codes, whole, after, length } = await report<{
      codes: number[];
      whole: number;
      after: number;
      length: number;
    }>('worker');
    expect(codes).toEqual([1, 1, 1]);
    // Three of them, each of which would take as long as that.
    expect(after).toBeLessThan(whole);
    expect(length).toBe(COUNT);
  });

  test('when a process ends in the middle', async () => {
    // All the CPU that the program had until it was gone, behind what it says itself.
    const script =
      'my $s = system @ARGV; my @t = times; print 1000 * ($t[2] + $t[3]); exit $s >> 8';
    const args = ['-e', script, process.execPath, PROGRAM, namespace.name, 'exit'];
    const ended = await promisify(execFile)('perl', args, { timeout: 60_000 }).catch(
      (error: unknown) => error,
    );
    expect(ended).toMatchObject({ code: 7, stderr: '' });
    const [said = '', total] = (ended as { stdout: string }).stdout.split('\n');
    const { whole, before } = JSON.parse(said) as { whole: number; before: number };
    expect(Number(total) - before).toBeLessThan(whole / 3);
  });

  test('when other calls want the thread', async () => {
    // More readings than the pool has threads.
    const readers = await Promise.all(Array.from({ length: 5 }, () => namespace.open()));
    const order: string[] = [];
    const readings = readers.map((reader) =>
      reader.connections().then(() => order.push('a reading')),
    );
    await turn();
    await client.info();
    order.push('info');
    await Promise.all(readings);
    expect(order[0]).toBe('info');
    await Promise.all(readers.map((reader) => reader.close()));
  });
});

test('a signal stops it in the middle, and the client goes on', async () => {
  const reason = new Error('enough');
  const controller = new AbortController();
  // The one that runs, and the one that waits for it.
  const refusals = [1, 2].map(() =>
    failureOf(client.connections({}, { signal: controller.signal })),
  );
  const next = client.info();
  // A reading needs this thread between its slices, so it cannot be over before.
  await turn();
  controller.abort(reason);
  const aborted = { code: 'ABORT_ERR', operation: 'connections', cause: reason };
  for (const refusal of await Promise.all(refusals)) expect(refusal).toMatchObject(aborted);
  await next;
  expect((await client.connections()).length).toBe(COUNT);
});

test('closing stops it in the middle', async () => {
  const other = await namespace.open();
  const refusal = failureOf(other.connections());
  await turn();
  await other.close();
  expect(await refusal).toMatchObject({ code: 'ERR_IPVS_CLOSED', operation: 'connections' });
});

test('a namespace that is deleted in the middle is there until it is read', async () => {
  const doomed = new Namespace();
  const other = await doomed.open();
  feed(doomed, {
    count: 2000,
    client: '10.9.0.1:1024',
    services: ['192.0.2.1:80'],
    destinations: ['198.51.100.1:8080'],
  });
  const reading = other.connections();
  await turn();
  doomed.delete();
  expect((await reading).length).toBe(2000);
  expect((await other.connections()).length).toBe(2000);
  await other.close();
});
