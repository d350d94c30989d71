// A table too large to be read at once: what it costs, and what may happen in the middle.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Ipvs } from '../../lib';
import { feed } from './feed';
import { Namespace } from './helpers';
import { rawRows } from './traffic';

jest.setTimeout(180_000);

const COUNT = 20_000;
const PROGRAM = path.join(__dirname, 'programs/connections.js');

let namespace: Namespace;
let client: Ipvs;

beforeAll(async () => {
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
});

interface Report {
  readonly length: number;
  readonly kept: number;
  /** With the table, with a view of one column, and with neither. */
  readonly heap: readonly number[];
  readonly outside: readonly number[];
}

async function report<T>(what: string, ...flags: string[]): Promise<T> {
  const args = [...flags, PROGRAM, namespace.name, what];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  expect(stderr).toBe('');
  return JSON.parse(stdout || 'null') as T;
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

test('the memory is outside of the heap, and comes back with the last view', async () => {
  const flags = ['--expose-gc', '--max-old-space-size=32'];
  const { length, kept, heap, outside } = await report<Report>('memory', ...flags);
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
});

test('a process may end in the middle, and a worker thread', async () => {
  expect(await report('exit')).toBeNull();
  expect(await report('worker')).toEqual({ length: COUNT });
});

test('a signal stops it in the middle, and the client goes on', async () => {
  const begun = performance.now();
  await client.connections();
  const whole = performance.now() - begun;
  const reason = new Error('enough');
  const controller = new AbortController();
  const started = performance.now();
  const reading = client.connections({}, { signal: controller.signal });
  const waiting = client.connections({}, { signal: controller.signal });
  const next = client.info();
  setTimeout(() => {
    controller.abort(reason);
  }, whole / 10);
  const aborted = { code: 'ABORT_ERR', operation: 'connections', cause: reason };
  const both = await Promise.allSettled([reading, waiting]);
  expect(both).toMatchObject([{ reason: aborted }, { reason: aborted }]);
  await next;
  expect(performance.now() - started).toBeLessThan(whole);
  expect((await client.connections()).length).toBe(COUNT);
});

test('closing stops it in the middle', async () => {
  const other = await namespace.open();
  const reading = other.connections();
  const closed = { code: 'ERR_IPVS_CLOSED', operation: 'connections' };
  const refused = expect(reading).rejects.toMatchObject(closed);
  await new Promise((resolve) => setTimeout(resolve, 10));
  await other.close();
  await refused;
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
  doomed.delete();
  expect((await reading).length).toBe(2000);
  expect((await other.connections()).length).toBe(2000);
  await other.close();
});
