// Watching the connection table: a snapshot now and then, and what is different since the one before.
import { randomInt } from 'node:crypto';
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises';
import { toQuery, type ConnectionFilter, type ConnectionState } from './connection-filter';
import type { ConnectionSource } from './connection-source';
import { isSignal } from './connections';
import type { Connection, ConnectionTable } from './connection-table';
import { compare, Snapshot, type Pause, type RowChange } from './connection-diff';
import { InvalidInput, show } from './errors';
import { explainFailure, ipvsError } from './explain';
import { toNumber } from './id';
import { onlyNames } from './settings';

/** What became of a connection between two snapshots. @public */
export type ConnectionChange =
  | { readonly kind: 'opened'; readonly connection: Connection }
  /** As it was last seen. */
  | { readonly kind: 'closed'; readonly connection: Connection }
  | {
      readonly kind: 'changed';
      readonly connection: Connection;
      /** The state it was in. */
      readonly from: ConnectionState;
    };

/** How to watch. @public */
export interface WatchOptions {
  /** Milliseconds from one snapshot to the next. @defaultValue `1000` */
  readonly interval?: number;
  /** Connections to watch; with a state, those that enter it, leave it, open or close in it. */
  readonly filter?: ConnectionFilter;
  /**
   * Which table to look at; always the same one, as what the two know of a connection differs.
   * @defaultValue `'ip_vs'`
   */
  readonly source?: ConnectionSource;
  /** Ends the watching: the loop fails with `ABORT_ERR`. */
  readonly signal?: AbortSignal;
}

/** Takes a snapshot. */
export type Look = (
  filter: ConnectionFilter | undefined,
  options: { readonly signal: AbortSignal; readonly source: ConnectionSource },
) => Promise<ConnectionTable>;

const LONGEST = 86_400_000;
const WATCHED: readonly unknown[] = ['ip_vs', 'conntrack'];
const OPERATION = { operation: 'watchConnections' };

/** A loop over changes, which can be ended while it waits. */
export class Watch implements AsyncIterableIterator<ConnectionChange, undefined> {
  readonly #stop = new AbortController();
  readonly #changes: AsyncGenerator<ConnectionChange, undefined>;

  /** `closed` ends it quietly. */
  constructor(look: Look, options: WatchOptions | undefined, closed: AbortSignal) {
    this.#changes = watch(look, options, AbortSignal.any([this.#stop.signal, closed]));
  }

  next(): Promise<IteratorResult<ConnectionChange, undefined>> {
    return this.#changes.next();
  }

  return(): Promise<IteratorResult<ConnectionChange, undefined>> {
    // A generator that waits would not hear of it before its wait is over.
    this.#stop.abort();
    return this.#changes.return(undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

async function* watch(
  look: Look,
  options: unknown,
  ended: AbortSignal,
): AsyncGenerator<ConnectionChange, undefined> {
  const { interval, filter, state, source, signal } = checked(options);
  const stop = signal === undefined ? ended : AbortSignal.any([signal, ended]);
  const seed = randomInt(2 ** 32);
  const goesOn = (): boolean => {
    if (ended.aborted) return false;
    if (signal?.aborted !== true) return true;
    throw ipvsError('ABORT_ERR', 'aborted by its signal', OPERATION, undefined, signal.reason);
  };
  let before: Snapshot | undefined;
  try {
    while (goesOn()) {
      const start = performance.now();
      const after = await inTurns(Snapshot.of(await look(filter, { signal: stop, source }), seed));
      if (before !== undefined) {
        for (const change of compare(before, after)) {
          if (change === undefined) await breathe();
          else if (concerns(change, before.table, after.table, state)) {
            yield toChange(change, before.table, after.table);
          }
          if (!goesOn()) return;
        }
      }
      before = after;
      await sleep(Math.max(0, start + interval - performance.now()), undefined, { signal: stop });
    }
  } catch (error) {
    // What was under way fails when it is called off.
    if (goesOn()) throw error;
  }
}

function checked(options: unknown): Full {
  try {
    return toFull(options);
  } catch (error) {
    throw explainFailure(error, OPERATION);
  }
}

interface Full {
  readonly interval: number;
  readonly filter: ConnectionFilter | undefined;
  readonly state: ConnectionState | undefined;
  readonly source: ConnectionSource;
  readonly signal: AbortSignal | undefined;
}

// The state is no matter for the kernel's side: a connection that leaves it would look closed.
function toFull(options: unknown = {}): Full {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidInput(
      `options: ${show(options)} is not an object: give one such as { interval: 1000 }`,
    );
  }
  onlyNames('watch of connections', { ...options }, ['interval', 'filter', 'source', 'signal']);
  const { interval = 1000, filter, source = 'ip_vs', signal } = options as WatchOptions;
  if (signal !== undefined && !isSignal(signal)) {
    throw new InvalidInput(`signal: ${show(signal)} is no AbortSignal: give controller.signal`);
  }
  if (!WATCHED.includes(source)) {
    throw new InvalidInput(
      `source: ${show(source)} is nothing to watch: use 'ip_vs' or 'conntrack'`,
    );
  }
  toQuery(filter);
  const { state, ...rest } = filter ?? {};
  return {
    interval: toNumber('interval', interval, 1, LONGEST),
    filter: rest,
    state,
    source,
    signal,
  };
}

function concerns(
  { kind, row, before }: RowChange,
  older: ConnectionTable,
  newer: ConnectionTable,
  state: ConnectionState | undefined,
): boolean {
  if (state === undefined) return true;
  const is = (table: ConnectionTable, at: number): boolean =>
    table.states[table.columns.state[at] ?? 0] === state;
  if (kind === 'closed') return is(older, row);
  return is(newer, row) || (before !== undefined && is(older, before));
}

function toChange(
  { kind, row, before }: RowChange,
  older: ConnectionTable,
  newer: ConnectionTable,
): ConnectionChange {
  const connection = (kind === 'closed' ? older : newer).at(row) as Connection;
  if (kind !== 'changed') return { kind, connection };
  return { kind, connection, from: older.states[older.columns.state[before ?? 0] ?? 0] ?? '' };
}

/** What a generator returns, others having had their turn at every pause. */
async function inTurns<T>(work: Generator<Pause, T>): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    await breathe();
  }
}
