// Reconciling a real kernel: requests that go on meanwhile, processes killed in the middle, and other writers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VirtualServer } from '../../lib/model';
import { plan } from '../../lib/plan';
import { reconcile } from '../../lib/reconcile';
import { States, roundsOf } from '../reconciling';
import { Namespace } from './helpers';

const ROOT = join(__dirname, '../..');
const FOREIGN = '10.9.9.9';
const space = new Namespace();
afterAll(() => {
  space.delete();
});

test('requests go on without one failure through every change; with delete-and-add they do not', () => {
  for (const address of ['198.51.100.1', '198.51.100.2', '10.0.1.2', '10.0.2.2', '10.0.3.2']) {
    space.ip('address', 'add', `${address}/32`, 'dev', 'lo');
  }
  const program = join(__dirname, 'programs/traffic.js');
  const results = JSON.parse(space.run(process.execPath, program, ROOT)) as Record<
    string,
    { readonly sent: number; readonly failed: number }
  >;
  const { 'delete and add': worst, ...chapters } = results;
  for (const [name, { sent, failed }] of Object.entries(chapters)) {
    expect([name, sent > 3, failed]).toEqual([name, true, 0]);
  }
  expect(Object.keys(chapters)).toHaveLength(5);
  expect(worst?.failed).toBeGreaterThan(0);
  space.ipvsadm('-C');
}, 120_000);

test('killed at fifty moments, the next one gets there, and what is not ours is untouched', async () => {
  const client = await space.open();
  const theirs: VirtualServer = {
    protocol: 'tcp',
    address: FOREIGN,
    port: 80,
    scheduler: 'sh',
    persistence: { timeout: 77 },
    destinations: [{ address: '192.0.2.99', port: 80, weight: 9, upperThreshold: 8 }],
  };
  await client.apply(plan([theirs], []));
  const isTheirs = (server: VirtualServer): boolean =>
    'address' in server && server.address === FOREIGN;
  const before = (await client.servers()).filter(isTheirs);
  let halfway = 0;
  let last = '';
  for (let i = 0; i < 50; i++) {
    const args = [join(__dirname, 'programs/reconciling.js'), ROOT, space.name, FOREIGN];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    await sleep(Math.random() * 500);
    child.kill('SIGKILL');
    await exited;
    const found = await client.servers();
    expect(found.filter(isTheirs)).toEqual(before);
    const now = JSON.stringify(found);
    if (now !== last) halfway++;
    last = now;
  }
  // Not always in the same state.
  expect(halfway).toBeGreaterThan(2);
  const desired: VirtualServer[] = [
    {
      protocol: 'tcp',
      address: '10.1.0.1',
      port: 80,
      destinations: [{ address: '192.0.2.1', port: 80 }],
    },
  ];
  const owns = (key: object): boolean => !('address' in key && key.address === FOREIGN);
  const options = { owns, maxLoss: 1, drain: { timeout: 100 } };
  await roundsOf(reconcile(new States().push(desired).end(), client, options));
  const end = await client.servers();
  expect(end.filter(isTheirs)).toEqual(before);
  expect(
    plan(
      desired,
      end.filter((server) => !isTheirs(server)),
      { owns },
    ).empty,
  ).toBe(true);
  await client.flush();
  await client.close();
}, 240_000);
