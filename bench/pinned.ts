// The lab as benchmarks want it: on one processor.
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from './places';

/** The command that runs another in a kernel of its own. */
export function inLab(command: readonly string[]): readonly string[] {
  const lab = [process.execPath, path.join(ROOT, 'scripts', 'lab.mjs'), '--mem', '3G', '--'];
  return pinned([...lab, ...command]);
}

// The lab is two processes that take turns. On one processor that costs a switch, on two often a wake-up besides, some
// ten times dearer: left to chance, it makes one run in three several times slower than the others.
function pinned(command: readonly string[]): readonly string[] {
  const last = String(os.cpus().length - 1);
  const works = spawnSync('taskset', ['-c', last, 'true']).status === 0;
  return works ? ['taskset', '-c', last, ...command] : command;
}
