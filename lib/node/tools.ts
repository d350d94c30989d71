// The programs that a node is set up with: run in its namespace, fed through their standard input, never through a shell.
import { before, parseVersion } from '../doctor/check';
import { IpvsError } from '../errors';
import { startChild, type Child } from './child';

export interface ToolOptions {
  /** A path such as /run/netns/name; empty for the caller's own namespace. */
  readonly netns: string;
  readonly signal?: AbortSignal | undefined;
}

/** Runs programs, and counts them: a pass that finds nothing to do should cost few. */
export interface Tools {
  /** What the program printed. @throws {@link IpvsError} saying what it complained of */
  run(program: string, args: readonly string[], input?: string): Promise<string>;
  readonly runs: number;
}

// A program that waits for a lock has its own, shorter limit; this is for one that hangs.
const TIMEOUT = 60_000;
// As root through sudo or a service manager, PATH may lack these.
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

const PACKAGES: Readonly<Record<string, string>> = { ipset: 'ipset', nsenter: 'util-linux' };

export function systemTools({ netns, signal }: ToolOptions): Tools {
  let runs = 0;
  return {
    run: (program, args, input = '') => {
      runs++;
      return netns === ''
        ? start(program, program, args, input, signal)
        : start('nsenter', program, [`--net=${netns}`, '--', program, ...args], input, signal);
    },
    get runs() {
      return runs;
    },
  };
}

async function start(
  file: string,
  program: string,
  args: readonly string[],
  input: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  throwIfAborted(program, signal);
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`, LC_ALL: 'C' };
  const child = await startChild({ file, args, env }).catch((error: unknown) => {
    throw notStarted(file, error as NodeJS.ErrnoException);
  });
  const { status, output, complaint } = await talk(child, input, signal);
  throwIfAborted(program, signal);
  if (status === 0) return output;
  if (isMissing(file, status, complaint))
    throw notStarted(program, Object.assign(new Error(complaint), { code: 'ENOENT' }));
  throw failed(program, status, complaint);
}

interface Ended {
  /** Its exit status, or the signal that ended it. */
  readonly status: number | string;
  readonly output: string;
  readonly complaint: string;
}

/** Feeds it and reads it to its end; no longer than until the signal. */
async function talk(child: Child, input: string, signal: AbortSignal | undefined): Promise<Ended> {
  const { stdin, stdout, stderr } = child;
  const kill = (): void => {
    child.kill();
  };
  // Nobody waits for one that will not end, nor for what it has started itself, which may hold its streams open.
  let abort = (): void => undefined;
  const aborted = new Promise<string>((resolve) => {
    abort = () => {
      kill();
      for (const stream of [stdin, stdout, stderr]) stream.destroy();
      resolve('aborted');
    };
  });
  signal?.addEventListener('abort', abort);
  if (signal?.aborted === true) abort();
  const limit = setTimeout(kill, TIMEOUT);
  const output: string[] = [];
  const complaint: string[] = [];
  // Read as it comes: the rules of a large cluster are tens of megabytes, and no work for one piece.
  stdout.setEncoding('utf8').on('data', (chunk: string) => output.push(chunk));
  stderr.setEncoding('utf8').on('data', (chunk: string) => complaint.push(chunk));
  // A program that ends before it has read everything says why on its standard error.
  stdin.on('error', () => undefined);
  stdin.end(input);
  try {
    const status = await Promise.race([child.ended, aborted]);
    return { status, output: output.join(''), complaint: complaint.join('') };
  } finally {
    clearTimeout(limit);
    signal?.removeEventListener('abort', abort);
  }
}

function throwIfAborted(program: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  const cause: unknown = signal.reason;
  const details = { code: 'ABORT_ERR', operation: program, cause };
  throw new IpvsError(`${program}: aborted by its signal`, details);
}

// nsenter(1) is there, what it was to run is not.
function isMissing(file: string, status: number | string, complaint: string): boolean {
  return file === 'nsenter' && status === 127 && /No such file or directory/.test(complaint);
}

function notStarted(program: string, error: NodeJS.ErrnoException): IpvsError {
  const name = PACKAGES[program] ?? 'iptables';
  // Programs whose names say which kind of rules they write came with that release.
  const since = name === 'iptables' ? ' (1.8 or later)' : '';
  return new IpvsError(
    error.code === 'ENOENT'
      ? `${program}: not installed: install it: apt-get install ${name}${since}`
      : `${program}: cannot be run: ${error.message}`,
    { code: error.code ?? 'EIO', operation: program, cause: error },
  );
}

function failed(program: string, status: number | string, stderr: string): IpvsError {
  const words = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(Try |# Warning: |Ignoring deprecated )/.test(line))
    .slice(0, 3)
    .join('; ');
  return new IpvsError(
    `${program}: ${words === '' ? `ended with ${status}` : words}${adviceFor(words)}`,
    { code: 'ERR_IPVS_TOOL', operation: program },
  );
}

function adviceFor(words: string): string {
  if (/permission denied|not permitted|must be root/i.test(words)) return ': run it as root';
  if (/unknown (?:argument|option|set type)|invalid option/i.test(words))
    return ': it is too old for this: install a newer one';
  if (/xtables lock/i.test(words))
    return ': another program is at work on the rules: find it (fuser /run/xtables.lock), or try again';
  return '';
}

/** Refuses an ipset that does not know the sets of a program; asked before anything is done here for the first time. */
export async function checkIpset(tools: Tools): Promise<void> {
  const printed = await tools.run('ipset', ['--version']);
  const text = /\bv?(\d+\.\d+)/.exec(printed)?.[1] ?? '';
  if (!before(parseVersion(text), 6, 0)) return;
  throw new IpvsError(`ipset: version ${text} is too old: install 6.0 or later`, {
    code: 'ERR_IPVS_TOOL',
    operation: 'ipset',
  });
}
