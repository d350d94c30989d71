import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { getSystemErrorMap } from 'node:util';

import { LabError, type Machine, labAvailable, makeMachine } from './machine';
import { type LabStdio, type Streams, attachStreams, planStreams } from './streams';
import { LineWriter, encodeFrame, frame, frameReader } from './wire';

/** @public */
export interface LabOptions {
  /** The program, looked up in PATH, and its arguments. */
  readonly command: readonly string[];
  /** Memory of the lab's kernel: a number and K, M or G. Default: 2G */
  readonly memory?: string;
  /** Default: the current directory */
  readonly cwd?: string;
  /** Default: this process's environment */
  readonly env?: NodeJS.ProcessEnv;
  /**
   * Standard input, output and error. When input and output are both a terminal, the command gets
   * one of its own, wired to it. Streams given are read or written, never ended. Default: inherit
   */
  readonly stdio?: LabStdio;
  /** Ends the lab at once; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Hands SIGINT, SIGTERM, SIGHUP and SIGQUIT of this process to the command. Default: false */
  readonly forwardSignals?: boolean;
}

/** How the command ended: by itself with a status, or through a signal. @public */
export interface LabResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

const bootDeadline = 60_000;

function encodeJob(options: LabOptions, streams: Streams): Buffer {
  const mask = /^Umask:\s*(\d+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1];
  const env: NodeJS.ProcessEnv = {
    ...(options.env ?? process.env),
    // modprobe finds the lab's modules through this.
    MODPROBE_OPTIONS: '-d /run/lab',
    // There is a kernel with IPVS inside, no need to boot another in it.
    IPVS_LAB: undefined,
  };
  const fields = [
    streams.kinds,
    String(streams.screen?.rows ?? 0),
    String(streams.screen?.columns ?? 0),
    mask ?? '022',
    options.cwd ?? process.cwd(),
    String(options.command.length),
    ...options.command,
    ...Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    ),
  ];
  const odd = fields.find((field) => field.includes('\0'));
  if (odd !== undefined) {
    throw new LabError(`neither arguments nor environment may hold a NUL: ${JSON.stringify(odd)}`);
  }
  return Buffer.from(fields.map((field) => `${field}\0`).join(''));
}

/** What guest.pl says when the command did not start: an errno and what it was about. */
function notStarted(text: string, options: LabOptions): LabError {
  const [errno, what] = text.split(' ');
  const [code, reason] = getSystemErrorMap().get(-Number(errno)) ?? ['', `error ${errno ?? ''}`];
  const message =
    what === 'cwd'
      ? `the lab cannot enter the directory '${options.cwd ?? process.cwd()}': ${reason}`
      : `the lab cannot run '${options.command[0] ?? ''}': ${reason}`;
  return new LabError(message, { code });
}

function signalName(number: number): NodeJS.Signals | null {
  const found = Object.entries(os.constants.signals).find(([, value]) => value === number);
  return (found?.[0] ?? null) as NodeJS.Signals | null;
}

/** The kernel and all that it runs are one process group, its own. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** Keeps the end of what the kernel says, without the stack traces that only its authors can read. */
function tailOf(child: ChildProcess): () => string {
  let text = '';
  const keep = (chunk: string): void => {
    text = (text + chunk).slice(-8000);
  };
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', keep);
  const trace = /^ *(\[<[0-9a-f]+>\]|[0-9a-f]{8} [0-9a-f]{8}|(Stack|Call Trace|CPU):)/;
  return () =>
    text
      .trim()
      .split('\n')
      .filter((words) => !trace.test(words))
      .slice(-15)
      .join('\n');
}

/** Sends this process's signals on to the command, once it runs; returns how to stop that. */
function forwardSignals(writer: LineWriter, hasTerminal: boolean): () => void {
  const handlers = (['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const).map((name) => {
    // What a terminal sends reaches its whole foreground group. A shell on a terminal ignores
    // SIGTERM; that its terminal goes away it understands.
    const hangUp = hasTerminal && name === 'SIGTERM';
    const signal = os.constants.signals[hangUp ? 'SIGHUP' : name];
    const toGroup = hangUp || name !== 'SIGTERM';
    const handler = (): void => {
      writer.send(encodeFrame(frame.signalled, Buffer.of(signal, toGroup ? 1 : 0)));
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  return (): void => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
}

/** Stays until the command has ended; killing the kernel is left to the caller. */
function converse(
  child: ChildProcess,
  machine: Machine,
  options: LabOptions,
  streams: Streams,
  writer: LineWriter,
): Promise<LabResult> {
  const toGuest = child.stdio[3] as Writable;
  const fromGuest = child.stdio[4] as Readable;
  const tail = tailOf(child);
  const attached = attachStreams(streams, (bytes) => {
    writer.send(bytes);
  });

  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  return new Promise<LabResult>((resolve, reject) => {
    const fail = (why: string): void => {
      reject(new LabError(why, { console: tail() }));
    };
    timer = setTimeout(fail, bootDeadline, 'the lab did not boot within a minute');
    onAbort = () => {
      reject(options.signal?.reason as Error);
    };
    options.signal?.addEventListener('abort', onAbort);

    child.on('error', (error) => {
      reject(new LabError(`the lab cannot start ${machine.kernel}: ${error.message}`));
    });
    child.on('exit', () => {
      // Processes of the dead kernel may still hold its streams open.
      killGroup(child);
    });
    child.on('close', (status, signal) => {
      fail(
        `the lab's kernel stopped before the command ended (${signal ?? `status ${status ?? ''}`})`,
      );
    });
    toGuest.on('error', () => undefined); // 'close' tells more
    fromGuest.on('error', () => undefined);
    fromGuest.on(
      'data',
      frameReader((type, payload) => {
        if (type === frame.stdout || type === frame.stderr) {
          attached.write(type, payload);
        } else if (type === frame.read) {
          writer.wasRead(payload.readUInt32LE(0));
        } else if (type === frame.taken) {
          attached.inputTaken(payload.readUInt32LE(1));
        } else if (type === frame.closed) {
          attached.inputClosed();
        } else if (type === frame.ready) {
          clearTimeout(timer);
          // From here on the kernel needs nothing of it, and nobody can leave it behind.
          machine.dispose();
          writer.open((bytes) => {
            if (toGuest.writable) toGuest.write(bytes);
          });
        } else if (type === frame.failed) {
          reject(notStarted(payload.toString(), options));
        } else if (type === frame.exited) {
          const [status = 0, signal = 0] = payload;
          const result =
            signal === 0 ? { status, signal: null } : { status: null, signal: signalName(signal) };
          attached.flushed().then(() => {
            resolve(result);
          }, reject);
        }
      }),
    );
  }).finally(() => {
    clearTimeout(timer);
    if (onAbort !== undefined) options.signal?.removeEventListener('abort', onAbort);
    attached.detach();
  });
}

/**
 * Boots a throwaway Linux kernel with IPVS, as an ordinary process without root, and runs a command
 * in it: as user 0, in the caller's directory and environment, on the caller's files. When the
 * command ends, the kernel ends.
 *
 * Rejects with LabError when the lab cannot boot, the command cannot start, or the kernel stops
 * before the command has ended.
 * @public
 */
export async function runInLab(options: LabOptions): Promise<LabResult> {
  options.signal?.throwIfAborted();
  const { kernel, reason } = labAvailable();
  if (kernel === undefined) throw new LabError(reason);
  if (options.command.length === 0) throw new LabError('the lab needs a command to run');

  const streams = planStreams(options.stdio ?? 'inherit');
  const job = encodeJob(options, streams);
  const writer = new LineWriter();
  // From before there is anything to leave behind.
  const stopForwarding = options.forwardSignals
    ? forwardSignals(writer, streams.keyboard !== undefined)
    : undefined;
  let machine: Machine | undefined;
  let child: ChildProcess | undefined;
  try {
    machine = makeMachine(kernel, options.memory ?? '2G', job);
    child = spawn(machine.kernel, machine.args, {
      cwd: machine.directory,
      env: machine.env,
      // A group of its own: Ctrl-C at the terminal is for the command, not for its kernel.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    });
    return await converse(child, machine, options, streams, writer);
  } finally {
    if (child !== undefined) await ended(child);
    machine?.dispose();
    stopForwarding?.();
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const closed = new Promise((resolve) => child.once('close', resolve));
  killGroup(child);
  if (child.exitCode === null && child.signalCode === null) await closed;
}
