// One run of the command, from its arguments to its exit status.
import { CommanderError } from 'commander';
import type { Io } from './io';
import { lazy } from './lazy';
import { makeProgram, type Run } from './program';
import { WrongUse } from './wrong';

/** Exit statuses: what was asked is done; it failed; it was asked wrongly. */
export const EXIT = { done: 0, failed: 1, wrongUse: 2 } as const;

/** Runs `ipvs` with these arguments; resolves with its exit status. Never throws and never ends the process. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const state: Run = { argv, command: '', exitCode: EXIT.done };
  try {
    await makeProgram(io, state).parseAsync(argv, { from: 'user' });
    return state.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return afterCommander(error, io, state);
    const { text, exitCode } = lazy.words().explainError(error, state.command);
    io.stderr.write(`${text}\n`);
    // 1 would say that there is a difference.
    return /^(?:kube )?diff$/.test(state.command) ? EXIT.wrongUse : exitCode;
  }
}

// Help and the version are "errors" of commander's that have been printed.
function afterCommander(error: CommanderError, io: Io, state: Run): number {
  if (error.exitCode === 0) return EXIT.done;
  if (error.code === 'commander.help') return EXIT.wrongUse;
  // Commander speaks in sentences; one of ours goes on after a colon.
  const problem = error.message
    .replace(/^error: /, '')
    .replace(/\.$/, '')
    .replace(/\. ([A-Z])/g, (_, letter: string) => `: ${letter.toLowerCase()}`);
  const command = ['ipvs', state.command].filter(Boolean).join(' ');
  const wrong = new WrongUse(`${problem}: see ${command} --help`);
  io.stderr.write(`${lazy.words().explainError(wrong, state.command).text}\n`);
  return EXIT.wrongUse;
}
