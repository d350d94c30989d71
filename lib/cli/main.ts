#!/usr/bin/env node
// The program: one run of the command in this process.
import { isatty } from 'node:tty';
import { lazy } from './lazy';
import { run } from './run';

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // A reader such as head that has seen enough is no failure.
    if (error.code === 'EPIPE') process.exit();
    if (stream === process.stdout) process.stderr.write(`ipvs: cannot write: ${error.message}\n`);
    process.exit(1);
  });
}

// The exit code is set, not forced: what is still on its way to a pipe gets there.
void run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  // Touched only by a command that reads it: a command in the lab gets it as it is.
  get stdin() {
    return process.stdin;
  },
  isTTY: { stdin: isatty(0), stdout: isatty(1), stderr: isatty(2) },
  env: process.env,
  open: (options) => lazy.client().open(options),
  system: () => lazy.system().thisSystem(),
  terminal: () => new (lazy.terminal().ProcessTerminal)(),
  interruption,
  lab: (argv) => lazy.lab().labCommand(argv),
}).then((status) => {
  process.exitCode = status;
});

function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      controller.abort(name);
    });
  }
  return controller.signal;
}
