// Looks at a machine for what keeps IPVS from working, or from working well. Nothing is changed, but for what opening IPVS
// itself does: from kernel 5.16 on that loads its module.
import type { Ipvs, OpenOptions } from './client';
import { IpvsError } from './errors';
import { parseVersion, type Check, type Facts, type KubeConfig, type Table } from './doctor/check';
import { checkKube } from './doctor/kube';
import {
  checkAddon,
  checkAnswer,
  checkIpvs,
  checkKernel,
  checkPrivilege,
  checkSchedulers,
} from './doctor/machine';
import { checkSysctls } from './doctor/sysctls';
import type { System } from './doctor/system';
import { checkManagers, checkTable } from './doctor/table';

export type { Check, CheckStatus, KubeConfig } from './doctor/check';
export { thisSystem, type System } from './doctor/system';

export interface DiagnoseOptions {
  readonly netns?: string | undefined;
  /** Whether the node is ready to be served by IPVS instead of kube-proxy. */
  readonly kube?: { readonly config?: KubeConfig | undefined } | undefined;
}

/** What was found, first what the rest stands on. */
export async function diagnose(
  system: System,
  open: (options: OpenOptions) => Promise<Ipvs>,
  options: DiagnoseOptions = {},
): Promise<Check[]> {
  if (system.platform !== 'linux') {
    return [
      {
        id: 'platform',
        status: 'fail',
        what: `this is ${system.platform}`,
        why: 'IPVS is a part of Linux',
        fix: 'run it on Linux',
      },
    ];
  }
  const facts = await gather(system, open, options.netns);
  return [
    checkKernel(facts),
    checkAddon(facts),
    checkPrivilege(facts),
    checkIpvs(facts),
    checkAnswer(facts),
    checkSchedulers(facts),
    ...(facts.netns === undefined ? checkSysctls(facts) : [elsewhere(facts.netns)]),
    ...checkTable(facts),
    ...checkManagers(facts),
    ...(options.kube === undefined ? [] : checkKube(facts, options.kube.config)),
  ].filter((check) => check !== undefined);
}

async function gather(
  system: System,
  open: (options: OpenOptions) => Promise<Ipvs>,
  netns: string | undefined,
): Promise<Facts> {
  const base = { system, kernel: parseVersion(system.release), netns };
  try {
    const client = await open(netns === undefined ? {} : { netns });
    try {
      return { ...base, table: await readTable(client) };
    } finally {
      await client.close();
    }
  } catch (error) {
    if (error instanceof IpvsError && error.code !== 'ERR_IPVS_INVALID') return { ...base, error };
    throw error;
  }
}

async function readTable(client: Ipvs): Promise<Table> {
  return {
    info: await client.info(),
    servers: await client.snapshot(),
    daemons: await client.daemons(),
  };
}

// /proc shows the namespace of whoever reads it.
function elsewhere(netns: string): Check {
  return {
    id: 'sysctl',
    status: 'ok',
    what: `the settings of ${netns} were not looked at`,
    why: '/proc shows those of the namespace one is in',
    fix: `ip netns exec ${netns} ipvs doctor`,
  };
}
