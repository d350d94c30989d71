// A program that runs, started without a copy of this process's page tables where the addon is there to do so: Node's own
// way forks, which holds the event loop for longer the more memory a process has.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { loadBinding, type NativeBinding, type NativeFailure } from '../native';

/** What is to be run: found in PATH of its environment, unless its name has a slash. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface Child {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once it has ended and all is read: to its exit status, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Does nothing once it has ended. */
  kill(): void;
}

/** Rejects with Node's kind of error, such as one whose `code` is ENOENT. */
export async function startChild(command: Command): Promise<Child> {
  const binding = bindingOrNone();
  return binding === undefined ? byNode(command) : byAddon(binding, command);
}

// Rules are what is left where there is no addon for a machine.
function bindingOrNone(): NativeBinding | undefined {
  try {
    return loadBinding();
  } catch {
    return undefined;
  }
}

async function byNode({ file, args, env }: Command): Promise<Child> {
  const child = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<number | string>((resolve) => {
    child.on('close', (code: number | null, signal: string | null) => {
      resolve(code ?? signal ?? 'unknown');
    });
  });
  await once(child, 'spawn');
  child.on('error', () => undefined);
  return {
    ...{ stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, ended },
    kill: () => void child.kill(),
  };
}

async function byAddon(binding: NativeBinding, { file, args, env }: Command): Promise<Child> {
  const paths = pathsOf(file, env);
  const variables = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${value}`,
  );
  const request = writeStrings([paths, [file, ...args], variables]);
  const reply = await binding.spawn(request).catch((error: unknown) => {
    throw startError(file, error);
  });
  const [pid = 0, input = -1, output = -1, complaints = -1] = new Int32Array(reply);
  const stdin = new Socket({ fd: input, readable: false });
  const stdout = new Socket({ fd: output, writable: false });
  const stderr = new Socket({ fd: complaints, writable: false });
  let runs = true;
  return {
    ...{ stdin, stdout, stderr },
    ended: ending(),
    // Its number is its own until it is reaped.
    kill: () => {
      if (runs) process.kill(pid);
    },
  };

  async function ending(): Promise<number | string> {
    await Promise.all([closed(stdout), closed(stderr)]);
    // It has closed its output, so it is about to end, or has.
    for (let pause = 1; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      const status = reap(binding, pid);
      if (status !== undefined) {
        runs = false;
        stdin.destroy();
        return status;
      }
      await wait(pause);
    }
  }
}

/** In milliseconds. */
const LONGEST_PAUSE = 50;

/** The exit status, or the name of the signal; undefined while it runs. */
function reap(binding: NativeBinding, pid: number): number | string | undefined {
  try {
    const status = binding.reap(pid);
    return status < 0 ? undefined : statusOf(status);
  } catch {
    // Where SIGCHLD is ignored the kernel tells nobody.
    return 'an unknown status';
  }
}

function closed(stream: Socket): Promise<void> {
  return new Promise((resolve) => {
    stream
      .on('error', () => undefined)
      .once('close', () => {
        resolve();
      });
  });
}

function pathsOf(file: string, env: NodeJS.ProcessEnv): string[] {
  if (file.includes('/')) return [file];
  const folders = (env['PATH'] ?? '').split(':');
  return folders.map((folder) => path.join(folder === '' ? '.' : folder, file));
}

/** The counts of the lists, then every string with a NUL after it. */
function writeStrings(lists: readonly (readonly string[])[]): Uint8Array {
  const counts = Buffer.from(new Uint32Array(lists.map(({ length }) => length)).buffer);
  return Buffer.concat([
    counts,
    Buffer.from(
      lists
        .flat()
        .map((text) => `${text}\0`)
        .join(''),
    ),
  ]);
}

function startError(file: string, error: unknown): unknown {
  const { errno } = error as Partial<NativeFailure>;
  if (typeof errno !== 'number') return error;
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`spawn ${file} ${code}`, { cause: error }), {
    code,
    errno: -errno,
  });
}

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** The exit status, or the signal, out of what waitpid(2) tells. */
function statusOf(status: number): number | string {
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : (SIGNALS.get(signal) ?? `signal ${signal}`);
}
