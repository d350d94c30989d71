// ipvs iptables render, apply and cleanup: services as rules, from a state file or from a cluster.
import { applyPlan } from '../../converge';
import { IpvsError } from '../../errors';
import { familyOf } from '../../id';
import { iptablesProgram, type IptablesProgram } from '../../iptables';
import type { Family, VirtualServer } from '../../model';
import { plan } from '../../plan';
import type { IptablesReport, RulesOptions } from '../../node';
import type { RenderedRules } from '../../ruleset/render';
import type { State } from '../../state';
import type { Io } from '../io';
import { lazy } from '../lazy';
import type { Printer } from '../printer';
import { explainError } from '../words';
import { NotDone, WrongUse } from '../wrong';
import { clusterOf, type ClusterFlags } from './kube';
import { ownerOf, readStateFile } from './state';

export interface PlaceFlags {
  readonly prefix?: string;
  readonly variant?: 'nft' | 'legacy';
  readonly family?: Family;
  readonly yes?: true;
}

export interface SourceFlags extends ClusterFlags, PlaceFlags {
  readonly kube?: true;
  readonly approximate?: true;
}

export interface ApplyFlags extends SourceFlags {
  readonly prune?: readonly string[];
  readonly dryRun?: true;
}

const PREFIX = 'IPVS';
const KUBE_ONLY = [
  'config',
  'node',
  'zone',
  'nodeAddress',
  'nodePortAddresses',
  'clusterCidr',
  'masqueradeAll',
  'proxyName',
] as const;

/** Prints rules as iptables-restore takes them. */
export async function render(io: Io, printer: Printer, flags: SourceFlags): Promise<void> {
  mustFit(flags);
  const rendered = flags.kube
    ? await renderCluster(io, flags)
    : lazy.render().renderServers((await stateOf(io, flags)).services, backendOptions(flags));
  for (const problem of rendered.problems) io.stderr.write(`${problem}\n`);
  const tools = { ipv4: 'iptables-restore', ipv6: 'ip6tables-restore' };
  await printer.oneLines(rendered, function* () {
    for (const [family, text] of Object.entries(rendered.rules)) {
      yield `# ${tools[family as Family]} --noflush`;
      yield* text.trimEnd().split('\n');
    }
  });
}

async function renderCluster(io: Io, flags: SourceFlags): Promise<RenderedRules> {
  const { program, problems } = await kubeProgram(io, flags);
  const { rules } = lazy.render().renderProgram(program, flags.prefix ?? PREFIX);
  return { rules, problems };
}

/** Makes rules what files say; asks first where services or chains go. */
export async function apply(
  io: Io,
  printer: Printer,
  flags: ApplyFlags,
  netns: string | undefined,
): Promise<void> {
  mustFit(flags);
  const report = flags.kube
    ? await applyCluster(io, flags, netns)
    : await applyState(io, flags, netns);
  await print(io, printer, report, flags.dryRun === true);
}

/** Leaves no rule and no chain of ours. */
export async function cleanup(
  io: Io,
  printer: Printer,
  flags: PlaceFlags,
  netns: string | undefined,
): Promise<void> {
  const { prefix = PREFIX } = flags;
  if (flags.yes !== true) {
    await lazy.ask().confirm(io, `Take away every chain ${prefix}-* and what leads there?`);
  }
  const node = new (lazy.node().IptablesNode)(placeOptions(flags, netns));
  await print(io, printer, await node.cleanup(), false);
}

async function applyCluster(
  io: Io,
  flags: ApplyFlags,
  netns: string | undefined,
): Promise<IptablesReport> {
  const { program, problems } = await kubeProgram(io, flags);
  const node = new (lazy.node().IptablesNode)(placeOptions(flags, netns));
  const planned = await node.plan(program);
  const all = [...new Set([...problems, ...planned.problems])];
  if (flags.dryRun === true) return { ...planned, problems: all };
  const gone = planned.lines.filter((line) => line.startsWith('- ')).length;
  await mayDelete(io, flags, gone, gone === 1 ? 'a chain or rule' : `${gone} chains or rules`);
  return { ...(await node.apply(program, { signal: io.interruption() })), problems: all };
}

async function applyState(
  io: Io,
  flags: ApplyFlags,
  netns: string | undefined,
): Promise<IptablesReport> {
  const state = await stateOf(io, flags);
  const backend = new (lazy.node().IptablesBackend)({
    ...backendOptions(flags),
    ...placeOptions(flags, netns),
  });
  const owns = ownerOf(state, flags);
  const changes = plan(state.services, await backend.snapshot(), owns ? { owns } : {});
  const report = await backend.preview(changes);
  if (flags.dryRun === true) return report;
  const gone = changes.changes.filter(({ op }) => op === 'deleteService').length;
  await mayDelete(io, flags, gone, gone === 1 ? 'one service' : `${gone} services`);
  // With nothing to change, what somebody did to our chains is still repaired.
  if (changes.empty) await backend.apply([]);
  const { outcomes, restored } = await applyPlan(backend, changes, { signal: io.interruption() });
  const all = [...outcomes, ...restored];
  const failed = all.filter(({ status }) => status !== 'done');
  if (failed.length === 0) return report;
  // A restore that is refused fails many changes, for one reason.
  const reasons = new Map(
    failed.flatMap(({ error }) => {
      if (error === undefined) return [];
      const reason = error.cause instanceof IpvsError ? error.cause : error;
      return [[reason.message, reason] as const];
    }),
  );
  for (const reason of [...reasons.values()].slice(0, TOLD)) {
    io.stderr.write(`${explainError(reason, 'iptables apply').text}\n`);
  }
  throw new NotDone(
    `${all.length - failed.length} done, ${failed.length} failed: mend the cause and run it again`,
  );
}

/** Failures that are told one by one. */
const TOLD = 10;

async function mayDelete(io: Io, flags: ApplyFlags, count: number, what: string): Promise<void> {
  if (count === 0 || flags.yes === true) return;
  lazy.ask().mustBeAskable(io);
  await lazy.ask().confirm(io, `Delete ${what}?`);
}

async function stateOf(io: Io, flags: SourceFlags): Promise<State> {
  const [file = '', second] = flags.file;
  if (second !== undefined) {
    throw new WrongUse(
      `${second}: a second state file: give one, or --kube for files of a cluster`,
    );
  }
  const state = await readStateFile(io, file);
  if (state.timeouts !== undefined) {
    io.stderr.write('timeouts: those of IPVS, which iptables has none of; passed over\n');
  }
  const { family } = flags;
  const isWanted = (server: VirtualServer): boolean =>
    family === undefined || familyOf(server) === family;
  return { ...state, services: state.services.filter(isWanted) };
}

async function kubeProgram(
  io: Io,
  flags: SourceFlags,
): Promise<{ readonly program: IptablesProgram; readonly problems: readonly string[] }> {
  const { map, node, config, problems: said } = await clusterOf(io, flags);
  const { prefix = PREFIX, clusterCidr, masqueradeAll, family } = flags;
  const { options, localhostNodePorts } = config ?? { options: {}, localhostNodePorts: undefined };
  const detectLocal = clusterCidr ? { cidrs: clusterCidr } : options.detectLocal;
  const program = iptablesProgram(map, node, {
    prefix,
    // Beside kube-proxy, a bit of its own.
    masqueradeBit: options.masqueradeBit ?? (prefix === 'KUBE' ? 14 : 13),
    ...(detectLocal && { detectLocal }),
    ...((masqueradeAll ?? options.masqueradeAll) === true && { masqueradeAll: true }),
    ...(family && { families: [family] }),
    ...(localhostNodePorts !== undefined && { localhostNodePorts }),
  });
  // Here it makes a difference.
  const files = said.filter((line) => !line.startsWith('iptables.localhostNodePorts:'));
  return { program, problems: [...files, ...program.problems] };
}

// What would silently mean nothing.
function mustFit(flags: ApplyFlags): void {
  const wrong = flags.kube
    ? (['approximate', 'prune'] as const).find((name) => flags[name] !== undefined)
    : KUBE_ONLY.find((name) => flags[name] !== undefined);
  if (wrong === undefined) return;
  const option = `--${wrong.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new WrongUse(
    flags.kube
      ? `${option}: not with --kube: leave one of the two out`
      : `${option}: only with --kube: add that, or leave it out`,
  );
}

function backendOptions({ prefix, family, approximate }: SourceFlags): {
  readonly prefix?: string;
  readonly families?: readonly Family[];
  readonly unsupported?: 'approximate';
} {
  return {
    ...(prefix !== undefined && { prefix }),
    ...(family && { families: [family] }),
    ...(approximate && { unsupported: 'approximate' }),
  };
}

function placeOptions(
  { prefix, family, variant }: PlaceFlags,
  netns: string | undefined,
): RulesOptions {
  return {
    ...(netns !== undefined && { netns }),
    ...(prefix !== undefined && { prefix }),
    ...(family && { families: [family] }),
    ...(variant && { variant }),
  };
}

// In a dry run every rule; afterwards how many chains.
async function print(
  io: Io,
  printer: Printer,
  report: IptablesReport,
  withRules: boolean,
): Promise<void> {
  if (printer.output === 'table') {
    for (const problem of report.problems) io.stderr.write(`${problem}\n`);
  }
  await printer.oneLines(report, () => (withRules ? report.lines : report.summary));
}
