// The steps of one service: from nothing, from what is there, or to nothing.
import { InvalidInput, IpvsError, show } from '../errors';
import { destinationId, serviceId, toDestinationKey, toServiceKey } from '../id';
import type { Destination, DestinationKey, ServiceKey, VirtualServer } from '../model';
import {
  toFullDestination,
  toFullService,
  type FullDestination,
  type FullService,
} from '../settings';
import { destinationOf, effectOf, sameDestination, sameService, serviceOf } from './compare';
import type { FullOptions, LeavingDestination } from './options';
import type { Step } from './text';
import { areDistinct, areThere } from './there';

/** A service as it is wanted: checked; its destinations not yet. */
export interface Wanted {
  readonly full: FullService;
  readonly destinations: readonly unknown[];
}

/** A destination that leaves and waits for its connections to go. @public */
export interface Draining {
  readonly service: ServiceKey;
  readonly destination: DestinationKey;
  /** Active and inactive ones; undefined where they were not known. */
  readonly connections: number | undefined;
}

/** What is to be done about one service. */
export interface ServerSteps {
  readonly key: ServiceKey;
  readonly service?: Step | undefined;
  readonly destinations: readonly Step[];
  readonly draining: readonly Draining[];
}

/** Checks a wanted server, all but its destinations. Throws IpvsError. */
export function toWanted(server: unknown): Wanted {
  if (typeof server !== 'object' || server === null) {
    throw refusal(
      `desired: ${show(server)} is no virtual server: give a service with its destinations`,
    );
  }
  const { destinations, ...service } = server as Partial<VirtualServer>;
  return attempt({ service }, () => {
    const full = toFullService(service);
    if (!Array.isArray(destinations)) {
      throw new InvalidInput(
        `destinations: ${show(destinations)} is not an array: give the destinations, or []`,
      );
    }
    return { full, destinations };
  });
}

/** A service as it was found. */
export interface Found {
  readonly key: ServiceKey;
  readonly server: VirtualServer;
}

/** Undefined for a service that no change could name, as other programs can make of any protocol: it is nobody's here. */
export function toFound(server: unknown): Found | undefined {
  const { protocol, destinations } = Object(server) as Partial<Record<string, unknown>>;
  if (typeof protocol === 'string' && protocol.startsWith('ip-')) return undefined;
  try {
    const key = toServiceKey(server);
    if (Array.isArray(destinations)) return { key, server: server as VirtualServer };
    throw new InvalidInput(
      `destinations: ${show(destinations)} is not an array: give what snapshot() returns`,
    );
  } catch (error) {
    throw error instanceof InvalidInput ? refusal(`actual: ${error.problem}`) : error;
  }
}

export function stepsToAdd({ full, destinations }: Wanted): ServerSteps {
  const { key } = full;
  const seen = new Set<string>();
  const service: Step = { change: { op: 'addService', service: serviceOf(full) }, effect: 'gain' };
  const steps = toFullDestinations(key, destinations).map((destination): Step => {
    const id = destinationId(destination.key);
    if (seen.has(id)) throw twice(key, destination.key);
    seen.add(id);
    const change = { op: 'addDestination', service: key, destination: destinationOf(destination) };
    return { change, effect: 'gain' } as Step;
  });
  return { key, service, destinations: steps, draining: [] };
}

export function stepsToChange(
  { full, destinations }: Wanted,
  found: VirtualServer,
  options: FullOptions,
): ServerSteps {
  const { key } = full;
  const there = found.destinations;
  if (areThere(key, destinations, there)) {
    return { key, service: editOf(full, found), destinations: [], draining: [] };
  }
  const checked = toFullDestinations(key, destinations);
  const order = orderOf(checked, there);
  const places = order === undefined ? placesOf(key, there) : NO_PLACES;
  /** Which of those that are there are wanted. */
  const stays = new Uint8Array(there.length);
  const added = new Set<string>();
  const steps: Step[] = [];
  for (const [i, wanted] of checked.entries()) {
    const id = order === undefined ? destinationId(wanted.key) : '';
    const place =
      order === undefined ? places.get(id) : order === 'same' ? i : there.length - 1 - i;
    if (place === undefined) {
      if (added.has(id)) throw twice(key, wanted.key);
      added.add(id);
      const destination = destinationOf(wanted);
      steps.push({ change: { op: 'addDestination', service: key, destination }, effect: 'gain' });
      continue;
    }
    if (stays[place] === 1) throw twice(key, wanted.key);
    stays[place] = 1;
    const before = there[place] as Destination;
    const weight = options.keepsWeight(key, before) ? (before.weight ?? 1) : wanted.weight;
    if (sameDestination(wanted, weight, before)) continue;
    const destination = destinationOf(wanted, weight);
    const effect = effectOf(weight, wanted.upperThreshold, before);
    steps.push({ change: { op: 'setDestination', service: key, destination }, before, effect });
  }
  const draining: Draining[] = [];
  for (const place of places.values()) {
    if (stays[place] === 1) continue;
    leave(key, there[place] as Destination, options, steps, draining);
  }
  return { key, service: editOf(full, found), destinations: steps, draining };
}

const NO_PLACES: ReadonlyMap<string, number> = new Map();

/**
 * Whether those wanted are just those that are there, in the same order, or newest first as the kernel lists them: then
 * nothing has to be looked up, which is most of the work of a plan that changes little.
 */
function orderOf(
  wanted: readonly FullDestination[],
  there: readonly Destination[],
): 'same' | 'reverse' | undefined {
  if (wanted.length !== there.length) return undefined;
  // One that is wanted twice matches one that is there twice: only looking them up tells.
  if (!areDistinct(wanted.map(({ key }) => key.address))) return undefined;
  const last = there.length - 1;
  if (wanted.every(({ key }, i) => isAt(key, there[last - i]))) return 'reverse';
  return wanted.every(({ key }, i) => isAt(key, there[i])) ? 'same' : undefined;
}

function isAt({ address, port }: DestinationKey, found: DestinationKey | undefined): boolean {
  return found?.address === address && found.port === port;
}

function editOf(full: FullService, found: VirtualServer): Step | undefined {
  if (sameService(full, found)) return undefined;
  return {
    change: { op: 'setService', service: serviceOf(full) },
    before: found,
    effect: 'edit',
  };
}

/** Steps of a service that is ours and not wanted: it goes with its destinations, or after they have drained. */
export function stepsToDelete(
  key: ServiceKey,
  found: VirtualServer,
  options: FullOptions,
): ServerSteps {
  const steps: Step[] = [];
  const draining: Draining[] = [];
  for (const place of placesOf(key, found.destinations).values()) {
    leave(key, found.destinations[place] as Destination, options, steps, draining);
  }
  if (draining.length > 0) return { key, destinations: steps, draining };
  // With the service go its destinations.
  const service: Step = { change: { op: 'deleteService', service: key }, effect: 'loss' };
  return { key, service, destinations: [], draining };
}

// A dump of the kernel's may repeat rows; the first one counts.
function placesOf(key: ServiceKey, destinations: readonly Destination[]): Map<string, number> {
  const places = new Map<string, number>();
  for (let i = 0; i < destinations.length; i++) {
    const id = idOfFound(key, destinations[i]);
    if (!places.has(id)) places.set(id, i);
  }
  return places;
}

function idOfFound(service: ServiceKey, destination: unknown): string {
  try {
    return destinationId(toDestinationKey(destination));
  } catch (error) {
    throw error instanceof InvalidInput ? refusal(`actual: ${error.problem}`, service) : error;
  }
}

/** A destination that is there and not wanted: drains, or goes. */
function leave(
  service: ServiceKey,
  found: LeavingDestination,
  options: FullOptions,
  steps: Step[],
  draining: Draining[],
): void {
  const destination = toDestinationKey(found);
  const connections = connectionsOf(found);
  if (options.drains(service, found)) {
    const quiet = quietOf(service, found);
    const idle = found.weight === 0;
    if (idle ? connections !== 0 : quiet !== undefined) {
      draining.push({ service, destination, connections });
      if (!idle && quiet !== undefined) {
        const change = { op: 'setDestination', service, destination: quiet } as const;
        steps.push({ change, before: found, effect: 'loss', drains: true });
      }
      return;
    }
  }
  steps.push({ change: { op: 'deleteDestination', service, destination }, effect: 'loss' });
}

function connectionsOf(found: LeavingDestination): number | undefined {
  const { activeConnections, inactiveConnections } = found;
  if (activeConnections === undefined || inactiveConnections === undefined) return undefined;
  return activeConnections + inactiveConnections;
}

// Undefined for what another program has set and our checks refuse, as it cannot be set again: it goes undrained.
function quietOf(service: ServiceKey, found: Destination): Destination | undefined {
  try {
    return destinationOf(toFullDestination(service, found), 0);
  } catch {
    return undefined;
  }
}

function twice(service: ServiceKey, destination: DestinationKey): IpvsError {
  const problem = 'wanted twice in one service: leave one out';
  return refusal(problem, service, destination);
}

// There are many of them: one function for all, rather than one for each.
function toFullDestinations(service: ServiceKey, inputs: readonly unknown[]): FullDestination[] {
  let destination: unknown;
  try {
    return inputs.map((input) => toFullDestination(service, (destination = input)));
  } catch (error) {
    throw blamed(error, { service, destination });
  }
}

function attempt<T>(about: About, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw blamed(error, about);
  }
}

interface About {
  readonly service: unknown;
  readonly destination?: unknown;
}

/** Says which service and destination bad input belongs to, as far as they can be named. */
function blamed(error: unknown, about: About): unknown {
  if (!(error instanceof InvalidInput)) return error;
  const name = <K>(read: (input: unknown) => K, input: unknown): K | undefined => {
    try {
      return read(input);
    } catch {
      return undefined;
    }
  };
  const service = name(toServiceKey, about.service);
  return refusal(error.problem, service, name(toDestinationKey, about.destination));
}

/** The error for bad input of a plan: what was asked: why not: what to do. */
export function refusal(
  problem: string,
  service?: ServiceKey,
  destination?: DestinationKey,
): IpvsError {
  const words = ['plan'];
  if (service !== undefined) words.push(serviceId(service));
  if (destination !== undefined) words.push(destinationId(destination));
  const details = { code: 'ERR_IPVS_INVALID', operation: 'plan', service, destination };
  return new IpvsError(`${words.join(' ')}: ${problem}`, details);
}
