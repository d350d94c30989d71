// What a reconciliation is asked, checked.
import { Drains, type DrainOptions } from '../drain';
import { InvalidInput, IpvsError, show } from '../errors';
import { toNumber } from '../id';
import type { PlanOptions } from '../plan';
import type { ReconcileOptions } from '../reconcile';
import { onlyNames } from '../settings';
import type { Retry } from './backoff';
import type { Clock } from './clock';

const NAMES = [
  'owns',
  'drain',
  'keepWeights',
  'allow',
  'resync',
  'retry',
  'maxLoss',
  'dryRun',
  'signal',
];
const MOST = 2 ** 31 - 1;

export interface FullOptions {
  readonly resync: number;
  readonly retry: Retry;
  readonly maxLoss: number;
  readonly dryRun: boolean;
  readonly signal: AbortSignal | undefined;
  readonly drains: Drains | undefined;
  readonly plan: PlanOptions;
}

export function toFullOptions(options: ReconcileOptions, clock: Clock): FullOptions {
  try {
    onlyNames('reconcile', { ...options }, NAMES);
    const { resync = 30_000, retry = {}, maxLoss = 0.5, dryRun = false, signal } = options;
    if (typeof maxLoss !== 'number' || !(maxLoss >= 0 && maxLoss <= 1)) {
      throw new InvalidInput(`maxLoss: ${show(maxLoss)} is no share: give a number from 0 to 1`);
    }
    onlyNames('retry', { ...retry }, ['min', 'max']);
    const min = toNumber('retry: min', retry.min ?? 1_000, 1, MOST);
    const max = toNumber('retry: max', retry.max ?? Math.max(min, 60_000), min, MOST);
    const drains = toDrains(options.drain, clock);
    return {
      resync: toNumber('resync', resync, 1, MOST),
      retry: { min, max },
      maxLoss,
      dryRun,
      signal,
      drains,
      plan: toPlanOptions(options, drains),
    };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    const details = { code: 'ERR_IPVS_INVALID', operation: 'reconcile', cause: error };
    throw new IpvsError(`reconcile: ${error.problem}`, details);
  }
}

function toDrains(drain: boolean | DrainOptions | undefined, clock: Clock): Drains | undefined {
  if (drain === undefined || drain === false) return undefined;
  return new Drains(drain === true ? {} : drain, clock.now);
}

function toPlanOptions(options: ReconcileOptions, drains: Drains | undefined): PlanOptions {
  const { owns, keepWeights = false, allow } = options;
  const keeps: PlanOptions['keepWeights'] =
    drains === undefined || keepWeights === false
      ? keepWeights
      : (service, destination) =>
          !drains.isRevived(service, destination) &&
          (keepWeights === true || keepWeights(service, destination));
  return {
    keepWeights: keeps,
    ...(owns === undefined ? {} : { owns }),
    ...(allow === undefined ? {} : { allow }),
    ...(drains === undefined ? {} : { drain: drains.waits }),
  };
}
