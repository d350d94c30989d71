// What a command meets outside itself, so that a test can be the outside.
import type { Ipvs, OpenOptions } from '../client';
import type { System } from '../doctor/system';

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
  /** Runs `ipvs lab`; resolves with its exit status. */
  readonly lab: (argv: readonly string[]) => Promise<number>;
}
