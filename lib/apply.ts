// Many changes in one trip. All of them are checked before the first is sent; then they go out in slices, so that
// cancelling, progress and other callers get their turn between two.
import { ChangeWriter, type LooseChange } from './changes';
import { InvalidInput, IpvsError, show, type IpvsErrorDetails } from './errors';
import { explain, explainFailure, ipvsError, type Request } from './explain';
import { destinationId, serviceId, toDestinationKey, toServiceKey } from './id';
import type { Operation } from './operation';
import type { Change, ServiceSettings } from './model';
import { Op } from './native';
import { LAYOUT, NOT_TRIED, Records, rowCount } from './records';
import { Turn } from './turns';

/** What became of one change. @public */
export type Outcome =
  | { readonly change: Change; readonly status: 'done'; readonly error?: undefined }
  | { readonly change: Change; readonly status: 'failed'; readonly error: IpvsError }
  | { readonly change: Change; readonly status: 'not tried'; readonly error?: undefined };

/** @public */
export interface ApplyOptions {
  /**
   * After a change the kernel refused: go on with the rest, or send nothing more. `'stop'` sends changes one by one, as
   * the kernel works through everything it was sent at once.
   * @defaultValue `'continue'`
   */
  readonly onError?: 'stop' | 'continue';
  /** Stops between two slices; the error then tells what was done. */
  readonly signal?: AbortSignal;
  /** Called after each slice. */
  readonly progress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** `apply` broken off half-way, by the signal, by closing, or by the socket: `outcomes` says what was done. @public */
export class ApplyError extends IpvsError {
  /** One for each change that was read, in order; all of them, unless the signal came while they were being checked. */
  readonly outcomes: readonly Outcome[];

  constructor(message: string, details: IpvsErrorDetails, outcomes: readonly Outcome[]) {
    super(message, details);
    this.outcomes = outcomes;
  }
}

/** Changes sent in the first call over the border, and in the largest. */
const FIRST_SLICE = 2048;
const LARGEST_SLICE = 16384;
/** Milliseconds that a call should take: longer than the way there and back, short for those who wait for their turn. */
const CALL = 8;
const SIZE = LAYOUT.ChangeRecord.size;
const ENOBUFS = 105;

export function* apply(
  changes: Iterable<Change>,
  options: ApplyOptions = {},
): Operation<Outcome[]> {
  const { onError = 'continue', signal, progress } = options;
  if (!['continue', 'stop'].includes(onError)) {
    throw new InvalidInput(`onError: ${show(onError)} is neither 'continue' nor 'stop'`);
  }
  if (typeof (Object(changes) as Partial<Iterable<Change>>)[Symbol.iterator] !== 'function') {
    throw new InvalidInput(`changes: ${show(changes)} is not iterable: give an array of changes`);
  }
  const told = new Told(Array.isArray(changes) ? changes.length : 0);
  const blocks = yield* encode(changes, told, signal);
  try {
    yield* send(blocks, told, { onError, signal, progress });
  } catch (error) {
    throw brokenOff(error, told);
  }
  const block = blocks.at(-1);
  if (block !== undefined) spare = new WeakRef(block);
  return told.withRest();
}

/**
 * The block of an apply that is over, for the next one, unless memory was collected meanwhile: memory that was never touched
 * is dear. Every row is written whole, so nothing of before shows.
 */
let spare: WeakRef<Records> | undefined;

function takeBlock(rows: number): Records {
  const found = spare?.deref();
  if (found === undefined || found.bytes.length < rows * SIZE) return Records.of(SIZE, rows);
  spare = undefined;
  return found;
}

/**
 * What was asked, and what became of it: each place holds its change until the outcome is known. All places are made at once
 * where their number is: an array that grows is copied again and again.
 */
class Told {
  readonly #places: (Change | Outcome)[];
  total = 0;
  /** How many outcomes are known. */
  count = 0;

  constructor(room: number) {
    this.#places = new Array<Change | Outcome>(room);
  }

  ask(change: Change): void {
    this.#places[this.total++] = change;
  }

  /** All was asked: the array may have become another length while it was read. */
  close(): void {
    this.#places.length = this.total;
  }

  /** The change whose outcome is the next to be known. */
  get next(): Change {
    return this.#places[this.count] as Change;
  }

  add(outcome: Outcome): void {
    this.#places[this.count++] = outcome;
  }

  /** One for each change; those that nothing was told of were not tried. */
  withRest(): Outcome[] {
    for (let i = this.count; i < this.total; i++) {
      this.#places[i] = { change: this.#places[i] as Change, status: 'not tried' };
    }
    return this.#places as Outcome[];
  }
}

/** How many changes the next call takes, by how long the last ones took. */
class Pace {
  size = FIRST_SLICE;

  /** After a call of so many changes. */
  took(count: number, milliseconds: number): void {
    const fitting = Math.floor((count * CALL) / Math.max(milliseconds, 1));
    // In steps: a single call may have been quick or slow for reasons of its own.
    if (milliseconds > CALL) this.size = Math.max(fitting, this.size >> 2, 1);
    else this.size = Math.max(this.size, Math.min(fitting, 4 * this.size, LARGEST_SLICE));
  }
}

/** Sends all of it in slices, and tells the outcomes of each. */
function* send(
  blocks: readonly Records[],
  told: Told,
  options: { [K in keyof ApplyOptions]: ApplyOptions[K] | undefined },
): Operation<void> {
  const { onError, signal, progress } = options;
  const op = onError === 'stop' ? Op.applyUntilError : Op.apply;
  const turn = new Turn();
  const pace = new Pace();
  let [block, at] = [0, 0];
  while (told.count < told.total) {
    checkSignal(signal);
    const { bytes } = blocks[block] as Records;
    const left = Math.min(bytes.length / SIZE - at, told.total - told.count);
    const size = Math.min(left, pace.size);
    const request = bytes.subarray(at * SIZE, (at + size) * SIZE);
    const isLast = told.count + size === told.total;
    // Nobody needs the pace of the last call: a small apply is one, and looks at no clock.
    const start = isLast ? 0 : performance.now();
    const reply = yield { op, request };
    if (!isLast) {
      pace.took(size, performance.now() - start);
      turn.next();
    }
    const results = resultsOf(reply, size);
    for (let i = 0; i < results.length; i++) {
      const errno = results[i] ?? NOT_TRIED;
      const change = told.next;
      told.add(errno === ENOBUFS ? yield* settle(change) : toOutcome(change, errno));
      if (turn.over()) {
        yield 'pause';
        turn.next();
      }
    }
    const refused = onError === 'stop' && results.some((errno) => errno !== 0);
    yield { release: reply };
    if (progress !== undefined) tell(progress, told.count, told.total);
    if (refused) return;
    at += size;
    if (at * SIZE < bytes.length) continue;
    block++;
    at = 0;
  }
}

function tell(progress: NonNullable<ApplyOptions['progress']>, done: number, total: number): void {
  try {
    progress({ done, total });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const words = `progress threw ${show(text)}: catch that in the callback`;
    throw ipvsError('ERR_IPVS_INVALID', words, { operation: 'apply' }, undefined, error);
  }
}

/** One change; its refusal is thrown. */
export function* applyOne(change: LooseChange): Operation<void> {
  const to = Records.of(SIZE, 1);
  new ChangeWriter().write(to, 0, change);
  const [errno = 0] = resultsOf(yield { op: Op.apply, request: to.bytes }, 1);
  const outcome =
    errno === ENOBUFS ? yield* settle(change as Change) : toOutcome(change as Change, errno);
  if (outcome.error !== undefined) throw outcome.error;
}

// A missing result must not pass for "not tried", let alone for success.
function resultsOf(reply: ArrayBuffer, expected: number): Int32Array {
  if (rowCount(reply, 4) === expected) return new Int32Array(reply);
  throw new IpvsError(
    `the addon answered ${reply.byteLength} bytes to ${expected} changes: reinstall ipvs`,
    { code: 'ERR_IPVS_REPLY', operation: 'apply' },
  );
}

/** Checks all changes and writes them as records: into one block, where their number is known, or else in ever larger ones. */
function* encode(
  changes: Iterable<Change>,
  told: Told,
  signal?: AbortSignal,
): Operation<Records[]> {
  const blocks: Records[] = [];
  let room = Array.isArray(changes) ? Math.max(changes.length, 1) : FIRST_SLICE;
  let block: Records | undefined;
  let row = 0;
  const writer = new ChangeWriter();
  const turn = new Turn();
  for (const change of changes) {
    if (block === undefined || row * SIZE === block.bytes.length) {
      block = takeBlock(room);
      blocks.push(block);
      row = 0;
      room = Math.min(2 * room, LARGEST_SLICE);
    }
    try {
      writer.write(block, row++, change);
    } catch (error) {
      throw explainFailure(error, {
        operation: 'apply',
        detail: `change ${told.total + 1}, ${describe(change)}; nothing was done`,
      });
    }
    told.ask(change);
    if (turn.over()) {
      yield 'pause';
      turn.next();
      if (signal?.aborted === true) break;
    }
  }
  told.close();
  return blocks;
}

/** Fields of a change that make its request, for messages. */
export function requestOf(change: Change): Request {
  const { op: operation } = change;
  const service = toServiceKey(change.service);
  if (change.op === 'addService' || change.op === 'setService') {
    return { operation, service, names: namesOf(change.service) };
  }
  if (!('destination' in change)) return { operation, service };
  return { operation, service, destination: toDestinationKey(keyFields(change.destination)) };
}

/** What a service names that the kernel may not have. */
export function namesOf({ scheduler = 'wlc', persistence }: ServiceSettings): string {
  const engine = persistence?.engine;
  return engine === undefined
    ? `scheduler ${scheduler}`
    : `scheduler ${scheduler} or no engine ${engine}`;
}

function keyFields(destination: unknown): unknown {
  if (typeof destination !== 'object' || destination === null) return destination;
  const { address, port } = destination as { address: unknown; port: unknown };
  return { address, port };
}

// For a change that may be anything at all.
function describe(change: unknown): string {
  const { op, service, destination } = Object(change) as {
    op?: unknown;
    service?: unknown;
    destination?: unknown;
  };
  const words = [typeof op === 'string' ? op : show(op)];
  try {
    words.push(serviceId(toServiceKey(service)));
    if (destination !== undefined)
      words.push(destinationId(toDestinationKey(keyFields(destination))));
  } catch {
    // What cannot be named is what the message is about.
  }
  return words.join(' ');
}

function toOutcome(change: Change, errno: number): Outcome {
  if (errno === 0) return { change, status: 'done' };
  if (errno === NOT_TRIED) return { change, status: 'not tried' };
  return { change, status: 'failed', error: explain(errno, requestOf(change)) };
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw ipvsError(
    'ABORT_ERR',
    'aborted by its signal',
    { operation: 'apply' },
    undefined,
    signal.reason,
  );
}

function brokenOff(error: unknown, told: Told): ApplyError {
  const known = explainFailure(error, { operation: 'apply' });
  const { count: tried, total } = told;
  const outcomes = told.withRest();
  const done = outcomes.filter(({ status }) => status === 'done').length;
  const account = `${done} of ${total} changes were done, ${tried - done} failed, ${total - tried} were not tried`;
  const { code, errno } = known;
  return new ApplyError(
    `${known.message} (${account})`,
    { code, errno, operation: 'apply', cause: known.cause },
    outcomes,
  );
}

// The kernel worked on the change but its answer was lost (ENOBUFS): the table itself tells whether it was done.
function* settle(change: Change): Operation<Outcome> {
  const wanted = Records.of(SIZE, 1);
  new ChangeWriter().write(wanted, 0, change);
  const found = yield* find(change, wanted);
  const gone = change.op === 'deleteService' || change.op === 'deleteDestination';
  const settings = wanted.bytes.subarray(LAYOUT.ChangeRecord.settings);
  const done = gone
    ? found === undefined
    : found !== undefined && Buffer.compare(found, settings) === 0;
  return done ? { change, status: 'done' } : toOutcome(change, ENOBUFS);
}

/** Settings in the kernel of what the change is about, as bytes of a ChangeRecord; undefined when it is not there. */
function* find(change: Change, wanted: Records): Operation<Uint8Array | undefined> {
  const { settings, size } = LAYOUT.ChangeRecord;
  const length = size - settings;
  if (!('destination' in change)) {
    const reply = yield { op: Op.service, request: wanted.bytes };
    if (rowCount(reply, LAYOUT.ServiceRow.size) === 0) return undefined;
    return new Uint8Array(reply, LAYOUT.ServiceRow.settings, length);
  }
  const reply = yield { op: Op.destinations, request: wanted.bytes };
  // Address, family and port make the key.
  const key = wanted.bytes.subarray(settings, settings + LAYOUT.DestinationSettings.forward);
  for (let row = 0; row < rowCount(reply, LAYOUT.DestinationRow.size); row++) {
    const at = row * LAYOUT.DestinationRow.size + LAYOUT.DestinationRow.destination;
    const found = new Uint8Array(reply, at, length);
    if (Buffer.compare(found.subarray(0, key.length), key) === 0) return found;
  }
  return undefined;
}
