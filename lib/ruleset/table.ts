// A table of virtual servers to which changes are done one after the other, refused as the kernel's own table refuses them.
import type { Outcome } from '../apply';
import { InvalidInput, show, type IpvsError } from '../errors';
import { explain, explainFailure } from '../explain';
import { destinationId, serviceId, toDestinationKey, toServiceKey } from '../id';
import type { Change, Destination, Service, VirtualServer } from '../model';
import { eachOf, type Work } from '../turns';
import { destinationOf, serviceOf } from '../plan/compare';
import { toFullDestination, toFullService } from '../settings';

const ERRNO = { ENOENT: 2, ESRCH: 3, EEXIST: 17 } as const;

interface Entry {
  readonly service: Service;
  readonly destinations: Map<string, Destination>;
  /** The very server that was there before, as long as nothing of it has changed. */
  was: VirtualServer | undefined;
  /** Its rules are not what they should be: it may be added as if it were not there. */
  readonly damaged: boolean;
}

/** Checks a change, and writes its settings out. Throws InvalidInput. */
export function checkedChange(change: unknown): Change {
  const { op, service, destination } = Object(change) as Readonly<Record<string, unknown>>;
  switch (op) {
    case 'addService':
    case 'setService':
      return { op, service: serviceOf(toFullService(service)) };
    case 'deleteService':
      return { op, service: toServiceKey(service) };
    case 'addDestination':
    case 'setDestination': {
      const key = toServiceKey(service);
      return {
        op,
        service: key,
        destination: destinationOf(toFullDestination(key, destination)),
      };
    }
    case 'deleteDestination':
      return {
        op,
        service: toServiceKey(service),
        destination: toDestinationKey(destination),
      };
    default:
      throw new InvalidInput(
        `op: ${show(op)} is no change: use addService, setService, deleteService, addDestination, setDestination, deleteDestination`,
      );
  }
}

/** Throws IpvsError for what is no list. */
export function changeList(changes: Iterable<Change>): Change[] {
  if (typeof (Object(changes) as Partial<Iterable<Change>>)[Symbol.iterator] !== 'function') {
    throw explainFailure(
      new InvalidInput(`changes: ${show(changes)} is not iterable: give an array of changes`),
      { operation: 'apply' },
    );
  }
  return [...changes];
}

/** Checks all of them, so that nothing is done where one makes no sense. Throws IpvsError. */
export function* checkedChanges(changes: readonly Change[]): Work<Change[]> {
  const checked: Change[] = [];
  yield* eachOf(changes, (change, i) => {
    try {
      checked.push(checkedChange(change));
    } catch (error) {
      const detail = `change ${i + 1}; nothing was done`;
      throw explainFailure(error, { operation: 'apply', detail });
    }
  });
  return checked;
}

export class ServerTable {
  readonly #entries = new Map<string, Entry>();

  /** A table of these servers. */
  static *of(
    servers: Iterable<VirtualServer>,
    isDamaged: (id: string) => boolean,
  ): Work<ServerTable> {
    const table = new ServerTable();
    yield* eachOf(servers, (was) => {
      const { destinations, ...service } = was;
      const id = serviceId(service);
      table.#entries.set(id, {
        service,
        destinations: new Map(destinations.map((each) => [destinationId(each), each])),
        was,
        damaged: isDamaged(id),
      });
    });
    return table;
  }

  /** Those that nothing was done to are the very objects that were given. */
  *servers(): Work<VirtualServer[]> {
    const servers: VirtualServer[] = [];
    yield* eachOf(this.#entries.values(), ({ service, destinations, was }) => {
      servers.push(was ?? { ...service, destinations: [...destinations.values()] });
    });
    return servers;
  }

  /** Does a change that was checked; undefined when it is done, else why not. */
  do(change: Change): IpvsError | undefined {
    const { op } = change;
    const id = serviceId(change.service);
    const entry = this.#entries.get(id);
    if (op === 'addService') {
      if (entry !== undefined && !entry.damaged) return refused(change, 'EEXIST');
      this.#entries.set(id, {
        service: change.service,
        destinations: new Map(),
        was: undefined,
        damaged: false,
      });
      return undefined;
    }
    if (entry === undefined) return refused(change, 'ESRCH');
    if ('destination' in change) {
      const error = doDestination(entry.destinations, change);
      if (error === undefined) entry.was = undefined;
      return error;
    }
    if (op === 'setService') {
      this.#entries.set(id, { ...entry, was: undefined, service: change.service });
    } else this.#entries.delete(id);
    return undefined;
  }
}

function doDestination(
  destinations: Map<string, Destination>,
  change: Extract<Change, { readonly destination: unknown }>,
): IpvsError | undefined {
  const id = destinationId(change.destination);
  const isThere = destinations.has(id);
  if (change.op === 'addDestination' && isThere) return refused(change, 'EEXIST');
  if (change.op !== 'addDestination' && !isThere) return refused(change, 'ENOENT');
  if (change.op === 'deleteDestination') destinations.delete(id);
  else destinations.set(id, change.destination);
  return undefined;
}

function refused(change: Change, code: keyof typeof ERRNO): IpvsError {
  return explain(ERRNO[code], requestOf(change));
}

/** What a change asks for, for messages. */
export function requestOf(change: Change): Parameters<typeof explain>[1] {
  const { op: operation } = change;
  const service = toServiceKey(change.service);
  return 'destination' in change
    ? { operation, service, destination: toDestinationKey(change.destination) }
    : { operation, service };
}

/** The outcomes of changes, as they get known. */
export class Outcomes {
  readonly #errors: (IpvsError | undefined)[];
  /** How many were tried: those behind were not. */
  #tried: number;

  constructor(readonly changes: readonly Change[]) {
    this.#errors = new Array<undefined>(changes.length).fill(undefined);
    this.#tried = changes.length;
  }

  get tried(): readonly Change[] {
    return this.#tried === this.changes.length ? this.changes : this.changes.slice(0, this.#tried);
  }

  hasFailed(i: number): boolean {
    return this.#errors[i] !== undefined;
  }

  fail(i: number, error: IpvsError): void {
    this.#errors[i] ??= error;
  }

  /** Nothing after this one is tried. */
  stopAfter(i: number): void {
    this.#tried = Math.min(this.#tried, i + 1);
  }

  list(given: readonly Change[]): Outcome[] {
    return given.map((change, i): Outcome => {
      const error = this.#errors[i];
      if (i >= this.#tried) return { change, status: 'not tried' };
      return error === undefined ? { change, status: 'done' } : { change, status: 'failed', error };
    });
  }
}
