// A small proxy of one's own: the kernel moves the packets, this program decides how many go where. Every second it asks
// each destination how busy it is (GET /load answers 0 to 1) and sets its weight; one that does not answer gets none.
//
//   node weights.js tcp://198.51.100.1:80
import { setTimeout as sleep } from 'node:timers/promises';
import { destinationId, open, serviceKey, type Change, type DestinationKey } from 'ipvs';
import type { Ipvs, ServiceId, ServiceKey } from 'ipvs';

const FULL = 100;

async function weightFor(destination: DestinationKey): Promise<number> {
  try {
    const url = `http://${destinationId(destination)}/load`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(800) });
    const load = Number(await answer.text());
    if (!answer.ok || !(load >= 0 && load <= 1)) return 0;
    // A busy one keeps a little, so that only one that fails is shut out.
    return Math.max(1, Math.round(FULL * (1 - load)));
  } catch {
    return 0;
  }
}

async function adjust(ipvs: Ipvs, service: ServiceKey): Promise<void> {
  const destinations = await ipvs.destinations(service);
  const changes = await Promise.all(
    destinations.map(async (destination): Promise<Change[]> => {
      const weight = await weightFor(destination);
      if (weight === destination.weight) return [];
      console.log(`${destinationId(destination)} weight ${destination.weight} -> ${weight}`);
      return [{ op: 'setDestination', service, destination: { ...destination, weight } }];
    }),
  );
  for (const { status, error } of await ipvs.apply(changes.flat())) {
    if (status === 'failed') console.error(error.message);
  }
}

async function main([service]: string[]): Promise<void> {
  if (service === undefined) throw new Error('say which: weights.js SERVICE');
  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort();
  });
  await using ipvs = await open();
  while (!stop.signal.aborted) {
    await adjust(ipvs, serviceKey(service as ServiceId));
    await sleep(1000, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(String(error));
  process.exitCode = 1;
});
