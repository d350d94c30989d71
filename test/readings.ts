// Holds `servers`, which recognises what it has read before, to `snapshot`, which reads everything anew.
import fc from 'fast-check';
import type { Ipvs } from '../lib/client';
import { serviceId } from '../lib/id';
import type { DestinationStatus, VirtualServer } from '../lib/model';
import { plan } from '../lib/plan';
import { anyState } from './arbitraries';

/** A table that goes from state to state while it is read. */
export const anyHistory = fc.tuple(fc.array(anyState, { minLength: 2, maxLength: 4 }), anyState);

/** What `servers` reads of a table, by the long way: one list a service. */
export async function readSlowly(client: Ipvs): Promise<VirtualServer[]> {
  const found: VirtualServer[] = [];
  for (const { stats, ...service } of await client.services()) {
    expect(stats).toBeDefined();
    const destinations = (await client.destinations(serviceId(service))).map(settingsOf);
    found.push({ ...service, destinations });
  }
  return found;
}

function settingsOf(status: DestinationStatus): VirtualServer['destinations'][number] {
  const { stats, activeConnections, inactiveConnections, persistentConnections, ...settings } =
    status;
  expect(stats).toBeDefined();
  if (settings.weight !== 0) return settings;
  return Object.assign(settings, { activeConnections, inactiveConnections, persistentConnections });
}

/** Makes the table like the state, and looks at it in both ways. */
export async function compareReadings(
  reader: Ipvs,
  writer: Ipvs,
  state: readonly VirtualServer[],
  desired: readonly VirtualServer[],
): Promise<void> {
  const all = { owns: () => true };
  await writer.apply(plan(state, await writer.snapshot(), all));
  const fast = await reader.servers();
  const slow = await readSlowly(writer);
  expect(fast).toEqual(slow);
  expect(plan(desired, fast, all).toJSON()).toEqual(plan(desired, slow, all).toJSON());
  expect(await reader.servers()).toBe(fast);
}
