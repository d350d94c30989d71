import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { PassThrough } from 'node:stream';

import { runInLab } from '../lib/lab';
import { ended, eventually, labProcess, labsRunning, memory, textOf } from './lab';

// The lab as the process that people start: its terminal, its signals, its end.
jest.setTimeout(60_000);

let scratch: string;
beforeEach(() => {
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'lab-test-'));
});
afterEach(() => {
  fs.rmSync(scratch, { recursive: true, force: true });
});

describe('the streams of the process', () => {
  test('2>&1 keeps the order', async () => {
    const file = path.join(scratch, 'log');
    const log = fs.openSync(file, 'w');
    const script = 'for i in 1 2 3 4; do echo o$i; echo e$i >&2; done';
    await ended(labProcess(scratch, ['--', 'sh', '-c', script], { stdio: ['ignore', log, log] }));
    fs.closeSync(log);
    expect(fs.readFileSync(file, 'utf8').split('\n').join(' ')).toBe('o1 e1 o2 e2 o3 e3 o4 e4 ');
  });

  test('a terminal is a terminal inside, of the same size', async () => {
    const command = `stty rows 33 cols 77; ${process.execPath} scripts/lab.mjs -- sh -c 'test -t 0 && test -t 2 && stty size'`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: path.join(__dirname, '..'),
      // An input that stays open: at its end script(1) would hang up.
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    expect(await textOf(child.stdout)).toBe('33 77\r\n');
  });

  test('Ctrl-C on the terminal is for the program inside', async () => {
    const inside = 'trap "echo caught" INT; echo up; sleep 30; echo after';
    const command = `${process.execPath} scripts/lab.mjs -- bash -c '${inside}'`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: path.join(__dirname, '..'),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (text === '') child.stdin.write('\x03');
      text += chunk.toString();
    });
    await ended(child);
    expect(text).toBe('up\r\n^Ccaught\r\nafter\r\n');
  });
});

describe('ending the lab', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s reaches the command', async (signal) => {
    const name = signal.slice(3);
    const child = labProcess(scratch, [
      '--',
      'sh',
      '-c',
      `trap 'echo got; exit 9' ${name}; echo up; sleep 30 & wait`,
    ]);
    child.stdout?.once('data', () => child.kill(signal));
    const [text, status] = await Promise.all([textOf(child.stdout), ended(child)]);
    expect({ text, status }).toEqual({ text: 'up\ngot\n', status: 9 });
  });

  test('a signal before the kernel has booted is not lost', async () => {
    const child = labProcess(scratch, ['--', 'sleep', '30']);
    await eventually(() => fs.readdirSync(scratch).length > 0);
    child.kill('SIGTERM');
    expect(await ended(child)).toBe(143);
  });

  test('an abort signal ends it at once, with its reason', async () => {
    const controller = new AbortController();
    const input = new PassThrough();
    const out = new PassThrough();
    out.once('data', () => {
      controller.abort(new Error('enough'));
    });
    const running = runInLab({
      command: ['sh', '-c', 'echo up; sleep 30'],
      memory,
      stdio: [input, out, 'ignore'],
      signal: controller.signal,
    });
    await expect(running).rejects.toThrow('enough');
  });

  test('nothing is left behind after an ordinary end', async () => {
    await ended(labProcess(scratch, ['--', 'true']));
    expect({ processes: labsRunning(scratch), files: fs.readdirSync(scratch) }).toEqual({
      processes: 0,
      files: [],
    });
  });

  test('nothing is left behind when the host process is killed', async () => {
    const child = labProcess(scratch, ['--', 'sh', '-c', 'echo up; sleep 30']);
    child.stdout?.once('data', () => child.kill('SIGKILL'));
    await ended(child);
    await eventually(() => labsRunning(scratch) === 0);
    expect(fs.readdirSync(scratch)).toEqual([]);
  });

  test('nothing is left behind when the host process is killed during the boot', async () => {
    const child = labProcess(scratch, ['--', 'sleep', '30']);
    await eventually(() => labsRunning(scratch) > 0);
    child.kill('SIGKILL');
    await ended(child);
    await eventually(() => labsRunning(scratch) === 0);
    expect(fs.readdirSync(scratch)).toEqual([]);
  });
});

describe('ipvs lab', () => {
  test('exits with 128 and the number of the signal', async () => {
    expect(await ended(labProcess(scratch, ['--', 'sh', '-c', 'kill -KILL $$']))).toBe(137);
  });

  test('exits with 127 when there is no such program', async () => {
    const child = labProcess(scratch, ['no-such-program']);
    const [text, status] = await Promise.all([textOf(child.stderr), ended(child)]);
    expect({ text, status }).toEqual({
      text: "ipvs lab: the lab cannot run 'no-such-program': no such file or directory\n",
      status: 127,
    });
  });

  test('exits with 2 and its usage on an unknown option', async () => {
    const child = labProcess(scratch, ['--memory', '2G', '--', 'true']);
    const [text, status] = await Promise.all([textOf(child.stderr), ended(child)]);
    expect(status).toBe(2);
    expect(text).toMatch(/^ipvs lab: unknown option '--memory'\nUsage: ipvs lab/);
  });

  test('exits with 125 when the memory asked for is no size', async () => {
    const child = labProcess(scratch, ['--mem', 'lots', '--', 'true']);
    const [text, status] = await Promise.all([textOf(child.stderr), ended(child)]);
    expect({ text, status }).toEqual({
      text: "ipvs lab: memory must be a number and K, M or G, such as 2G, but was 'lots'\n",
      status: 125,
    });
  });
});
