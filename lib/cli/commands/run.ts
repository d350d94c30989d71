// ipvs run: keeps the table as a state file says, for as long as it runs.
import type { Ipvs } from '../../client';
import { serviceId } from '../../id';
import type { ServiceKey, Timeouts, VirtualServer } from '../../model';
import { reconcile, type ReconcileOptions, type Round } from '../../reconcile';
import type { State } from '../../state';
import { follow } from '../follow';
import type { Io } from '../io';
import { explainError } from '../words';
import { drainOptions, type DrainFlags } from './drain';
import { ownerOf, type StateFlags } from './state';

export interface RunFlags extends Pick<StateFlags, 'prune' | 'keepWeights'>, DrainFlags {
  readonly file: string;
  /** Seconds. */
  readonly resync?: number;
  /** Percent of our services that one pass may take away. */
  readonly maxLoss?: number;
}

/** Resolves when it is told to end. */
export async function run(client: Ipvs, io: Io, first: State, flags: RunFlags): Promise<number> {
  const signal = io.interruption();
  const say = sayer(io);
  const problems = (error: Error): void => {
    say.error(error);
  };
  // What the file has named since we began is ours, also after it names it no more.
  const taken = new Set<string>();
  const pruned = ownerOf({ services: [] }, flags);
  const owns = (key: ServiceKey): boolean => taken.has(serviceId(key)) || pruned?.(key) === true;
  const states = async function* (): AsyncGenerator<readonly VirtualServer[]> {
    for await (const state of follow(flags.file, first, { signal, onProblem: problems })) {
      for (const service of state.services) taken.add(serviceId(service));
      await setTimeouts(client, state.timeouts).catch(problems);
      yield state.services;
    }
  };
  const { resync, maxLoss, keepWeights = false } = flags;
  const drain = drainOptions(flags);
  const options: ReconcileOptions = {
    owns,
    keepWeights,
    signal,
    ...(drain === undefined ? {} : { drain }),
    ...(resync === undefined ? {} : { resync: resync * 1000 }),
    ...(maxLoss === undefined ? {} : { maxLoss: maxLoss / 100 }),
  };
  for await (const round of reconcile(states(), client, options)) say.round(round);
  return 0;
}

async function setTimeouts(client: Ipvs, wanted: Partial<Timeouts> | undefined): Promise<void> {
  if (wanted === undefined) return;
  const now = await client.timeouts();
  const names = Object.keys(wanted) as (keyof Timeouts)[];
  if (names.some((name) => wanted[name] !== now[name])) await client.setTimeouts(wanted);
}

/** A line a round that changed something, and each problem once. */
function sayer(io: Io): { round: (round: Round) => void; error: (error: Error) => void } {
  let last = '';
  const error = (problem: Error): void => {
    const { text } = explainError(problem, 'run');
    if (text !== last) io.stderr.write(`${text}\n`);
    last = text;
  };
  const round = ({ revision, plan, outcomes, pending, duration, error: why }: Round): void => {
    const done = outcomes.filter(({ status }) => status === 'done').length;
    const failures = outcomes.filter(({ status }) => status === 'failed');
    const problem = why ?? failures[0]?.error;
    if (problem !== undefined) error(problem);
    else last = '';
    if (done === 0 && failures.length === 0) return;
    const words = [
      `${new Date().toISOString()} revision ${revision}:`,
      `${done} ${done === 1 ? 'change' : 'changes'} done,`,
      `${failures.length} failed, ${plan.draining.length} draining, ${pending} pending,`,
      `${Math.round(duration)} ms`,
    ];
    io.stdout.write(`${words.join(' ')}\n`);
  };
  return { round, error };
}
