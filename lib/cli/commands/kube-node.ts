// ipvs kube apply and cleanup: a program put on this node, and everything taken back.
import type { NodeOptions, NodeReport } from '../../node';
import type { Io } from '../io';
import { lazy } from '../lazy';
import type { Printer } from '../printer';
import { programOf, type MapFlags } from './kube';

export interface NodeFlags {
  readonly device?: string;
  readonly record?: string;
  readonly managed?: readonly string[];
  readonly strictArp?: true;
  readonly yes?: true;
}

export interface ApplyFlags extends Omit<MapFlags, 'output'>, NodeFlags {
  readonly dryRun?: true;
  /** Seconds. */
  readonly drain?: number;
  readonly wait?: true;
}

/** Makes the node as the cluster says; asks first where something goes that is there. */
export async function applyKube(
  io: Io,
  printer: Printer,
  flags: ApplyFlags,
  netns?: string,
): Promise<void> {
  const program = await programOf(io, flags);
  await using node = await lazy.node().openNode(optionsOf(flags, netns));
  const drain = flags.drain === undefined ? {} : { drain: flags.drain * 1000 };
  const report =
    flags.dryRun === true
      ? await node.plan(program, drain)
      : await node.apply(program, {
          ...drain,
          wait: flags.wait === true,
          signal: io.interruption(),
          approve: (planned) => (flags.yes === true ? Promise.resolve() : ask(io, planned)),
        });
  await print(io, printer, { ...report, problems: [...program.problems, ...report.problems] });
}

async function ask(io: Io, { lines }: NodeReport): Promise<void> {
  const gone = lines.filter((line) => line.startsWith('-') || line.endsWith('(drains)')).length;
  if (gone === 0) return;
  lazy.ask().mustBeAskable(io);
  for (const line of lines) io.stderr.write(`${line}\n`);
  await lazy.ask().confirm(io, `Change the node, and take away ${String(gone)} of what it has?`);
}

/** Leaves the node as it was before the first apply. */
export async function cleanupKube(
  io: Io,
  printer: Printer,
  flags: NodeFlags,
  netns?: string,
): Promise<void> {
  if (flags.yes !== true) {
    await lazy.ask().confirm(io, 'Take everything back that was put on this node for Kubernetes?');
  }
  await using node = await lazy.node().openNode(optionsOf(flags, netns));
  await print(io, printer, await node.cleanup());
}

function optionsOf(flags: NodeFlags, netns: string | undefined): NodeOptions {
  const { device, record, managed, strictArp } = flags;
  return {
    ...(netns !== undefined && { netns }),
    ...(device !== undefined && { device }),
    ...(record !== undefined && { record }),
    ...(managed && { managed }),
    ...(strictArp && { strictArp }),
  };
}

async function print(io: Io, printer: Printer, report: NodeReport): Promise<void> {
  for (const problem of new Set(report.problems)) io.stderr.write(`${problem}\n`);
  for (const one of report.draining) io.stderr.write(`${one} drains: it goes with a later apply\n`);
  await printer.oneLines(report, () => report.lines);
}
