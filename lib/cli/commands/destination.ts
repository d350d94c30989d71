// ipvs destination add and set. On the command line, set changes what is named and keeps the rest; the kernel replaces.
import type { Ipvs } from '../../client';
import { explain } from '../../explain';
import { destinationId } from '../../id';
import type {
  Destination,
  DestinationKey,
  DestinationSettings,
  DestinationStatus,
  Forward,
  ServiceKey,
  Tunnel,
} from '../../model';

const ENOENT = 2;

/** Options of `destination add` and `destination set`; `false` is what --no-… gives. */
export interface DestinationFlags {
  readonly forward?: string;
  readonly weight?: number;
  readonly upperThreshold?: number;
  readonly lowerThreshold?: number;
  readonly tunnel?: string;
  readonly tunnelPort?: number;
  readonly tunnelChecksum?: boolean | 'remote';
  readonly replace?: true;
}

export async function addDestination(
  client: Ipvs,
  service: ServiceKey,
  key: DestinationKey,
  flags: DestinationFlags,
): Promise<void> {
  await client.addDestination(service, withSettings(key, undefined, flags));
}

export async function setDestination(
  client: Ipvs,
  service: ServiceKey,
  key: DestinationKey,
  flags: DestinationFlags,
): Promise<void> {
  if (flags.replace === true) {
    await client.setDestination(service, withSettings(key, undefined, flags));
    return;
  }
  const id = destinationId(key);
  const current = (await client.destinations(service)).find((one) => destinationId(one) === id);
  if (current === undefined) {
    throw explain(ENOENT, { operation: 'setDestination', service, destination: key });
  }
  await client.setDestination(service, withSettings(key, current, flags));
}

/** The destination with the settings named in `flags`, and for the rest as it is, or by default. */
function withSettings(
  key: DestinationKey,
  current: DestinationStatus | undefined,
  flags: DestinationFlags,
): Destination {
  // The library knows which methods there are.
  const forward = (flags.forward as Forward | undefined) ?? current?.forward;
  const weight = flags.weight ?? current?.weight;
  const upperThreshold = flags.upperThreshold ?? current?.upperThreshold;
  const lowerThreshold = flags.lowerThreshold ?? current?.lowerThreshold;
  const tunnel = tunnelOf(forward === 'tunnel' ? current?.tunnel : undefined, flags);
  const settings: DestinationSettings = {
    ...(forward === undefined ? {} : { forward }),
    ...(weight === undefined ? {} : { weight }),
    ...(upperThreshold === undefined ? {} : { upperThreshold }),
    ...(lowerThreshold === undefined ? {} : { lowerThreshold }),
    ...(tunnel === undefined ? {} : { tunnel }),
  };
  return { ...key, ...settings };
}

function tunnelOf(current: Tunnel | undefined, flags: DestinationFlags): Tunnel | undefined {
  const named =
    flags.tunnel !== undefined ||
    flags.tunnelPort !== undefined ||
    (flags.tunnelChecksum !== undefined && flags.tunnelChecksum !== false);
  if (!named && current === undefined) return undefined;
  const type = (flags.tunnel as Tunnel['type'] | undefined) ?? current?.type ?? 'ipip';
  const same = type === current?.type ? current : undefined;
  const port = flags.tunnelPort ?? same?.port;
  const checksum = flags.tunnelChecksum ?? same?.checksum;
  return {
    type,
    ...(port === undefined ? {} : { port }),
    ...(checksum === undefined ? {} : { checksum }),
  };
}
