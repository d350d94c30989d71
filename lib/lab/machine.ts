import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/**
 * Why the lab could not boot, or stopped before the command ended.
 * @public
 */
export class LabError extends Error {
  /** The system's name for why the command could not start, such as ENOENT. */
  readonly code: string | undefined;
  /** The end of what the lab's kernel said, when it stopped by itself. */
  readonly console: string | undefined;
  constructor(
    message: string,
    details: { readonly code?: string; readonly console?: string } = {},
  ) {
    super(details.console ? `${message}\n${details.console}` : message);
    this.code = details.code;
    this.console = details.console;
  }
}
Object.defineProperty(LabError.prototype, 'name', { value: 'LabError' });

const kernelPath = '/usr/bin/linux.uml';
const modulesPath = '/usr/lib/uml/modules';

/**
 * Whether this machine can boot the lab: the path of the kernel, or why not and what to do.
 * @public
 */
export function labAvailable(
  kernel = kernelPath,
):
  | { readonly kernel: string; readonly reason?: undefined }
  | { readonly kernel?: undefined; readonly reason: string } {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return {
      reason: `the lab needs Linux on x86-64, this is ${process.platform} on ${process.arch}: use a machine whose kernel has IPVS`,
    };
  }
  const missing = [kernel, modulesPath, '/usr/bin/perl'].find((file) => !fs.existsSync(file));
  if (missing === undefined) return { kernel };
  return {
    reason: `the lab needs user-mode Linux, and ${missing} is not there: apt-get install user-mode-linux kmod (Debian 12)`,
  };
}

interface Mount {
  readonly type: string;
  readonly noexec: boolean;
}

/** The file system that holds a directory, from the longest mount point above it. */
function mountOf(directory: string): Mount | undefined {
  let found: Mount | undefined;
  let longest = -1;
  for (const line of fs.readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, point, type, options] = line.split(' ');
    if (point === undefined || type === undefined || options === undefined) continue;
    const under = point === '/' || directory === point || directory.startsWith(`${point}/`);
    // Of two mounts on one point the later one is on top.
    if (!under || point.length < longest) continue;
    longest = point.length;
    found = { type, noexec: options.split(',').includes('noexec') };
  }
  return found;
}

function writable(directory: string): boolean {
  try {
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @internal */
export function bytesOfMemory(memory: string): number {
  const match = /^([1-9]\d*)([KMG])$/i.exec(memory);
  if (match === null) {
    throw new LabError(`memory must be a number and K, M or G, such as 2G, but was '${memory}'`);
  }
  const power = { K: 1, M: 2, G: 3 }[match[2]?.toUpperCase() as 'K' | 'M' | 'G'];
  const bytes = Number(match[1]) * 1024 ** power;
  if (bytes < 64 * 1024 ** 2) {
    throw new LabError(`memory must be at least 64M for the kernel to boot, but was '${memory}'`);
  }
  return bytes;
}

/**
 * Where the file behind the kernel's memory goes. The kernel maps it executable and the file is
 * sparse: on a tmpfs it costs what is touched, on a disk it is also written back now and then. A
 * tmpfs too small (Docker gives /dev/shm 64M) would kill the kernel in mid-flight.
 */
function memoryDirectory(bytes: number): string {
  const candidates = ['/dev/shm', process.env['XDG_RUNTIME_DIR'], os.tmpdir(), '/tmp', '/var/tmp']
    .filter((directory) => directory !== undefined)
    .filter((directory) => writable(directory) && mountOf(directory)?.noexec === false);
  const fits = candidates.filter((directory) => {
    const { bavail, bsize } = fs.statfsSync(directory);
    return bavail * bsize >= bytes;
  });
  const best = fits.find((directory) => mountOf(directory)?.type === 'tmpfs') ?? fits[0];
  if (best !== undefined) return best;
  throw new LabError(
    `no writable directory has room for the lab's memory (${Math.round(bytes / 1024 ** 2)} MB, without noexec): tried ${candidates.join(', ')}; free some space, ask for less memory or set TMPDIR`,
  );
}

/** A new directory of our own, whose path needs no quoting on a kernel's command line. */
function makeDirectory(): string {
  const base = [os.tmpdir(), '/tmp', '/dev/shm', '/var/tmp'].find(
    (directory) => /^[\w./+@-]+$/.test(directory) && writable(directory),
  );
  if (base === undefined) throw new LabError('no temporary directory is writable: set TMPDIR');
  removeStale(base);
  return fs.mkdtempSync(path.join(base, prefix));
}

const prefix = 'ipvs-lab-';

/**
 * A lab removes its directory once it has booted, at most a minute after making it, and its guest
 * does when the host cannot any more. Only who is killed in the moment between making the directory
 * and starting the kernel leaves one, for us to find.
 */
function removeStale(base: string): void {
  for (const name of fs.readdirSync(base)) {
    if (!name.startsWith(prefix)) continue;
    const directory = path.join(base, name);
    try {
      const { mtimeMs, uid } = fs.lstatSync(directory);
      if (uid !== process.getuid?.() || Date.now() - mtimeMs < 600_000) continue;
      fs.rmSync(directory, { recursive: true, force: true });
    } catch {
      // Another lab was quicker.
    }
  }
}

const sources = path.join(__dirname, '..', '..', 'lib', 'lab');

/**
 * The kernel of Debian 12 dies on processors with AMX unless xstate.c helps (it says why). Compiled
 * each time, in 40 ms: a cached one would have to be looked after.
 */
function compileXstate(directory: string): string | undefined {
  if (!/^flags\s*:.*\bamx_tile\b/m.test(fs.readFileSync('/proc/cpuinfo', 'utf8'))) return undefined;
  const library = path.join(directory, 'xstate.so');
  const options = [
    '-O1',
    '-shared',
    '-fPIC',
    '-o',
    library,
    '-x',
    'c',
    path.join(sources, 'xstate.c'),
  ];
  for (const compiler of ['cc', 'gcc', 'c++', 'clang']) {
    if (spawnSync(compiler, options, { stdio: 'ignore' }).status === 0) return library;
  }
  throw new LabError(
    'this processor (with AMX) has more vector registers than user-mode Linux 6.1 knows, and the lab needs a C compiler to bridge that: apt-get install gcc libc6-dev',
  );
}

/**
 * How to boot one kernel: its program, arguments and environment.
 * @internal
 */
export interface Machine {
  readonly kernel: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly directory: string;
  /** Removes what is left on the host; more than once is fine. */
  dispose(): void;
}

/**
 * @param job What guest.pl is to start.
 * @internal
 */
export function makeMachine(kernel: string, memory: string, job: Buffer): Machine {
  const memoryIn = memoryDirectory(bytesOfMemory(memory));
  const directory = makeDirectory();
  const dispose = (): void => {
    fs.rmSync(directory, { recursive: true, force: true });
  };
  try {
    fs.copyFileSync(path.join(sources, 'guest.pl'), path.join(directory, 'guest.pl'));
    fs.writeFileSync(path.join(directory, 'job'), job);
    const preload = compileXstate(directory);
    return {
      kernel,
      directory,
      dispose,
      env: {
        HOME: directory,
        PATH: '/usr/bin:/bin',
        TMPDIR: memoryIn,
        ...(preload === undefined ? {} : { LD_PRELOAD: preload }),
      },
      args: [
        `mem=${memory}`,
        `uml_dir=${directory}/`,
        'umid=kernel',
        'root=/dev/root',
        'rootfstype=hostfs',
        'rootflags=/',
        'rw',
        // The kernel's own words go to our pipe; tty1 is the line that guest.pl serves.
        'con=null',
        'ssl=null',
        'con0=null,fd:1',
        // Two, so that our end's going is an end of file there: with words of the guest unread in it
        // it would be an error, which the kernel does not take for a hang-up.
        'con1=fd:3,fd:4',
        'quiet',
        // Seven tenths of the boot were spent choosing a RAID algorithm and timing a delay loop.
        'initcall_blacklist=raid6_select_algo',
        'lpj=40000000',
        // No policy is loaded, so security modules would only slow system calls down.
        'lsm=',
        // Die rather than start again: the host is waiting to hear.
        'panic=-1',
        'noreboot',
        'init=/usr/bin/perl',
        '--',
        `${directory}/guest.pl`,
        directory,
      ],
    };
  } catch (error) {
    dispose();
    throw error;
  }
}
