import * as os from 'node:os';

import { runOnIpvs } from './lab/host';
import { LabError } from './lab/machine';
import { type LabOptions, type LabResult, runInLab } from './lab/run';

export { hostHasIpvs, runOnIpvs } from './lab/host';
export { LabError, labAvailable } from './lab/machine';
export { runInLab, type LabOptions, type LabResult } from './lab/run';
export type { LabInput, LabOutput, LabStdio } from './lab/streams';

const usage = `Usage: ipvs lab [--mem SIZE] [--] [COMMAND [ARGUMENT...]]

Runs a command (default: your shell) in a throwaway Linux kernel with IPVS: as root, in this
directory and environment, on these files. When the command ends, the kernel ends.

  --mem SIZE        memory of that kernel, such as 512M or 3G (default: 2G)
  --where-possible  run on this machine's own kernel, in a network namespace, if that has IPVS
`;

interface Request {
  readonly options: LabOptions;
  readonly run: (options: LabOptions) => Promise<LabResult>;
}

/** What is asked for, or the text that answers it. */
function parse(
  argv: readonly string[],
): Request | { readonly help: true } | { readonly wrong: string } {
  let memory = '2G';
  let run: Request['run'] = runInLab;
  let at = 0;
  for (; at < argv.length; at += 1) {
    const [name = '', ...value] = argv[at]?.split('=') ?? [];
    if (!name.startsWith('-')) break;
    if (name === '--') {
      at += 1;
      break;
    }
    if (name === '-h' || name === '--help') return { help: true };
    if (name === '--where-possible') {
      run = runOnIpvs;
    } else if (name === '--mem') {
      if (value.length === 0) at += 1;
      const size = value.length > 0 ? value.join('=') : argv[at];
      if (size === undefined) return { wrong: '--mem needs a size, such as 2G' };
      memory = size;
    } else {
      return { wrong: `unknown option '${name}'` };
    }
  }
  const command = at < argv.length ? argv.slice(at) : [process.env['SHELL'] ?? '/bin/bash'];
  return { options: { command, memory, forwardSignals: true }, run };
}

/**
 * `ipvs lab` with these arguments: resolves to its exit status, the command's own or, after a
 * signal, 128 and its number. As in a shell 126 and 127 tell that the command did not start; 125
 * that there was no lab to run it in, 2 that the arguments are wrong.
 * @internal
 */
export async function labCommand(argv: readonly string[]): Promise<number> {
  const request = parse(argv);
  if ('help' in request) {
    process.stdout.write(usage);
    return 0;
  }
  if ('wrong' in request) {
    process.stderr.write(`ipvs lab: ${request.wrong}\n${usage}`);
    return 2;
  }
  try {
    const { status, signal } = await request.run(request.options);
    return signal === null ? (status ?? 1) : 128 + os.constants.signals[signal];
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    process.stderr.write(`ipvs lab: ${error.message}\n`);
    if (error.code === undefined) return 125;
    return error.code === 'ENOENT' ? 127 : 126;
  }
}
