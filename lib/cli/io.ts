// What a command meets outside itself, so that a test can be the outside.
import { constants } from 'node:os';
import type { Ipvs, OpenOptions } from '../client';
import type { System } from '../doctor/system';
import type { Terminal } from './top/terminal';

/** A stream that is written to. */
export interface Output {
  write(text: string): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

/** The world around one run of the command. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: NodeJS.ReadableStream;
  /** Which of the three are terminals. */
  readonly isTTY: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly open: (options: OpenOptions) => Promise<Ipvs>;
  /** The machine that `doctor` looks at. */
  readonly system: () => System;
  /** The terminal that stdout is, for a program that draws on it. */
  readonly terminal: () => Terminal;
  /** Aborts when somebody ends this process, with the name of the signal; from then on the next one ends it at once. */
  readonly interruption: () => AbortSignal;
  /** Runs `ipvs lab`; resolves with its exit status. */
  readonly lab: (argv: readonly string[]) => Promise<number>;
}

/** The exit status of a run that a signal ended in good order, as a shell tells it; 0 when none did. */
export function interrupted({ aborted, reason }: AbortSignal): number {
  return aborted ? 128 + constants.signals[reason as NodeJS.Signals] : 0;
}
