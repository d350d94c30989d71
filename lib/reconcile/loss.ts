// What a pass would take away: an empty list by mistake must not empty the kernel.
import { serviceId } from '../id';
import type { ServiceKey, VirtualServer } from '../model';
import type { Plan } from '../plan';

export interface Loss {
  /** Services that would be deleted, or left without any destination. */
  readonly lost: number;
  /** Services that were found and are ours. */
  readonly owned: number;
}

/** Whether there is a loss to count: most passes of a large table take nothing away. */
export function takesAway({ changes, draining }: Plan): boolean {
  return (
    draining.length > 0 ||
    changes.some(({ op }) => op === 'deleteService' || op === 'deleteDestination')
  );
}

export function lossOf(
  desired: readonly VirtualServer[],
  actual: readonly VirtualServer[],
  owns: ((service: ServiceKey) => boolean) | undefined,
): Loss {
  const wanted = new Map(desired.map((server) => [serviceId(server), server.destinations.length]));
  let [lost, owned] = [0, 0];
  for (const server of actual) {
    if ('protocol' in server && server.protocol.startsWith('ip-')) continue;
    const size = wanted.get(serviceId(server));
    if (owns === undefined ? size === undefined : !owns(server)) continue;
    owned++;
    if (size === undefined || (size === 0 && server.destinations.length > 0)) lost++;
  }
  return { lost, owned };
}

/** Unless nothing may, one service may always go: somebody removes the last one some day. */
export function isTooMuch({ lost, owned }: Loss, share: number): boolean {
  return lost > (share === 0 ? 0 : Math.max(1, Math.floor(owned * share)));
}
