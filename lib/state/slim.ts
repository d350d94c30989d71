// Services and destinations without what goes without saying: canonical, and only the settings that are not defaults.
import { familyOf } from '../id';
import type { Destination, Service, Tunnel } from '../model';
import type { FullDestination, FullService } from '../settings';

export function slimService(full: FullService): Service {
  const { key, scheduler, schedulerFlags, persistence, onePacket } = full;
  return {
    ...key,
    ...(scheduler === 'wlc' ? {} : { scheduler }),
    ...(schedulerFlags.length === 0 ? {} : { schedulerFlags }),
    ...(persistence === undefined ? {} : { persistence: slimPersistence(full, persistence) }),
    ...(onePacket ? { onePacket } : {}),
  };
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
  return {
    ...key,
    ...(forward === 'masq' ? {} : { forward }),
    ...(weight === 1 ? {} : { weight }),
    ...(upperThreshold === 0 ? {} : { upperThreshold }),
    ...(lowerThreshold === 0 ? {} : { lowerThreshold }),
    ...(tunnel === undefined ? {} : { tunnel }),
  };
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
