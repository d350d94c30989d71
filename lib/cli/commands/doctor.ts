// ipvs doctor: what the checks found, and how to mend it.
import type { OpenOptions, Ipvs } from '../../client';
import {
  diagnose,
  type Check,
  type DiagnoseOptions,
  type CheckStatus,
  type KubeConfig,
  type System,
} from '../../doctor';
import type { Io } from '../io';
import { lazy } from '../lazy';
import type { Printer } from '../printer';
import type { Paint, Style } from '../table';

export interface DoctorFlags {
  readonly kube?: true;
  readonly config?: string;
}

/** Reads what of a KubeProxyConfiguration the checks look at. Throws WrongUse. */
export async function configOf(io: Io, { config }: DoctorFlags): Promise<KubeConfig | undefined> {
  if (config === undefined) return undefined;
  const { options, problems } = await lazy.commands.kube().readConfigFile(config, io);
  return { file: config, scheduler: options.scheduler, unused: problems };
}

/** Resolves with the exit status: 1 when a check failed. */
export async function doctor(
  system: System,
  open: (options: OpenOptions) => Promise<Ipvs>,
  printer: Printer,
  options: DiagnoseOptions,
): Promise<number> {
  const checks = await diagnose(system, open, options);
  await printer.listLines(checks, (paint) => report(checks, paint));
  return checks.some(({ status }) => status === 'fail') ? 1 : 0;
}

const STYLES: Readonly<Record<CheckStatus, Style>> = { ok: 'green', warn: 'yellow', fail: 'red' };

function* report(checks: readonly Check[], paint: Paint): Generator<string> {
  const indent = '      ';
  for (const { id, status, what, why, fix } of checks) {
    yield `${paint(STYLES[status], status.padEnd(4))}  ${paint('bold', `${id}:`)} ${what}`;
    if (why !== undefined) yield `${indent}${paint('dim', 'why:')} ${why}`;
    if (fix !== undefined) yield `${indent}${paint('dim', 'fix:')} ${fix}`;
  }
}
