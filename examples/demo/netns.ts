// Hosts of a demo: network namespaces, made and removed with ip(8), and the programs that run in them.
import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A host. */
export interface Place {
  readonly name: string;
  readonly netns: string;
}

// An ordinary user, root in the lab, need not have the system programs in PATH.
const env = { ...process.env, PATH: `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin` };

export class Namespaces {
  readonly #places: readonly Place[];
  #ours = false;

  constructor(places: readonly Place[]) {
    this.#places = places;
  }

  /** Makes them, after removing what a demo that was killed may have left. */
  make(): void {
    for (const { netns } of this.#places) refuseBusy(netns);
    this.#ours = true;
    this.remove();
    batch(this.#places.map(({ netns }) => `netns add ${netns}`));
  }

  /**
   * Removes them, unless they are another demo's. What still runs in one keeps it alive, without a name, until it ends.
   */
  remove(): void {
    if (!this.#ours) return;
    const there = this.#places.filter(({ netns }) => existsSync(`/run/netns/${netns}`));
    if (there.length > 0) batch(there.map(({ netns }) => `netns delete ${netns}`));
  }
}

/** Some kernels have IPv6 as a module, and ip(8) does not ask for it. Where there is none, an address will fail. */
export function loadIpv6(): void {
  spawnSync('modprobe', ['ipv6'], { env });
}

/** Starts a program of the demo in a host. */
export function startIn({ netns }: Place, program: string, args: string[] = []): ChildProcess {
  return fork(join(__dirname, program), args, {
    env,
    execPath: 'ip',
    execArgv: ['netns', 'exec', netns, process.execPath],
  });
}

/** Resolves when a program of the demo says that it is ready. */
export function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('message', () => {
      resolve();
    });
  });
}

/** Rejects when a program of the demo ends, which none does before the demo has. */
export function end(child: ChildProcess): Promise<never> {
  return new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (status, signal) => {
      const program = child.spawnargs.slice(5).join(' ');
      reject(new Error(`${program} ended early: ${signal ?? `status ${status ?? 'none'}`}`));
    });
  });
}

/** Runs lines of `ip -batch`, in a host or beside them. */
export function batch(lines: readonly string[], inside?: Place): void {
  const where = inside === undefined ? [] : ['-n', inside.netns];
  ip([...where, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** Runs a program in a host; gives what it printed. */
export function run({ netns }: Place, ...command: readonly string[]): string {
  return ip(['netns', 'exec', netns, ...command]);
}

// A demo's programs end with it, so whatever runs in its namespaces belongs to one that is under way.
function refuseBusy(netns: string): void {
  if (!existsSync(`/run/netns/${netns}`)) return;
  const busy = spawnSync('ip', ['netns', 'pids', netns], { env, encoding: 'utf8' }).stdout.trim();
  if (busy !== '') {
    throw new Error(`the namespace ${netns} is in use: another demo runs here, let it end first`);
  }
}

function ip(args: readonly string[], input = ''): string {
  const { error, status, stdout, stderr } = spawnSync('ip', args, { env, input, encoding: 'utf8' });
  if (error !== undefined) throw new Error(`ip: ${error.message}: install iproute2`);
  if (status === 0) return stdout;
  const hint = process.getuid?.() === 0 ? '' : ' (it needs root: run it with npm run demo)';
  throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}${hint}`);
}
