// The Kubernetes demo, run as its readers would run it.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const PROGRAM = join(__dirname, '../../build/programs/examples/demo-kube/main.js');

jest.setTimeout(180_000);

function start(): { text: () => string; end: Promise<unknown>; stop: () => void } {
  if (!existsSync(PROGRAM)) throw new Error('the demo is not compiled: npm run build');
  const child = spawn(process.execPath, [PROGRAM], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const end = new Promise((resolve) =>
    child.once('close', (status, signal) => {
      resolve(status ?? signal);
    }),
  );
  return { text: () => text, end, stop: () => child.kill('SIGINT') };
}

const namespaces = (): string[] =>
  readdirSync('/run/netns').filter((name) => name.startsWith('ipvs-demo-kube-'));

test('every row is as expected, no request fails while a pod leaves, and nothing is left behind', async () => {
  const began = performance.now();
  const run = start();
  const status = await run.end;
  expect({ status, text: run.text() }).toEqual({ status: 0, text: run.text() });
  expect(run.text()).toMatch(/✓ \d+ requests, every row as expected\./);
  // Frontends times places, and a stranger.
  expect(run.text().match(/^ {4}(?:pod ash|the node|outside|a stranger) .*✓$/gm)).toHaveLength(43);
  expect(run.text()).toMatch(/✓ \d+ requests, none failed, and none began at ash/);
  expect(run.text()).toMatch(/✓ Drained and deleted: [1-9]\d* destinations\./);
  expect(run.text()).toContain('rules and settings are as they were');
  expect(namespaces()).toEqual([]);
  expect(performance.now() - began).toBeLessThan(90_000);
});

test('broken off, it ends at once and leaves nothing behind', async () => {
  const run = start();
  while (!run.text().includes('2. Ask every service'))
    await new Promise((resolve) => setTimeout(resolve, 200));
  run.stop();
  expect(await run.end).toBe(130);
  expect(namespaces()).toEqual([]);
});
