// Services and destinations without what goes without saying: canonical, and only the settings that are not defaults. Assigned
// and not spread: a spread in front of other fields gives each object a hidden class of its own, which plans are slow to read.
import { familyOf } from '../id';
import type { Destination, Service, Tunnel } from '../model';
import type { FullDestination, FullService } from '../settings';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function slimService(full: FullService): Service {
  const { key, scheduler, schedulerFlags, persistence, onePacket } = full;
  const service: Writable<Service> = Object.assign({}, key);
  if (scheduler !== 'wlc') service.scheduler = scheduler;
  if (schedulerFlags.length > 0) service.schedulerFlags = schedulerFlags;
  if (persistence !== undefined) service.persistence = slimPersistence(full, persistence);
  if (onePacket) service.onePacket = onePacket;
  return service;
}

function slimPersistence(
  { key }: FullService,
  { timeout, prefix, engine }: NonNullable<FullService['persistence']>,
): NonNullable<Service['persistence']> {
  return {
    timeout,
    ...(prefix === (familyOf(key) === 'ipv4' ? 32 : 128) ? {} : { prefix }),
    ...(engine === '' ? {} : { engine }),
  };
}

export function slimDestination(full: FullDestination): Destination {
  const { key, forward, weight, upperThreshold, lowerThreshold } = full;
  const tunnel = slimTunnel(full);
  const destination: Writable<Destination> = Object.assign({}, key);
  if (forward !== 'masq') destination.forward = forward;
  if (weight !== 1) destination.weight = weight;
  if (upperThreshold > 0) destination.upperThreshold = upperThreshold;
  if (lowerThreshold > 0) destination.lowerThreshold = lowerThreshold;
  if (tunnel !== undefined) destination.tunnel = tunnel;
  return destination;
}

function slimTunnel({ forward, tunnel }: FullDestination): Tunnel | undefined {
  const { type, port, checksum } = tunnel;
  if (forward !== 'tunnel' || type === 'ipip') return undefined;
  return {
    type,
    ...(port === 0 ? {} : { port }),
    ...(checksum === false ? {} : { checksum }),
  };
}

/**
 * A destination of the kernel as one can ask for it: `local` is what old kernels make of an address of their own, and
 * asking for it again takes `route`, as in what ipvsadm saves.
 */
export function settled(destination: Destination): Destination {
  return destination.forward === 'local' ? { ...destination, forward: 'route' } : destination;
}
