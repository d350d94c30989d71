// What is wanted against what there is. The wanted side has been checked and every default filled in; the other is taken as
// it comes, as the kernel may hold what our checks would refuse, and what is left out there is the default.
import type { Destination, Service } from '../model';
import { NO_TUNNEL } from '../plain';
import { flagBits, type FullDestination, type FullService } from '../settings';
import { familyOf } from '../id';

export function sameService(wanted: FullService, found: Service): boolean {
  const { scheduler = 'wlc', schedulerFlags = [], onePacket = false } = found;
  return (
    wanted.scheduler === scheduler &&
    wanted.onePacket === onePacket &&
    flagBits(wanted.schedulerFlags) === flagBits(schedulerFlags) &&
    samePersistence(wanted, found)
  );
}

function samePersistence({ key, persistence: wanted }: FullService, found: Service): boolean {
  const { persistence } = found;
  if (wanted === undefined || persistence === undefined) return wanted === persistence;
  const bits = familyOf(key) === 'ipv4' ? 32 : 128;
  return (
    wanted.timeout === persistence.timeout &&
    wanted.prefix === (persistence.prefix ?? bits) &&
    wanted.engine === (persistence.engine ?? '')
  );
}

export function sameDestination(
  wanted: FullDestination,
  weight: number,
  found: Destination,
): boolean {
  const { forward = 'masq', upperThreshold = 0, lowerThreshold = 0 } = found;
  return (
    weight === (found.weight ?? 1) &&
    wanted.forward === forward &&
    wanted.upperThreshold === upperThreshold &&
    wanted.lowerThreshold === lowerThreshold &&
    (forward !== 'tunnel' || sameTunnel(wanted.tunnel, found.tunnel ?? NO_TUNNEL))
  );
}

function sameTunnel(
  wanted: FullDestination['tunnel'],
  { type, port = 0, checksum = false }: NonNullable<Destination['tunnel']>,
): boolean {
  return wanted.type === type && wanted.port === port && wanted.checksum === checksum;
}

/** What an edit does to the connections a destination takes: more come first, fewer come last. */
export function effectOf(
  weight: number,
  upperThreshold: number,
  found: Destination,
): 'gain' | 'edit' | 'loss' {
  const before = found.weight ?? 1;
  if (weight !== before) return weight > before ? 'gain' : 'loss';
  // No limit is the highest one.
  const limit = upperThreshold === 0 ? Infinity : upperThreshold;
  const limitBefore =
    found.upperThreshold === undefined || found.upperThreshold === 0
      ? Infinity
      : found.upperThreshold;
  if (limit === limitBefore) return 'edit';
  return limit > limitBefore ? 'gain' : 'loss';
}

/** A service as a change carries it: every setting said, in the shape the kernel's answers have. */
export function serviceOf({
  key,
  scheduler,
  schedulerFlags,
  onePacket,
  persistence,
}: FullService): Service {
  const settings = { scheduler, schedulerFlags, onePacket };
  // A spread in front of other fields would cost more than all the rest.
  const service: Service = Object.assign({}, key, settings);
  if (persistence === undefined) return service;
  const { timeout, prefix, engine } = persistence;
  return Object.assign(service, {
    persistence: engine === '' ? { timeout, prefix } : { timeout, prefix, engine },
  });
}

/** A destination as a change carries it. */
export function destinationOf(full: FullDestination, weight = full.weight): Destination {
  const { address, port } = full.key;
  const { forward, upperThreshold, lowerThreshold, tunnel } = full;
  const destination = { address, port, forward, weight, upperThreshold, lowerThreshold };
  return forward === 'tunnel' ? { ...destination, tunnel: tunnelOf(tunnel) } : destination;
}

function tunnelOf({
  type,
  port,
  checksum,
}: FullDestination['tunnel']): NonNullable<Destination['tunnel']> {
  if (type === 'ipip') return { type };
  return type === 'gue' ? { type, port, checksum } : { type, checksum };
}
