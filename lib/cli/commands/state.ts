// ipvs diff, apply, save and restore: the table as a file says.
import { rename, rm, writeFile } from 'node:fs/promises';
import { BlockList } from 'node:net';
import { ApplyError } from '../../apply';
import type { Ipvs } from '../../client';
import { applyPlan, type Applied, type AppliedOutcome } from '../../converge';
import { serviceId } from '../../id';
import { parseIpvsadm, printIpvsadm } from '../../ipvsadm';
import type { ServiceKey, Timeouts, VirtualServer } from '../../model';
import { plan, type Plan } from '../../plan';
import { parseState, printState, type State } from '../../state';
import { readText } from '../../state/file';
import { confirm } from '../ask';
import { interrupted, type Io } from '../io';
import { writeAll, type Printer } from '../printer';
import { explainError } from '../words';
import { NotDone, WrongUse } from '../wrong';
import { Drain, type DrainFlags } from './drain';
import { Status } from './status';

/** Options of diff, apply and restore. */
export interface StateFlags extends DrainFlags {
  /** Networks whose services are deleted when the state does not have them. */
  readonly prune?: readonly string[];
  readonly keepWeights?: true;
  readonly dryRun?: true;
  readonly yes?: true;
  /** Of restore: every service is deleted that the lines do not have. */
  readonly replace?: true;
}

/** What there is to do: services and destinations, and timeouts that differ. */
interface Work {
  readonly plan: Plan;
  readonly drain: Drain | undefined;
  /** Services that go, now or when they have drained. */
  readonly leaving: readonly ServiceKey[];
  readonly timeouts: Partial<Timeouts>;
  readonly before: Timeouts | undefined;
}

/** Reads a state file; `-` is stdin. */
export async function readStateFile(io: Io, file: string): Promise<State> {
  return parseState(await textOf(io, file), { file: nameOf(file) });
}

/** Reads lines of ipvsadm. `-C` asks for what --replace does, and has to be meant. */
export async function readSaved(io: Io, file: string, flags: StateFlags): Promise<State> {
  const saved = parseIpvsadm(await textOf(io, file), { file: nameOf(file) });
  if (saved.clearedAt !== undefined && flags.replace !== true) {
    throw new WrongUse(
      `${nameOf(file)}:${saved.clearedAt}: -C deletes every service that the lines do not have: give --replace to mean it, or leave it out`,
    );
  }
  return saved;
}

function textOf(io: Io, file: string): Promise<string> {
  return file === '-' ? readText('stdin', io.stdin) : readText(file);
}

function nameOf(file: string): string {
  return file === '-' ? 'stdin' : file;
}

/** Resolves with the exit status: 1 when something differs. */
export async function diff(
  client: Ipvs,
  printer: Printer,
  state: State,
  flags: StateFlags,
): Promise<number> {
  const work = await toWork(client, state, flags);
  await show(printer, work);
  return isNothing(work) ? 0 : 1;
}

/** Resolves with the exit status: 1 when a change failed. */
export async function apply(
  client: Ipvs,
  printer: Printer,
  io: Io,
  state: State,
  flags: StateFlags,
  command: 'apply' | 'restore',
): Promise<number> {
  const work = await toWork(client, state, flags);
  if (flags.dryRun === true) {
    await show(printer, work);
    return 0;
  }
  const gone = work.leaving.length;
  if (gone > 0 && flags.yes !== true) {
    const what = gone === 1 ? 'one service' : `${gone} services`;
    await confirm(io, `Delete ${what} that the state does not have?`);
  }
  return carryOut(client, printer, io, work, command);
}

async function toWork(client: Ipvs, state: State, flags: StateFlags): Promise<Work> {
  const wanted = state.timeouts;
  const before = wanted === undefined ? undefined : await client.timeouts();
  const differing = Object.entries(wanted ?? {}).filter(
    ([name, value]) => before?.[name as keyof Timeouts] !== value,
  );
  const owns = ownerOf(state, flags);
  const drain = Drain.asked(flags);
  const options = { ...(owns && { owns }), keepWeights: flags.keepWeights === true };
  const actual = await client.snapshot();
  const made = plan(state.services, actual, drain?.planOptions(options) ?? options);
  const leaving = leavingOf(made, state.services);
  drain?.begin(made, actual, leaving);
  return { plan: made, drain, leaving, timeouts: Object.fromEntries(differing), before };
}

function leavingOf(made: Plan, wanted: readonly VirtualServer[]): ServiceKey[] {
  const names = new Set(wanted.map(serviceId));
  const leaving = new Map<string, ServiceKey>();
  for (const { op, service } of made.changes) {
    if (op === 'deleteService') leaving.set(serviceId(service), service);
  }
  for (const { service } of made.draining) {
    const id = serviceId(service);
    if (!names.has(id)) leaving.set(id, service);
  }
  return [...leaving.values()];
}

// What the state has is its own; of the rest, what it was told to prune.
export function ownerOf(
  state: Pick<State, 'services'>,
  { prune, replace }: Pick<StateFlags, 'prune' | 'replace'>,
): ((key: ServiceKey) => boolean) | undefined {
  if (replace === true) return () => true;
  if (prune === undefined) return undefined;
  const networks = new BlockList();
  for (const text of prune) addNetwork(networks, text);
  const wanted = new Set(state.services.map(serviceId));
  return (key) =>
    wanted.has(serviceId(key)) ||
    ('address' in key && networks.check(key.address, key.address.includes(':') ? 'ipv6' : 'ipv4'));
}

function addNetwork(networks: BlockList, text: string): void {
  const [address = '', bits] = text.split('/');
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  networks.addSubnet(address, Number(bits), family);
}

function isNothing({ plan: { empty }, timeouts }: Work): boolean {
  return empty && Object.keys(timeouts).length === 0;
}

async function show(printer: Printer, { plan: changes, timeouts, before }: Work): Promise<void> {
  const names = Object.keys(timeouts) as (keyof Timeouts)[];
  const text = function* (): Generator<string> {
    if (!changes.empty) yield* changes.toString().trimEnd().split('\n');
    for (const name of names) {
      yield `~ timeouts ${name} ${before?.[name] ?? ''} → ${timeouts[name] ?? ''}`;
    }
  };
  const saved = function* (): Generator<string> {
    yield* changes.toIpvsadm();
    const { tcp = 0, tcpFin = 0, udp = 0 } = timeouts;
    if (names.length > 0) yield `--set ${tcp} ${tcpFin} ${udp}`;
  };
  await printer.oneLines({ ...changes.toJSON(), timeouts }, text, saved);
}

async function carryOut(
  client: Ipvs,
  printer: Printer,
  io: Io,
  work: Work,
  command: string,
): Promise<number> {
  const signal = io.interruption();
  const { applied, broken } = await send(client, printer, io, work.plan, signal);
  const isWhole = broken === undefined && applied.complete;
  if (isWhole && Object.keys(work.timeouts).length > 0) await client.setTimeouts(work.timeouts);
  // What could not be done does not keep the rest from draining.
  const { drain } = work;
  drain?.applied(applied.outcomes);
  const trouble =
    broken ?? (await drain?.follow(client, printer, io, signal).catch((error: unknown) => error));
  await tell(printer, applied, drain);
  const outcomes = [...applied.outcomes, ...applied.restored, ...(drain?.outcomes ?? [])];
  const failed = outcomes.filter(({ status }) => status === 'failed');
  const notTried = outcomes.filter(({ status }) => status === 'not tried');
  const done = outcomes.length - failed.length - notTried.length;
  for (const { error } of failed.slice(0, TOLD)) {
    io.stderr.write(`${explainError(error, command).text}\n`);
  }
  const rest = drain?.rest ?? '';
  if (failed.length > 0 || notTried.length > 0 || trouble !== undefined) {
    const why = trouble instanceof Error ? `: ${trouble.message}` : '';
    throw new NotDone(
      `${done} done, ${failed.length} failed, ${notTried.length} not tried${why}${rest}: mend the cause and run it again`,
    );
  }
  if (rest !== '') {
    io.stderr.write(`ipvs ${command}: ended early${rest}: run it again to go on\n`);
    return interrupted(signal);
  }
  printer.hint(done === 1 ? '1 change done' : `${done} changes done`);
  return 0;
}

async function send(
  client: Ipvs,
  printer: Printer,
  io: Io,
  changes: Plan,
  signal: AbortSignal,
): Promise<{ readonly applied: Applied; readonly broken?: ApplyError }> {
  const status = new Status(io, printer);
  const progress = ({ done, total }: { readonly done: number; readonly total: number }): void => {
    status.show(`${done} of ${total} changes`);
  };
  try {
    return { applied: await applyPlan(client, changes, { progress, signal }) };
  } catch (error) {
    if (!(error instanceof ApplyError)) throw error;
    return {
      applied: { outcomes: error.outcomes, restored: [], complete: false },
      broken: error,
    };
  } finally {
    status.clear();
  }
}

/** What became of each change, as data; people are told in words, on stderr. */
async function tell(
  printer: Printer,
  { outcomes, restored }: Applied,
  drain: Drain | undefined,
): Promise<void> {
  if (printer.output === 'table' || printer.output === 'save') return;
  const drained = drain && {
    drained: drain.outcomes.map(plainOutcome),
    draining: drain.draining,
  };
  await printer.oneLines(
    { outcomes: outcomes.map(plainOutcome), restored: restored.map(plainOutcome), ...drained },
    () => [],
  );
}

function plainOutcome({ change, status, error, converged }: AppliedOutcome): object {
  return {
    change,
    status,
    ...(error && { error: { code: error.code, message: error.message } }),
    ...(converged && { converged }),
  };
}

/** Failures that are told one by one. */
const TOLD = 10;

/** Writes what there is, in ipvsadm's lines or as a state file, to stdout or a file. */
export async function save(
  client: Ipvs,
  io: Io,
  file: string | undefined,
  form: 'save' | 'yaml' | 'json',
): Promise<void> {
  const services = await client.snapshot();
  const text =
    form === 'save'
      ? printIpvsadm(services)
      : printState({ services, timeouts: await client.timeouts() }, { format: form });
  if (file !== undefined && file !== '-') await replaceFile(file, text);
  else await writeAll(io.stdout, text);
}

// Whoever reads the file has the old one whole or the new one whole.
async function replaceFile(file: string, text: string): Promise<void> {
  const beside = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(beside, text);
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw new NotDone(
      `${file}: cannot be written: ${(error as Error).message}: name a file in a directory of yours`,
    );
  }
}
