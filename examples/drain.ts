// Takes a destination out of service without breaking a connection: it gets no new ones, and goes when its last has.
//
//   node drain.js tcp://198.51.100.1:80 10.0.1.2:8080
import { setTimeout as sleep } from 'node:timers/promises';
import { destinationId, destinationKey, open } from 'ipvs';
import type { DestinationId, DestinationRef, DestinationStatus, Ipvs } from 'ipvs';
import type { ServiceId, ServiceRef } from 'ipvs';

/** How often to look, in milliseconds; what to tell meanwhile. */
interface DrainOptions {
  readonly every?: number;
  readonly progress?: (destination: DestinationStatus) => void;
}

export async function drain(
  ipvs: Ipvs,
  service: ServiceRef,
  ref: DestinationRef,
  { every = 500, progress }: DrainOptions = {},
): Promise<void> {
  const id = destinationId(destinationKey(ref));
  const read = async (): Promise<DestinationStatus> => {
    const found = (await ipvs.destinations(service)).find((one) => destinationId(one) === id);
    if (found === undefined) throw new Error(`the service has no destination ${id}`);
    return found;
  };
  // What was read can be written back: every setting but the weight stays as it is.
  await ipvs.setDestination(service, { ...(await read()), weight: 0 });
  for (;;) {
    const destination = await read();
    progress?.(destination);
    // Inactive ones are closing, or closed a short while ago: late packets may still belong to them.
    if (destination.activeConnections + destination.inactiveConnections === 0) break;
    await sleep(every);
  }
  await ipvs.deleteDestination(service, ref);
}

async function main([service, destination]: string[]): Promise<void> {
  if (service === undefined || destination === undefined) {
    throw new Error('say which: drain.js SERVICE DESTINATION');
  }
  await using ipvs = await open();
  await drain(ipvs, service as ServiceId, destination as DestinationId, {
    progress({ activeConnections: active, inactiveConnections: inactive }) {
      console.log(`${active} active, ${inactive} inactive`);
    },
  });
  console.log(`${destination} is empty, and deleted`);
}

if (require.main === module) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(String(error));
    process.exitCode = 1;
  });
}
