// Keeps a kernel as a stream of desired states says: the public face of the loop in reconcile/.
import type { Backend } from './backend';
import type { AppliedOutcome } from './converge';
import type { DrainOptions } from './drain';
import type { VirtualServer } from './model';
import type { Plan, PlanOptions } from './plan';
import { CLOCK } from './reconcile/clock';
import { Loop } from './reconcile/loop';
import { toFullOptions } from './reconcile/options';

/** How to reconcile. @public */
export interface ReconcileOptions extends Omit<PlanOptions, 'drain'> {
  /**
   * Whether a destination that leaves gets weight 0 first, and goes once its connections are gone or its time is up.
   * @defaultValue `false`
   */
  readonly drain?: boolean | DrainOptions;
  /** Compares everything with the kernel this often, in milliseconds, even when nothing was asked. @defaultValue `30_000` */
  readonly resync?: number;
  /**
   * After a failure, the service concerned is left alone for `min` milliseconds, twice as long after each further one, up to
   * `max`; all of it less up to a half, by chance. The other services go on.
   * @defaultValue `{ min: 1_000, max: 60_000 }`
   */
  readonly retry?: { readonly min?: number; readonly max?: number };
  /**
   * The largest share of our services that a pass may delete or leave without destinations, 0…1. A pass that would take
   * more is refused whole, until another state is desired. One service may always go, except with 0.
   * @defaultValue `0.5`
   */
  readonly maxLoss?: number;
  /** Plans, and changes nothing. @defaultValue `false` */
  readonly dryRun?: boolean;
  /** Ends it, in the middle of a pass if need be. */
  readonly signal?: AbortSignal;
}

/** What one pass did. @public */
export interface Round {
  /** Which desired state it was for, counted from 1. */
  readonly revision: number;
  readonly plan: Plan;
  readonly outcomes: readonly AppliedOutcome[];
  /** What is left to do: changes not done, services left alone for now, destinations that drain. */
  readonly pending: number;
  /** Milliseconds. */
  readonly duration: number;
  /** Why the pass was refused, failed or was broken off, or why the newest desired state is not the one kept. */
  readonly error?: Error;
  /** Rounds before this one that were dropped as nobody fetched them. */
  readonly missed: number;
}

/** How it goes. @public */
export interface Health {
  /** Whether the last pass did all that it was to do. */
  readonly healthy: boolean;
  /** The desired state that the kernel was last brought to; 0 before the first. */
  readonly revision: number;
  readonly pending: number;
  /** What went wrong last, also when it has been mended since. */
  readonly lastError?: Error;
}

/** A reconciliation: its rounds, and how it goes. Iterate it once. @public */
export interface Reconciliation extends AsyncIterable<Round> {
  readonly health: Health;
}

/**
 * Drives `backend` to each desired state in turn, and keeps it there. Starts when the rounds are first asked for; leaving
 * them stops it. Nothing is changed before the first desired state, which must be complete, as each of them. When
 * `desired` ends, it ends as soon as the last state is reached and nothing drains any more. Rounds that nobody fetches do
 * not hold it up: the newest 64 are kept.
 * @public
 */
export function reconcile(
  desired: AsyncIterable<readonly VirtualServer[]>,
  backend: Backend,
  options: ReconcileOptions = {},
): Reconciliation {
  return new Loop(desired, backend, toFullOptions(options, CLOCK), CLOCK);
}
