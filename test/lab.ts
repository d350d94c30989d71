import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { type LabOptions, type LabResult, runInLab } from '../lib/lab';

export const memory = '512M';

interface Outcome extends LabResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

function collector(): { readonly stream: Writable; readonly bytes: () => Buffer } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, bytes: () => Buffer.concat(chunks) };
}

/** A command in a lab of its own, and what it wrote. */
export async function lab(
  command: readonly string[],
  input: Buffer | 'ignore' = 'ignore',
  options: Partial<LabOptions> = {},
): Promise<Outcome> {
  const [out, err] = [collector(), collector()];
  const from = input === 'ignore' ? input : Readable.from([input]);
  const result = await runInLab({
    command,
    memory,
    stdio: [from, out.stream, err.stream],
    ...options,
  });
  return { ...result, stdout: out.bytes(), stderr: err.bytes() };
}

/** What a shell script in a lab of its own prints; it must not fail. */
export async function shell(script: string, options: Partial<LabOptions> = {}): Promise<string> {
  const { status, stdout, stderr } = await lab(['sh', '-ec', script], 'ignore', options);
  if (status !== 0) throw new Error(`status ${status ?? 'of a signal'}: ${stderr.toString()}`);
  return stdout.toString();
}

/** `ipvs lab` as a process, whose kernel can be told from others by the scratch directory. */
export function labProcess(
  scratch: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const script = path.join(__dirname, '..', 'scripts', 'lab.mjs');
  return spawn(process.execPath, [script, '--mem', memory, ...args], {
    env: { ...process.env, TMPDIR: scratch },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
}

export function ended(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve) => {
    child.on('close', (status, signal) => {
      resolve(status ?? signal);
    });
  });
}

export async function textOf(stream: Readable | null): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += String(chunk);
  return text;
}

/** How many processes of such kernels there are. */
export function labsRunning(scratch: string): number {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`uml_dir=${scratch}`);
      } catch {
        return false; // It has just ended.
      }
    }).length;
}

export async function eventually(what: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!what()) {
    if (Date.now() > end) throw new Error(`never came true: ${what.toString()}`);
    await sleep(20);
  }
}
