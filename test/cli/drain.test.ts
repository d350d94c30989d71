// ipvs apply --drain.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DestinationId, ServiceId } from '../../lib/model';
import { Shell, type Result } from './shell';
import { machine } from './machine';

const WEB = 'tcp://10.0.0.1:80';
const OLD = '192.0.2.2:80';

let folder: string;
let shell: Shell;
beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-cli-drain-'));
  shell = new Shell();
  await shell.ok(`service add ${WEB}`);
  await shell.ok(`destination add ${WEB} 192.0.2.1:80 --weight 3`);
  await shell.ok(`destination add ${WEB} ${OLD} --weight 3`);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function file(text = `services: [{ service: ${WEB}, destinations: [192.0.2.1:80] }]`): string {
  const at = path.join(folder, 'web.yaml');
  writeFileSync(at, text);
  return at;
}
function busy(count: number, service: ServiceId = WEB, destination: DestinationId = OLD): void {
  shell.kernel.setTraffic(service, destination, {
    activeConnections: count,
    inactiveConnections: 0,
  });
}
async function weights(): Promise<Record<string, number | undefined>> {
  const servers = await shell.kernel.open().snapshot();
  return Object.fromEntries(
    servers.flatMap(({ destinations }) =>
      destinations.map(({ address, weight }) => [address, weight]),
    ),
  );
}
async function until(what: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await what()) return;
    await sleep(10);
  }
  throw new Error('it does not come');
}
const drains = async (): Promise<boolean> => (await weights())['192.0.2.2'] === 0;

test('weight 0 first; it goes with its last connection', async () => {
  busy(2);
  const running = shell.type(`apply -f ${file()} --drain`);
  await until(drains);
  busy(0);
  expect(await running).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(await weights()).toEqual({ '192.0.2.1': 1 });
});

test('what has no connections goes at once, and so does a service', async () => {
  await shell.ok(`apply -f ${file('services: []')} --prune 10.0.0.0/8 --yes --drain`);
  expect(await shell.ok('save')).toBe('');
});

test('when its time is up it goes with connections left', async () => {
  busy(2);
  shell.isTTY = { stdin: false, stdout: false, stderr: true };
  const start = performance.now();
  const { status, stderr } = await shell.type(`apply -f ${file()} --drain=1`);
  expect(performance.now() - start).toBeGreaterThan(990);
  expect(status).toBe(0);
  expect(stderr).toContain('draining: 1 destination, 2 connections, 1 s left');
  expect(stderr).toContain(`${WEB} ${OLD} (2 connections): deleted, as its time was up\n`);
  expect(stderr).toMatch(/3 changes done\n$/);
  expect(await weights()).toEqual({ '192.0.2.1': 1 });
});

test('a dry run says what would drain', async () => {
  expect(await shell.ok(`apply -f ${file()} --drain --dry-run`)).toContain(
    `~ ${WEB} ${OLD} weight 3 → 0 (drains)\n`,
  );
  expect(await weights()).toEqual({ '192.0.2.1': 3, '192.0.2.2': 3 });
});

describe('ended early', () => {
  async function endEarly(line: string): Promise<Result> {
    busy(2);
    const running = shell.type(line);
    await until(drains);
    await sleep(50);
    shell.interruption.abort('SIGINT');
    const result = await running;
    shell.interruption = new AbortController();
    return result;
  }

  test('it says what still drains, and leaves it so', async () => {
    expect(await endEarly(`apply -f ${file()} --drain`)).toEqual({
      status: 130,
      stdout: '',
      stderr: `ipvs apply: ended early; still draining: 1 destination at weight 0: ${WEB} ${OLD} (2 connections): run it again to go on\n`,
    });
    expect(await weights()).toEqual({ '192.0.2.1': 1, '192.0.2.2': 0 });
  });

  test('as data, too', async () => {
    const { stdout } = await endEarly(`apply -f ${file()} --drain --output json`);
    expect(JSON.parse(stdout)).toMatchObject({
      outcomes: [{ status: 'done' }, { status: 'done' }],
      drained: [],
      draining: [{ destination: { address: '192.0.2.2', port: 80 }, connections: 2 }],
    });
  });

  test('the next apply goes on', async () => {
    await endEarly(`apply -f ${file()} --drain`);
    const running = shell.type(`apply -f ${file()} --drain --output json`);
    await sleep(50);
    expect(await drains()).toBe(true);
    busy(0);
    const { status, stdout } = await running;
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      outcomes: [],
      drained: [{ change: { op: 'deleteDestination' }, status: 'done' }],
      draining: [],
    });
  });

  test('so does run', async () => {
    await endEarly(`apply -f ${file()} --drain`);
    const running = shell.type(`run -f ${file()} --drain`);
    await sleep(50);
    expect(await drains()).toBe(true);
    busy(0);
    await until(async () => !('192.0.2.2' in (await weights())));
    shell.interruption.abort('SIGTERM');
    expect(await running).toMatchObject({ status: 0 });
  });

  test('wanted again, it has its weight again, also where weights are kept', async () => {
    await endEarly(`apply -f ${file()} --drain`);
    const both = file(`services: [{ service: ${WEB}, destinations: [192.0.2.1:80, ${OLD}] }]`);
    await shell.ok(`apply -f ${both} --drain --keep-weights`);
    expect(await weights()).toEqual({ '192.0.2.1': 1, '192.0.2.2': 1 });
  });

  test('in the middle of its changes: what was not done does not drain', async () => {
    shell.interruption.abort('SIGINT');
    const { status, stderr } = await shell.type(`apply -f ${file()} --drain`);
    expect(status).toBe(1);
    expect(stderr).toContain('0 done, 0 failed, 2 not tried');
    expect(stderr).not.toContain('drain');
    expect(await weights()).toEqual({ '192.0.2.1': 3, '192.0.2.2': 3 });
  });
});

test('a service that goes has to be meant, also when it drains first', async () => {
  busy(1);
  shell.isTTY = { stdin: true, stdout: true, stderr: true };
  shell.stdin = 'n\n';
  const { status, stderr } = await shell.type(
    `apply -f ${file('services: []')} --prune 10.0.0.0/8 --drain`,
  );
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringContaining('Delete one service that the state does not have?') as string,
  });
  expect(await weights()).toEqual({ '192.0.2.1': 3, '192.0.2.2': 3 });
});

test('what another program gives a weight again stays', async () => {
  busy(2);
  const running = shell.type(`apply -f ${file()} --drain`);
  await until(drains);
  await shell.ok(`destination set ${WEB} ${OLD} --weight 7`);
  expect(await running).toEqual({
    status: 0,
    stdout: '',
    stderr: `ipvs apply: ${WEB} ${OLD} (2 connections): another program gave it a weight again, so it stays\n`,
  });
  expect(await weights()).toEqual({ '192.0.2.1': 1, '192.0.2.2': 7 });
});

test('UDP goes at once, unless --drain-all is there', async () => {
  const dns = 'udp://10.0.0.1:53';
  const none = file(`services: [{ service: '${dns}', destinations: [] }]`);
  for (const [flags, most] of [
    ['--drain=1', 900],
    ['--drain=1 --drain-all', Infinity],
  ] as const) {
    await shell.type(`service add ${dns}`);
    await shell.ok(`destination add ${dns} 192.0.2.53:53`);
    busy(3, dns, '192.0.2.53:53');
    const start = performance.now();
    await shell.ok(`apply -f ${none} ${flags}`);
    const took = performance.now() - start;
    expect(took).toBeLessThan(most);
    if (most === Infinity) expect(took).toBeGreaterThan(990);
    expect('192.0.2.53' in (await weights())).toBe(false);
  }
  expect(await shell.type(`apply -f ${none} --drain-all`)).toMatchObject({
    status: 2,
    stderr: 'ipvs apply: --drain-all says what --drain is for: give --drain, too\n',
  });
});

test('where persistence keeps clients coming, a person is told', async () => {
  await shell.ok(`service set ${WEB} --persistence 60`);
  const kept = `services: [{ service: ${WEB}, persistence: { timeout: 60 }, destinations: [192.0.2.1:80] }]`;
  shell.isTTY = { stdin: false, stdout: false, stderr: true };
  for (const [setting, flags, isTold] of [
    ['0\n', '', true],
    ['1\n', '', false],
    ['0\n', ' --quiet', false],
    // Whose settings are not those of this one.
    ['0\n', ' --netns other', false],
  ] as const) {
    await shell.type(`destination add ${WEB} ${OLD}`);
    shell.system = machine({ '/proc/sys/net/ipv4/vs/expire_quiescent_template': setting });
    const { stderr } = await shell.type(`apply -f ${file(kept)} --drain${flags}`);
    expect(stderr.includes('expire_quiescent_template')).toBe(isTold);
  }
});

test('what the kernel refuses does not keep the rest from draining', async () => {
  const more = `services: [{ service: ${WEB}, destinations: [192.0.2.1:80] }, { service: 'tcp://10.0.0.2:80', destinations: [224.0.0.1:80] }]`;
  const { status, stderr } = await shell.type(`apply -f ${file(more)} --drain`);
  expect(status).toBe(1);
  expect(stderr).toContain('4 done, 1 failed, 0 not tried');
  expect(await weights()).toEqual({ '192.0.2.1': 1 });
});
