// The machine, as the doctor sees it: few questions, so that a test can be any machine.
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';

/** What can be asked of a machine. Nothing here throws: what cannot be had is undefined, or empty. */
export interface System {
  /** Such as `linux`. */
  readonly platform: string;
  /** Such as `6.1.176` (uname -r). */
  readonly release: string;
  readFile(path: string): string | undefined;
  readDirectory(path: string): readonly string[];
}

/** This very machine. */
export function thisSystem(): System {
  return {
    platform: process.platform,
    release: release(),
    readFile: (path) => attempt(() => readFileSync(path, 'utf8')),
    readDirectory: (path) => attempt(() => readdirSync(path)) ?? [],
  };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
