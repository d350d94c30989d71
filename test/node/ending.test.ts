// Programs that still run when what started them comes to its end.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const TOOLS = path.join(__dirname, '../../dist/node/tools.js');

/** Runs a script in a process of its own; what it prints, once it ends with 0. */
async function node(script: string): Promise<string> {
  const prelude = `
    const { systemTools } = require(${JSON.stringify(TOOLS)});
    const { run } = systemTools({ netns: '' });
    const { readdirSync, readFileSync } = require('node:fs');
    const children = () => readdirSync('/proc').filter((pid) => {
      try {
        const stat = readFileSync('/proc/' + pid + '/stat', 'utf8');
        return /^\\d+$/.test(pid) && stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(process.pid);
      } catch { return false; }
    });
    const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', prelude + script], {
    timeout: 20_000,
  });
  return stdout;
}

test('a process ends at once while one runs', async () => {
  const output = await node(`
    void run('sh', ['-c', 'exec sleep 5']);
    setTimeout(() => { console.log('out'); process.exit(0); }, 100);`);
  expect(output).toBe('out\n');
});

test('a process waits for the last one, and for nothing after it', async () => {
  const output = await node(`
    const start = performance.now();
    run('sh', ['-c', 'sleep 0.2; echo done']).then(console.log);
    process.on('exit', () => console.log(performance.now() - start < 4000 ? 'soon' : 'late'));`);
  expect(output).toBe('done\n\nsoon\n');
});

test('workers that are terminated at any time leave no process that nobody waits for', async () => {
  const output = await node(`
    const { Worker } = require('node:worker_threads');
    const turns = 'const { run } = require(' + JSON.stringify(${JSON.stringify(TOOLS)}) + ').systemTools({ netns: "" });' +
      'const again = () => run("sh", ["-c", "cat; sleep 0.1"], "x".repeat(100000)).then(again); for (let i = 0; i < 4; i++) again();';
    (async () => {
      await run('true', []);
      for (let turn = 0; turn < 12; turn++) {
        const worker = new Worker(turns, { eval: true });
        await new Promise((resolve) => worker.once('online', resolve));
        await wait(20 * turn);
        await worker.terminate();
      }
      for (let tries = 0; children().length > 0 && tries < 100; tries++) {
        await wait(50);
        await run('true', []);
      }
      console.log(children().length);
    })();`);
  expect(output).toBe('0\n');
});
