// ipvs apply --drain as a process, with connections that are real.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ipvs } from '../../lib/client';
import { Namespace } from './helpers';

const PROGRAM = path.join(__dirname, '../../dist/cli/main.js');
const WEB = { protocol: 'tcp', address: '198.51.100.1', port: 80 } as const;
const STAYS = '10.0.1.2';
const LEAVES = '10.0.2.2';

// One for each test: a destination that is added again has its old connections again.
let space: Namespace;
let client: Ipvs;
let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-drain-'));
  space = new Namespace();
  for (const address of [WEB.address, STAYS, LEAVES]) {
    space.ip('address', 'add', `${address}/32`, 'dev', 'lo');
  }
  client = await space.open();
  await client.addService({ ...WEB, scheduler: 'rr' });
  for (const address of [STAYS, LEAVES]) await client.addDestination(WEB, { address, port: 8080 });
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await client.close();
  space.delete();
  rmSync(folder, { recursive: true });
});

interface Run {
  readonly child: ChildProcess;
  readonly end: Promise<{ status: number | null; stdout: string; stderr: string }>;
}

const children: ChildProcess[] = [];

function start(...args: readonly string[]): Run {
  const child = spawn('ip', ['netns', 'exec', space.name, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (text.stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (text.stderr += String(chunk)));
  const end = once(child, 'close').then(([status]: (number | null)[]) => ({
    status: status ?? null,
    ...text,
  }));
  return { child, end };
}

function apply(...flags: readonly string[]): Run {
  const file = path.join(folder, 'web.yaml');
  writeFileSync(
    file,
    `services: [{ service: 'tcp://${WEB.address}:80', scheduler: rr, destinations: ['${STAYS}:8080'] }]\n`,
  );
  return start(PROGRAM, 'apply', '-f', file, ...flags);
}

async function weightOf(address: string): Promise<number | undefined> {
  return (await client.destinations(WEB)).find((one) => one.address === address)?.weight;
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await what()) return;
    await sleep(50);
  }
  throw new Error('it does not come');
}

/** How requests go while a state is applied that one of two servers is not in. */
async function requestsDuring(flags: readonly string[]): Promise<{ sent: number; failed: number }> {
  const requests = start(path.join(__dirname, 'programs/requests.js'), WEB.address, STAYS, LEAVES);
  const { stdout } = requests.child;
  if (stdout === null) throw new Error('it writes to a pipe');
  await once(stdout, 'data');
  await sleep(200);
  requests.child.kill('SIGUSR2');
  await until(async () =>
    (await client.destinations(WEB)).every(({ activeConnections }) => activeConnections > 0),
  );
  const { status } = await apply(...flags).end;
  expect(status).toBe(0);
  expect(await weightOf(LEAVES)).toBeUndefined();
  requests.child.kill('SIGTERM');
  const { stdout: text } = await requests.end;
  return JSON.parse(text.replaceAll('listening\n', '')) as { sent: number; failed: number };
}

test('a server leaves, and not one request fails', async () => {
  const { sent, failed } = await requestsDuring(['--drain=3']);
  expect(sent).toBeGreaterThan(20);
  expect(failed).toBe(0);
}, 60_000);

test('without --drain some do', async () => {
  expect((await requestsDuring([])).failed).toBeGreaterThan(0);
}, 60_000);

test('Ctrl-C leaves it draining and says so; the next one goes on, and ends with the last connection', async () => {
  // One connection to each, held open until its standard input ends; then reset.
  const hold = `
    const net = require('node:net');
    for (const host of ['${STAYS}', '${LEAVES}']) net.createServer(() => {}).listen(8080, host);
    const sockets = [1, 2].map(() => net.connect(80, '${WEB.address}'));
    process.once('SIGTERM', () => { for (const one of sockets) one.resetAndDestroy(); setTimeout(() => process.exit(), 200); });`;
  const holder = start('-e', hold);
  await until(async () =>
    (await client.destinations(WEB)).every(({ activeConnections }) => activeConnections === 1),
  );

  const first = apply('--drain');
  await until(async () => (await weightOf(LEAVES)) === 0);
  await sleep(1_500);
  first.child.kill('SIGINT');
  expect(await first.end).toEqual({
    status: 130,
    stdout: '',
    stderr: `ipvs apply: ended early; still draining: 1 destination at weight 0: tcp://${WEB.address}:80 ${LEAVES}:8080 (1 connection): run it again to go on\n`,
  });
  expect(await weightOf(LEAVES)).toBe(0);

  const second = apply('--drain=60', '--output', 'json');
  await sleep(2_500);
  expect(await weightOf(LEAVES)).toBe(0);
  holder.child.kill('SIGTERM');
  const { status, stdout } = await second.end;
  expect(status).toBe(0);
  // The time was not up: the kernel keeps a connection that was reset for ten seconds.
  expect(JSON.parse(stdout)).toMatchObject({
    outcomes: [],
    drained: [{ change: { op: 'deleteDestination' }, status: 'done' }],
    draining: [],
  });
  expect(await weightOf(LEAVES)).toBeUndefined();
  await holder.end;
}, 60_000);
