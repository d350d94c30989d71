// Where things are. Programs run from build/programs, so nothing can be found relative to this file.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const load = createRequire(__filename);

export const ROOT = path.dirname(load.resolve('ipvs/package.json'));
/** Programs, tables and notes of one run to the next step of it. */
export const SCRATCH = path.join(ROOT, 'build', 'bench');
export const RESULTS = path.join(ROOT, 'bench', 'results');
export const FLOOR = path.join(SCRATCH, 'floor');

export function tableFile(services: number, each = 5): string {
  return path.join(SCRATCH, `table-${services}x${each}.txt`);
}

export function program(name: string): string {
  return path.join(ROOT, 'build', 'programs', 'bench', `${name}.js`);
}

export function compileFloor(): void {
  const sources = ['floor.c', 'flows.c', 'netlink.c'];
  compile('floor', ...sources.map((name) => path.join('floor', name)));
}

/** Compiles C sources, given from the folder of benchmarks; where the program is. */
export function compile(name: string, ...sources: readonly string[]): string {
  mkdirSync(SCRATCH, { recursive: true });
  const output = path.join(SCRATCH, name);
  const files = sources.map((source) => path.join(ROOT, 'bench', source));
  const { status, stderr } = spawnSync('cc', ['-O2', '-o', output, ...files], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} does not compile (cc -O2): ${stderr}`);
  return output;
}

/** Inner modules of the library, for what is measured without a kernel. */
export function internals(): {
  client: typeof import('../dist/client');
  records: typeof import('../dist/records');
  settings: typeof import('../dist/settings');
  native: typeof import('../dist/native');
} {
  const get = (name: string): unknown => load(path.join(ROOT, 'dist', `${name}.js`));
  return {
    client: get('client') as typeof import('../dist/client'),
    records: get('records') as typeof import('../dist/records'),
    settings: get('settings') as typeof import('../dist/settings'),
    native: get('native') as typeof import('../dist/native'),
  };
}
