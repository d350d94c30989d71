// Virtual servers for property tests: any that the checks let through, each service and destination once.
import fc from 'fast-check';
import { destinationId, serviceId, toDestinationKey, toServiceKey } from '../lib/id';
import type { Destination, ServiceKey, VirtualServer } from '../lib/model';
import { inOrder } from '../lib/order';
import { toFullDestination, toFullService } from '../lib/settings';
import { anyService, destinationOf } from './arbitraries';

/** Every way to forward, as far as the families allow. */
function anyDestinationOf(service: ServiceKey): fc.Arbitrary<Destination> {
  const family = (text: string): string => (text.includes(':') ? 'ipv6' : 'ipv4');
  const own = 'fwmark' in service ? service.family : family(service.address);
  return fc
    .tuple(destinationOf(service), fc.constantFrom('masq', 'route', 'tunnel'), fc.nat(65535))
    .map(([{ tunnel, ...rest }, forward, port]): Destination => {
      if (forward === 'tunnel' || family(rest.address) !== own) {
        return { ...rest, ...(tunnel === undefined ? {} : { tunnel }) };
      }
      return forward === 'masq' ? { ...rest, forward, port } : { ...rest, forward: 'route' };
    });
}

export const anyServers: fc.Arbitrary<VirtualServer[]> = fc.uniqueArray(
  anyService.chain((service) =>
    fc
      .uniqueArray(anyDestinationOf(service), {
        maxLength: 4,
        selector: (one) => destinationId(toDestinationKey(one)),
      })
      .map((destinations): VirtualServer => ({ ...service, destinations })),
  ),
  { maxLength: 5, selector: (one) => serviceId(toServiceKey(one)) },
);

/** The same with every setting filled in, in order: what two ways to say it have in common. */
export function settled(servers: readonly VirtualServer[]): unknown {
  return inOrder(servers).map(({ destinations, ...service }) => {
    const full = toFullService(service);
    return { ...full, destinations: destinations.map((one) => toFullDestination(full.key, one)) };
  });
}
