// What is plain, which most of a large table is: checked by looking alone, with nothing made on the way. Whatever is more
// than that, or wrong, is not plain: then settings.ts has the long way, and the words. Tests hold the two together. Each
// field is read once: what was checked is what counts, whatever getters do.
import { ADDRESS_BYTES, formatAddress, writeAddress } from './address';
import { familyOf } from './id';
import type { Family, ServiceKey } from './model';
import type { FullDestination } from './settings';

/** What may have any fields. */
export type Loose = Readonly<Record<string, unknown>>;

export const INT_MAX = 2147483647;

export function isRecord(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isWhole(value: unknown, most: number): value is number {
  return typeof value === 'number' && value >>> 0 === value && value <= most;
}

const scratch = new Uint8Array(ADDRESS_BYTES);

/** The family of an address that is written the way we write it; undefined for any other text. */
export function canonicalFamily(text: string): Family | undefined {
  const family = writeAddress(text, scratch, 0);
  return family !== 'ipv6' || formatAddress(scratch, 0, family) === text ? family : undefined;
}

// Comparing names that are constants is faster than looking them up.

/** Whether all that is set of a destination are settings of one, or what the kernel tells of it. */
export function hasDestinationNames(destination: Loose): boolean {
  for (const name in destination) {
    switch (name) {
      case 'address':
      case 'port':
      case 'forward':
      case 'weight':
      case 'upperThreshold':
      case 'lowerThreshold':
      case 'tunnel':
      case 'activeConnections':
      case 'inactiveConnections':
      case 'persistentConnections':
      case 'stats':
        break;
      default:
        return false;
    }
  }
  return true;
}

/** What the kernel keeps for a destination whose forward method is not `tunnel`. */
export const NO_TUNNEL = { type: 'ipip', port: 0, checksum: false } as const;

/** A destination without a tunnel of its own whose address is written the way we write it; undefined for any other. */
export function plainDestination(service: ServiceKey, input: unknown): FullDestination | undefined {
  if (!isRecord(input) || !hasDestinationNames(input)) return undefined;
  const { address, port, forward = 'masq', weight = 1 } = input;
  const { upperThreshold = 0, lowerThreshold = 0, tunnel } = input;
  if (typeof address !== 'string' || !isWhole(port, 65535) || tunnel !== undefined)
    return undefined;
  if (!isWhole(weight, INT_MAX) || !isWhole(upperThreshold, INT_MAX)) return undefined;
  if (!isWhole(lowerThreshold, INT_MAX) || lowerThreshold > upperThreshold) return undefined;
  const crosses = forward === 'tunnel';
  if (!crosses && forward !== 'masq' && forward !== 'route') return undefined;
  if (forward !== 'masq' && 'port' in service && port !== service.port) return undefined;
  const family = canonicalFamily(address);
  if (family === undefined || (family !== familyOf(service) && !crosses)) return undefined;
  const key = { address, port };
  return { key, family, forward, weight, upperThreshold, lowerThreshold, tunnel: NO_TUNNEL };
}
