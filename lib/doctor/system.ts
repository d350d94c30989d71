// The machine, as the doctor sees it: few questions, so that a test can be any machine.
import { spawnSync } from 'node:child_process';
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
  /** What a program prints; undefined where it is not there, fails, or takes ten seconds. */
  run(program: string, args: readonly string[]): string | undefined;
}

/** This very machine. */
export function thisSystem(): System {
  return {
    platform: process.platform,
    release: release(),
    readFile: (path) => attempt(() => readFileSync(path, 'utf8')),
    readDirectory: (path) => attempt(() => readdirSync(path)) ?? [],
    run,
  };
}

// As root through sudo or a service manager, PATH may lack these.
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const LONGEST = 256 * 1024 * 1024;

function run(program: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(program, args, {
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`, LC_ALL: 'C' },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 10_000,
    maxBuffer: LONGEST,
  });
  return status === 0 ? stdout : undefined;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
