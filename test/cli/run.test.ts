import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lib/cli/run';
import { Shell } from './shell';

const web = (...hosts: number[]): string =>
  `services:\n  - service: tcp://10.0.0.1:80\n    destinations: [${hosts.map((n) => `192.0.2.${n}:80`).join(', ')}]\n`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ipvs-run-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await what()) return;
    await sleep(20);
  }
  throw new Error('it does not come');
}

test('it follows the file through everything that happens to it, and ends when told to', async () => {
  const shell = new Shell();
  const file = path.join(folder, 'web.yaml');
  await writeFile(file, web(1));
  const text = { out: '', err: '' };
  const io = shell.io(
    { write: (more: string) => ((text.out += more), true) } as never,
    { write: (more: string) => ((text.err += more), true) } as never,
  );

  const running = run(['run', '-f', file, '--resync', '1'], io);
  const client = shell.kernel.open();
  const hosts = async (): Promise<string> =>
    (await client.snapshot())
      .flatMap(({ destinations }) => destinations.map(({ address }) => address))
      .sort()
      .join();
  await until(async () => (await hosts()) === '192.0.2.1');

  await writeFile(path.join(folder, 'next'), web(1, 2));
  await rename(path.join(folder, 'next'), file);
  await until(async () => (await hosts()) === '192.0.2.1,192.0.2.2');

  await writeFile(file, 'services: [nonsense');
  await until(() => text.err.includes('web.yaml'));
  const told = text.err;
  await sleep(1_200);
  expect(text.err).toBe(told);
  expect(await hosts()).toBe('192.0.2.1,192.0.2.2');

  await rm(file);
  await mkdir(file);
  await until(() => text.err.includes('directory'));
  await rm(file, { recursive: true });
  await until(() => text.err.includes('no such file'));

  await writeFile(file, web(3));
  await until(async () => (await hosts()) === '192.0.2.3');
  await client.flush();
  await until(async () => (await hosts()) === '192.0.2.3');

  shell.interruption.abort('SIGTERM');
  expect(await running).toBe(0);
  expect(text.out).toMatch(
    /^\S+Z revision 1: 2 changes done, 0 failed, 0 draining, 0 pending, \d+ ms\n/,
  );
  expect(await hosts()).toBe('192.0.2.3');
});

test.each([
  ['run -f -', 'stdin is no file that can be watched'],
  ['run -f nowhere.yaml', 'no such file'],
  ['run', '--file'],
  ['run -f x.yaml --resync never', '--resync takes seconds from 0 to 86400'],
])('%s is refused', async (line, words) => {
  const { status, stderr } = await new Shell().type(line);
  expect(status).toBeGreaterThan(0);
  expect(stderr).toContain(words);
});
