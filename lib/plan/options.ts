// What a plan is asked, checked.
import { InvalidInput, show } from '../errors';
import type { Change, Destination, DestinationStatus, ServiceKey } from '../model';
import { onlyNames } from '../settings';

/** A kind of change. @public */
export type ChangeKind = Change['op'];

/** A destination that is there and not wanted, with its connections where they are known. @public */
export type LeavingDestination = Destination &
  Partial<
    Pick<DestinationStatus, 'activeConnections' | 'inactiveConnections' | 'persistentConnections'>
  >;

/** What a plan may do, and how. @public */
export interface PlanOptions {
  /**
   * Whether a service that was found is ours. One that is not is never deleted, and not edited either: if it is wanted
   * and differs, it is among the plan's `conflicts`. Asked only of services that were found.
   * @defaultValue the services that are wanted, with all their destinations, and no others: nothing else is deleted
   */
  readonly owns?: (service: ServiceKey) => boolean;
  /**
   * Whether a destination that leaves gets weight 0 first, and goes in a later plan, once its active and inactive
   * connections are known to be gone. `true` drains destinations of TCP and fwmark services; those of UDP and SCTP ones
   * go at once. A function is asked about each one, each time: once it says no, the destination goes.
   * @defaultValue `false`
   */
  readonly drain?: boolean | ((service: ServiceKey, destination: LeavingDestination) => boolean);
  /**
   * Whether a destination that stays keeps the weight it has, as when a health checker sets it.
   * @defaultValue `false`
   */
  readonly keepWeights?: boolean | ((service: ServiceKey, destination: Destination) => boolean);
  /** Kinds of change that may happen; the others are among the plan's `withheld`. @defaultValue all */
  readonly allow?: Iterable<ChangeKind>;
}

const NAMES = ['owns', 'drain', 'keepWeights', 'allow'];
const KINDS: readonly ChangeKind[] = [
  'addService',
  'setService',
  'deleteService',
  'addDestination',
  'setDestination',
  'deleteDestination',
];

/** Options with every default filled in. */
export interface FullOptions {
  /** Undefined when nobody said: the wanted ones are ours. */
  readonly owns: PlanOptions['owns'];
  readonly drains: (service: ServiceKey, destination: LeavingDestination) => boolean;
  readonly keepsWeight: (service: ServiceKey, destination: Destination) => boolean;
  readonly allows: ReadonlySet<ChangeKind>;
}

export function toFullOptions(options: PlanOptions): FullOptions {
  onlyNames('plan', options as Readonly<Record<string, unknown>>, NAMES);
  const { owns, drain = false, keepWeights = false, allow = KINDS } = options;
  if (owns !== undefined && typeof owns !== 'function') {
    throw new InvalidInput(`owns: ${show(owns)} is not a function: give one of a service`);
  }
  const drains = drain === true ? hasEnds : drain;
  return {
    owns,
    drains: toFunction('drain', drains),
    keepsWeight: toFunction('keepWeights', keepWeights),
    allows: toKinds(allow),
  };
}

// Connections of UDP have no end that the kernel sees, those of SCTP live on for minutes: waiting would only send packets
// to a server that is gone.
function hasEnds(service: ServiceKey): boolean {
  return 'fwmark' in service || service.protocol === 'tcp';
}

function toFunction<F>(name: string, value: boolean | F): F | (() => boolean) {
  if (typeof value === 'boolean') return () => value;
  if (typeof value === 'function') return value;
  throw new InvalidInput(`${name}: ${show(value)} is neither a boolean nor a function`);
}

function toKinds(allow: Iterable<ChangeKind>): ReadonlySet<ChangeKind> {
  if (
    typeof allow === 'string' ||
    typeof (Object(allow) as Partial<Iterable<unknown>>)[Symbol.iterator] !== 'function'
  ) {
    throw new InvalidInput(`allow: ${show(allow)} is not iterable: give an array of changes`);
  }
  const kinds = new Set(allow);
  for (const kind of kinds) {
    if (!KINDS.includes(kind)) {
      throw new InvalidInput(`allow: ${show(kind)} is no change: use ${KINDS.join(', ')}`);
    }
  }
  return kinds;
}
