// Which addresses must be bound to a device of ours, and which taken off it.
import type { Family } from '../model';

/** An address that a device has. */
export interface BoundAddress {
  /** The index of the device. */
  readonly link: number;
  readonly family: Family;
  /** Canonical. */
  readonly address: string;
  readonly prefix: number;
}

export interface AddressPlan {
  readonly add: readonly string[];
  readonly remove: readonly string[];
  /** Wanted addresses that another device has already. They are local as they are, so they are not bound again. */
  readonly elsewhere: readonly string[];
}

/**
 * @param wanted - canonical addresses
 * @param bound - every address of every device
 * @param link - the index of our device; 0 when it does not exist yet
 */
export function planAddresses(
  wanted: Iterable<string>,
  bound: readonly BoundAddress[],
  link: number,
): AddressPlan {
  const asked = new Set(wanted);
  const ours = new Set<string>();
  const others = new Set<string>();
  const plan = { add: [] as string[], remove: [] as string[], elsewhere: [] as string[] };
  for (const { address, link: index, family } of bound) {
    (index === link ? ours : others).add(address);
    if (index === link && !asked.has(address) && !isLinkLocal(address, family))
      plan.remove.push(address);
  }
  for (const address of asked) {
    if (!ours.has(address)) (others.has(address) ? plan.elsewhere : plan.add).push(address);
  }
  return plan;
}

// The kernel gives every IPv6 device that is up one of these by itself.
function isLinkLocal(address: string, family: Family): boolean {
  return family === 'ipv6' && /^fe[89ab]/.test(address);
}
