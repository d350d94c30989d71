import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import type * as tty from 'node:tty';

import { encodeFrame, encodeResized, encodeTaken, frame, window } from './wire';

/** Where a stream of the command in the lab comes from. @public */
export type LabInput = 'inherit' | 'ignore' | Readable;

/** Where a stream of the command in the lab goes to. @public */
export type LabOutput = 'inherit' | 'ignore' | Writable;

/** Standard input, output and error of the command in the lab. @public */
export type LabStdio = 'inherit' | 'ignore' | readonly [LabInput, LabOutput, LabOutput];

/**
 * The host's ends of the command's streams.
 * @internal
 */
export interface Streams {
  readonly input: Readable | undefined;
  readonly output: Writable | undefined;
  readonly error: Writable | undefined;
  /** The terminal that is the command's own for the while: its keys go there raw. */
  readonly keyboard: tty.ReadStream | undefined;
  /** The terminal whose size the command sees. */
  readonly screen: tty.WriteStream | undefined;
  /** For guest.pl, a letter a stream: p (pipe), t (terminal), n (nothing), 1 (as output). */
  readonly kinds: string;
}

function isScreen(stream: Writable | undefined): stream is tty.WriteStream {
  return (stream as tty.WriteStream | undefined)?.isTTY === true;
}

function isKeyboard(stream: Readable | undefined): stream is tty.ReadStream {
  return (stream as tty.ReadStream | undefined)?.isTTY === true;
}

/** After `2>&1` one stream must carry both, or their order would be lost. */
function goToTheSameFile(): boolean {
  const [output, error] = [fs.fstatSync(1), fs.fstatSync(2)];
  return output.dev === error.dev && output.ino === error.ino;
}

/** @internal */
export function planStreams(stdio: LabStdio): Streams {
  const [from, to, errorsTo] = typeof stdio === 'string' ? [stdio, stdio, stdio] : stdio;
  const own = <T>(choice: 'inherit' | 'ignore' | T, inherited: () => T): T | undefined =>
    choice === 'ignore' ? undefined : choice === 'inherit' ? inherited() : choice;
  const input = own(from, () => process.stdin);
  const output = own(to, () => process.stdout);
  const error = own(errorsTo, () => process.stderr);

  const keyboard = isKeyboard(input) && isScreen(output) ? input : undefined;
  const screen = [output, error].find(isScreen);
  const one = output === process.stdout && error === process.stderr && goToTheSameFile();
  const letter = (stream: Writable | undefined): string =>
    stream === undefined ? 'n' : isScreen(stream) ? 't' : 'p';
  const kinds =
    (input === undefined ? 'n' : keyboard === undefined ? 'p' : 't') +
    letter(output) +
    (one && !isScreen(error) ? '1' : letter(error));
  return { input, output, error, keyboard, screen, kinds };
}

/** Feeds the command's input, never more than `window` ahead of it. */
class Feed {
  readonly #source: Readable;
  readonly #send: (bytes: Buffer) => void;
  readonly #waiting: Buffer[] = [];
  #room = window;
  #ended = false;
  #stopped = false;

  constructor(source: Readable, send: (bytes: Buffer) => void) {
    this.#source = source;
    this.#send = send;
    source.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onEnd);
    source.on('error', this.#onEnd);
    source.resume();
  }

  readonly #onData = (chunk: Buffer | string): void => {
    this.#waiting.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    this.#pump();
  };

  readonly #onEnd = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#pump();
  };

  taken(count: number): void {
    this.#room += count;
    this.#pump();
  }

  #pump(): void {
    if (this.#stopped) return;
    for (
      let next = this.#waiting[0];
      next !== undefined && this.#room > 0;
      next = this.#waiting[0]
    ) {
      const part = next.subarray(0, Math.min(this.#room, 65536));
      if (part.length > 0) this.#send(encodeFrame(frame.stdin, part));
      this.#room -= part.length;
      if (part.length === next.length) this.#waiting.shift();
      else this.#waiting[0] = next.subarray(part.length);
    }
    if (this.#waiting.length > 0) {
      this.#source.pause();
    } else if (this.#ended) {
      this.stop();
      this.#send(encodeFrame(frame.stdin, Buffer.alloc(0)));
    } else {
      this.#source.resume();
    }
  }

  /** Leaves the source as it is: what was not read is still the caller's. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onEnd);
    this.#source.off('error', this.#onEnd);
    this.#source.pause();
  }
}

/** Passes one of the command's outputs on, and reports what has been taken. */
class Drain {
  readonly #target: Writable;
  readonly #stream: number;
  readonly #send: (bytes: Buffer) => void;
  #broken = false;
  #onTheWay = 0;
  #idle: (() => void) | undefined;

  constructor(target: Writable, stream: number, send: (bytes: Buffer) => void) {
    this.#target = target;
    this.#stream = stream;
    this.#send = send;
    target.on('error', this.#onError);
  }

  readonly #onError = (): void => {
    if (this.#broken) return;
    this.#broken = true;
    // The command gets SIGPIPE, as it would from the reader that has gone.
    this.#send(encodeFrame(frame.closed, Buffer.of(this.#stream)));
  };

  write(bytes: Buffer): void {
    if (this.#broken) return;
    this.#onTheWay += 1;
    this.#target.write(bytes, (error) => {
      this.#onTheWay -= 1;
      if (error) this.#onError();
      else this.#send(encodeTaken(this.#stream, bytes.length));
      if (this.#onTheWay === 0) this.#idle?.();
    });
  }

  async flushed(): Promise<void> {
    if (this.#onTheWay > 0 && !this.#broken) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#target.off('error', this.#onError);
  }
}

/**
 * The streams at work.
 * @internal
 */
export interface Attached {
  write(stream: number, bytes: Buffer): void;
  inputTaken(count: number): void;
  /** The command no longer reads its input. */
  inputClosed(): void;
  /** Lets go of the input and the terminal; `flushed` tells when all output has been taken. */
  detach(): void;
  flushed(): Promise<void>;
}

/** @internal */
export function attachStreams(streams: Streams, send: (bytes: Buffer) => void): Attached {
  const { input, output, error, keyboard, screen } = streams;
  const drains = new Map<number, Drain>();
  if (output !== undefined) drains.set(frame.stdout, new Drain(output, frame.stdout, send));
  if (error !== undefined) drains.set(frame.stderr, new Drain(error, frame.stderr, send));

  const onResize = (): void => {
    if (screen !== undefined) send(encodeResized(screen.rows, screen.columns));
  };
  const cook = (): void => {
    keyboard?.setRawMode(false);
  };
  screen?.on('resize', onResize);
  if (keyboard !== undefined) {
    keyboard.setRawMode(true);
    // Node's raw mode still turns \n into \r\n, and the guest's terminal has done that already.
    spawnSync('stty', ['-opost'], { stdio: [keyboard, 'ignore', 'ignore'] });
    process.once('exit', cook);
  }
  const feed = input === undefined ? undefined : new Feed(input, send);

  return {
    write: (stream, bytes) => drains.get(stream)?.write(bytes),
    inputTaken: (count) => feed?.taken(count),
    inputClosed: () => feed?.stop(),
    detach: () => {
      feed?.stop();
      screen?.off('resize', onResize);
      process.off('exit', cook);
      cook();
    },
    flushed: async () => {
      for (const drain of drains.values()) await drain.flushed();
    },
  };
}
