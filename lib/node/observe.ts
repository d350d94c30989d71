// What a node has now, read in as few questions as there are parts of the kernel.
import { readFile, writeFile } from 'node:fs/promises';
import type { Ipvs } from '../client';
import type { Family, VirtualServer } from '../model';
import type { BoundAddress } from './addresses';
import type { Link } from './link-records';
import type { Links } from './links';
import type { NodeRecord } from './record';
import type { SetReader } from './set-reader';
import type { ActualSet } from './sets';
import type { Setting } from './sysctls';
import type { Tools } from './tools';
import type { RulesReader } from './rules-reader';
import type { FoundRules } from './variant';

/** The parts of the kernel that a program touches, and the programs that reach the others. */
export interface NodeSystem {
  readonly ipvs: Pick<Ipvs, 'snapshot' | 'servers' | 'destinations' | 'apply'>;
  readonly links: Links;
  readonly sets: SetReader;
  readonly rules: RulesReader;
  readonly tools: Tools;
  readonly sysctls: Sysctls;
}

/** Kernel settings by their path under /proc/sys. */
export interface Sysctls {
  /** Without those that the kernel does not have. */
  read(paths: readonly string[]): Promise<ReadonlyMap<string, string>>;
  write(settings: readonly Setting[]): Promise<void>;
}

export interface Observed {
  readonly servers: readonly VirtualServer[];
  readonly links: readonly Link[];
  readonly addresses: readonly BoundAddress[];
  readonly sets: ReadonlyMap<string, ActualSet>;
  readonly rules: ReadonlyMap<Family, FoundRules>;
  readonly settings: ReadonlyMap<string, string>;
}

/** What is looked at. */
export interface Scope {
  /** Whose rules. */
  readonly families: readonly Family[];
  /** Names of ip sets. */
  readonly sets: readonly string[];
  /** Paths under /proc/sys. */
  readonly settings: readonly string[];
}

export async function observe(
  system: NodeSystem,
  { families, sets: names, settings }: Scope,
  record: NodeRecord,
): Promise<Observed> {
  const [servers, links, addresses, sets, ...rules] = await Promise.all([
    // Settings, and the connections of what drains: all that a plan compares.
    system.ipvs.servers(),
    system.links.links(),
    system.links.addresses(),
    system.sets.read(names),
    ...families.map((family) =>
      system.rules
        .find(system.tools, family, record.rules[family]?.variant)
        .then((found) => [family, found] as const),
    ),
  ]);
  return {
    servers,
    links,
    addresses,
    sets,
    rules: new Map(rules),
    settings: await system.sysctls.read(settings),
  };
}

/** The settings of this process's namespace as files; those of another through programs that run there. */
export function systemSysctls(netns: string, tools: Tools): Sysctls {
  return netns === '' ? FILES : new ForeignSysctls(tools);
}

const fileOf = (path: string): string => `/proc/sys/${path}`;

const FILES: Sysctls = {
  read: (paths) => readEach(paths, (path) => readFile(fileOf(path), 'utf8')),
  write: async (settings) => {
    for (const { path, value } of settings) await writeFile(fileOf(path), value);
  },
};

async function readEach(
  paths: readonly string[],
  read: (path: string) => Promise<string>,
): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  for (const path of paths) {
    const value = await read(path).catch(() => undefined);
    if (value !== undefined) values.set(path, value.trim());
  }
  return values;
}

/** As few programs as will do: each of these settings is one line. */
class ForeignSysctls implements Sysctls {
  readonly #tools: Tools;

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  async read(paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const cat = (...files: readonly string[]): Promise<string> =>
      this.#tools.run('cat', files.map(fileOf));
    if (paths.length === 0) return new Map();
    const lines = await cat(...paths).then(
      (text) => text.trim().split('\n'),
      () => [],
    );
    if (lines.length === paths.length)
      return new Map(paths.map((path, i) => [path, (lines[i] ?? '').trim()]));
    // Some are not there.
    return readEach(paths, (path) => cat(path));
  }

  async write(settings: readonly Setting[]): Promise<void> {
    const byValue = new Map<string, string[]>();
    for (const { path, value } of settings)
      byValue.set(value, [...(byValue.get(value) ?? []), fileOf(path)]);
    for (const [value, files] of byValue) await this.#tools.run('tee', files, value);
  }
}
