// What a node has now, read in as few questions as there are parts of the kernel.
import { readFile, writeFile } from 'node:fs/promises';
import type { Backend } from '../backend';
import type { Family, VirtualServer } from '../model';
import type { BoundAddress } from './addresses';
import type { Link } from './link-records';
import type { Links } from './links';
import type { NodeRecord } from './record';
import { parseSets, type ActualSet } from './sets';
import type { Tools } from './tools';
import { findRules, type FoundRules } from './variant';

/** The parts of the kernel that a program touches, and the programs that reach the others. */
export interface NodeSystem {
  readonly ipvs: Backend;
  readonly links: Links;
  readonly tools: Tools;
  readonly sysctls: Sysctls;
}

/** Kernel settings by their path under /proc/sys. */
export interface Sysctls {
  /** Undefined where the kernel has no such setting. */
  read(path: string): Promise<string | undefined>;
  write(path: string, value: string): Promise<void>;
}

export interface Observed {
  readonly servers: readonly VirtualServer[];
  readonly links: readonly Link[];
  readonly addresses: readonly BoundAddress[];
  readonly sets: ReadonlyMap<string, ActualSet>;
  readonly rules: ReadonlyMap<Family, FoundRules>;
  readonly settings: ReadonlyMap<string, string>;
}

/** @param families - whose rules are read */
export async function observe(
  system: NodeSystem,
  families: readonly Family[],
  settings: readonly string[],
  record: NodeRecord,
): Promise<Observed> {
  const [servers, links, addresses, sets, ...rules] = await Promise.all([
    system.ipvs.snapshot(),
    system.links.links(),
    system.links.addresses(),
    system.tools.run('ipset', ['save']),
    ...families.map((family) =>
      findRules(system.tools, family, record.rules[family]?.variant).then(
        (found) => [family, found] as const,
      ),
    ),
  ]);
  return {
    servers,
    links,
    addresses,
    sets: parseSets(sets),
    rules: new Map(rules),
    settings: await readSettings(system.sysctls, settings),
  };
}

async function readSettings(
  sysctls: Sysctls,
  paths: readonly string[],
): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  for (const path of paths) {
    const value = await sysctls.read(path);
    if (value !== undefined) values.set(path, value.trim());
  }
  return values;
}

/** The settings of this process's namespace as files; those of another through programs that run there. */
export function systemSysctls(netns: string, tools: Tools): Sysctls {
  const file = (path: string) => `/proc/sys/${path}`;
  if (netns !== '') {
    return {
      read: (path) => tools.run('cat', [file(path)]).catch(() => undefined),
      write: async (path, value) => {
        await tools.run('tee', [file(path)], value);
      },
    };
  }
  return {
    read: (path) => readFile(file(path), 'utf8').catch(() => undefined),
    write: (path, value) => writeFile(file(path), value),
  };
}
