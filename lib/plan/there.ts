// Whether wanted destinations are there already, told by looking alone: nothing is made and nothing looked up, which is most
// of the work of a plan that changes little. Whatever is more than plain, or wrong, is left to the long way in servers.ts.
import { familyOf } from '../id';
import type { Destination, Family, ServiceKey } from '../model';
import {
  canonicalFamily,
  hasDestinationNames,
  INT_MAX,
  isRecord,
  isWhole,
  NO_TUNNEL,
} from '../plain';

/**
 * Whether those wanted are all right, and are just those that are there, in the same order, or newest first as the kernel
 * lists them. When false, they may be so all the same.
 */
export function areThere(
  service: ServiceKey,
  wanted: readonly unknown[],
  there: readonly Destination[],
): boolean {
  const { length } = wanted;
  if (length !== there.length) return false;
  const family = familyOf(service);
  const port = 'port' in service ? service.port : undefined;
  const reversed = length > 1 && addressOf(wanted[0]) !== addressOf(there[0]);
  const addresses = new Array<string>(length);
  for (let i = 0; i < length; i++) {
    const address = addressWhereThere(
      family,
      port,
      wanted[i],
      there[reversed ? length - 1 - i : i],
    );
    if (address === undefined) return false;
    addresses[i] = address;
  }
  // One that is wanted twice matches one that is there twice: only looking them up tells.
  return areDistinct(addresses);
}

function addressOf(destination: unknown): unknown {
  return isRecord(destination) ? destination['address'] : undefined;
}

/** The address of a wanted destination that is right, plain and the same as the one found; undefined for any other. */
function addressWhereThere(
  serviceFamily: Family,
  servicePort: number | undefined,
  wanted: unknown,
  found: unknown,
): string | undefined {
  if (!isRecord(wanted) || !isRecord(found) || !hasDestinationNames(wanted)) return undefined;
  const { address, port, forward = 'masq', weight = 1 } = wanted;
  const { upperThreshold = 0, lowerThreshold = 0, tunnel } = wanted;
  if (typeof address !== 'string' || !isWhole(port, 65535) || tunnel !== undefined)
    return undefined;
  if (address !== found['address'] || port !== found['port']) return undefined;
  if (!isWhole(weight, INT_MAX) || weight !== (found['weight'] ?? 1)) return undefined;
  if (upperThreshold !== (found['upperThreshold'] ?? 0)) return undefined;
  if (lowerThreshold !== (found['lowerThreshold'] ?? 0)) return undefined;
  if (!isWhole(upperThreshold, INT_MAX) || !isWhole(lowerThreshold, upperThreshold))
    return undefined;
  if (forward !== (found['forward'] ?? 'masq')) return undefined;
  if (forward !== 'masq' && servicePort !== undefined && port !== servicePort) return undefined;
  const family = canonicalFamily(address);
  if (family === undefined) return undefined;
  if (forward === 'tunnel') return isPlainTunnel(found['tunnel']) ? address : undefined;
  if (forward !== 'masq' && forward !== 'route') return undefined;
  return family === serviceFamily ? address : undefined;
}

/** Whether a tunnel is what it is where none is said. */
function isPlainTunnel(tunnel: unknown): boolean {
  if (tunnel === undefined) return true;
  if (!isRecord(tunnel)) return false;
  const { type, port = 0, checksum = false } = tunnel;
  return type === NO_TUNNEL.type && port === NO_TUNNEL.port && checksum === NO_TUNNEL.checksum;
}

/** Whether no two of the addresses are the same. */
export function areDistinct(addresses: readonly string[]): boolean {
  // Most are given in a row: where each is above the one before, or below it, they are not even looked up.
  const rising = isBelow(addresses[0], addresses[1]);
  for (let i = 1; i < addresses.length; i++) {
    const [one, other] = [addresses[i - 1], addresses[i]];
    if (!(rising ? isBelow(one, other) : isBelow(other, one))) {
      return new Set(addresses).size === addresses.length;
    }
  }
  return true;
}

function isBelow(one = '', other = ''): boolean {
  return one.length === other.length ? one < other : one.length < other.length;
}
