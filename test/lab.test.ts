// The lab as people use it: each test boots a kernel of its own.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { LabError, labAvailable, runInLab, type LabOptions } from '../lib/lab';

jest.setTimeout(60_000);

class Collected extends Writable {
  readonly #chunks: Buffer[] = [];
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#chunks.push(chunk);
    done();
  }
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

interface Ran {
  readonly status: number | null;
  readonly signal: string | null;
  readonly output: Buffer;
  readonly errors: Buffer;
}

async function run(
  command: readonly string[],
  input: Readable = Readable.from([]),
  options: Partial<LabOptions> = {},
): Promise<Ran> {
  const output = new Collected();
  const errors = new Collected();
  const result = await runInLab({
    command,
    memory: '512M',
    stdio: [input, output, errors],
    ...options,
  });
  return { ...result, output: output.bytes, errors: errors.bytes };
}

test('the exit status is the command’s own', async () => {
  expect((await run(['sh', '-c', 'exit 7'])).status).toBe(7);
});

test('a command that a signal ended says which', async () => {
  expect(await run(['sh', '-c', 'kill -TERM $$'])).toMatchObject({
    status: null,
    signal: 'SIGTERM',
  });
});

test('output and errors come apart, and complete', async () => {
  const { output, errors } = await run(['sh', '-c', 'echo out; echo err >&2; seq 200000']);
  expect(errors.toString()).toBe('err\n');
  expect(output.toString().split('\n')).toHaveLength(200_002);
});

test('any bytes go in and come out as they are', async () => {
  const bytes = randomBytes(3_000_000);
  const { output } = await run(['cat'], Readable.from([bytes]));
  const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
  expect([output.length, digest(output)]).toEqual([bytes.length, digest(bytes)]);
});

test('arguments, environment and directory arrive untouched', async () => {
  const odd = ['a b', "it's", '"$HOME"', '*', 'línea\nnueva', '', '--'];
  const cwd = realpathSync(mkdtempSync(path.join(tmpdir(), 'ipvs lab ')));
  const script = 'printf "%s|" "$@" "$ODD" "$PWD"; id -u';
  const { output } = await run(['sh', '-c', script, 'sh', ...odd], undefined, {
    cwd,
    env: { ...process.env, ODD: 'x\ty', PWD: cwd },
  });
  expect(output.toString()).toBe([...odd, 'x\ty', cwd, '0\n'].join('|'));
});

test('IPVS and its schedulers load when they are asked for, in several hosts', async () => {
  const script = [
    'ip netns add one && ip netns add two',
    'ip netns exec one ipvsadm -A -t 10.0.0.1:80 -s mh',
    'ip netns exec two ipvsadm -A -t 10.0.0.2:80 -s sed',
    'ip netns exec one ipvsadm -Sn',
    'ip netns exec two ipvsadm -Sn',
  ].join(' && ');
  const { output, status } = await run(['sh', '-c', script]);
  expect(status).toBe(0);
  expect(output.toString()).toBe('-A -t 10.0.0.1:80 -s mh\n-A -t 10.0.0.2:80 -s sed\n');
});

test('two labs at once do not see each other', async () => {
  const add = (address: string): Promise<Ran> =>
    run(['sh', '-c', `ipvsadm -A -t ${address}:80 && sleep 1 && ipvsadm -Sn`]);
  const [one, two] = await Promise.all([add('10.0.0.1'), add('10.0.0.2')]);
  expect(one.output.toString()).toBe('-A -t 10.0.0.1:80 -s wlc\n');
  expect(two.output.toString()).toBe('-A -t 10.0.0.2:80 -s wlc\n');
});

test('a command that is not there is an error that names it', async () => {
  const error: unknown = await run(['no-such-command']).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LabError);
  expect(error).toMatchObject({
    code: 'ENOENT',
    message: expect.stringContaining('no-such-command') as string,
  });
});

test('where user-mode Linux is missing, the reason says what to install', () => {
  expect(labAvailable('/nonexistent/linux.uml').reason).toMatch(
    /nonexistent.*apt-get install user-mode-linux kmod/,
  );
});

test('an abort ends the lab at once', async () => {
  const stop = new AbortController();
  const output = new PassThrough();
  output.once('data', () => {
    stop.abort(new Error('enough'));
  });
  const lab = runInLab({
    command: ['sh', '-c', 'echo started; sleep 100'],
    memory: '512M',
    stdio: ['ignore', output, 'ignore'],
    signal: stop.signal,
  });
  await expect(lab).rejects.toThrow('enough');
});

const leftovers = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('ipvs-lab-'));

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'a lab whose parent gets %s leaves nothing behind',
  async (signal) => {
    const before = new Set(leftovers());
    const main = path.join(__dirname, '..', 'dist', 'cli', 'main.js');
    const script = 'echo started; sleep 100';
    const child = spawn(
      process.execPath,
      [main, 'lab', '--mem', '512M', '--', 'sh', '-c', script],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(leftovers().filter((name) => !before.has(name))).toEqual([]);
    expect(await run(['true'])).toMatchObject({ status: 0 });
  },
);
