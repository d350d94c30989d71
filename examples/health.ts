// A proxy in miniature: the kernel moves the packets, this decides where to. Servers that answer get new connections, those that
// do not get none, and what leaves the list drains.
//
//   node health.js tcp://198.51.100.1:80 10.0.1.2:8080/health 10.0.2.2:8080
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { destinationKey, open, reconcile, serviceKey } from 'ipvs';
import type { Destination, DestinationId, ServiceId, VirtualServer } from 'ipvs';

/** A server, and how to ask it whether it is well: by HTTP where there is a path, else by connecting. */
interface Server {
  readonly id: DestinationId;
  readonly path?: string;
}

const EVERY = 500;
const PATIENCE = 400;

async function isWell({ id, path }: Server): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    if (path !== undefined) return (await fetch(`http://${id}${path}`, { signal })).ok;
    const { address, port } = destinationKey(id);
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host: address, port, signal });
      socket.once('error', reject).once('connect', () => {
        socket.destroy();
        resolve();
      });
    });
    return true;
  } catch {
    return false;
  }
}

/** The service as it should be, each time somebody's health has changed. */
async function* states(
  service: ServiceId,
  servers: readonly Server[],
  signal: AbortSignal,
): AsyncGenerator<VirtualServer[]> {
  let last = '';
  while (!signal.aborted) {
    const destinations = await Promise.all(
      servers.map(async (server): Promise<Destination> => {
        const weight = (await isWell(server)) ? 1 : 0;
        return { ...destinationKey(server.id), weight };
      }),
    );
    const now = destinations.map(({ weight }) => weight).join(' ');
    if (now !== last) {
      console.log(`weights ${now}`);
      yield [{ ...serviceKey(service), scheduler: 'rr', destinations }];
    }
    last = now;
    await sleep(EVERY, undefined, { signal }).catch(() => undefined);
  }
}

async function main([service, ...list]: string[]): Promise<void> {
  if (service === undefined || list.length === 0) {
    throw new Error('say what: health.js SERVICE ADDRESS:PORT[/PATH]…');
  }
  const servers = list.map((text): Server => {
    const [id = '', ...path] = text.split('/');
    return path.length === 0
      ? { id: id as DestinationId }
      : { id: id as DestinationId, path: `/${path.join('/')}` };
  });
  const ending = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT']) {
    process.once(name, () => {
      ending.abort();
    });
  }
  const { signal } = ending;
  await using ipvs = await open();
  const wanted = states(service as ServiceId, servers, signal);
  for await (const { plan, error } of reconcile(wanted, ipvs, { drain: true, signal })) {
    if (!plan.empty) console.log(plan.toString());
    if (error !== undefined) console.error(error.message);
  }
}

if (require.main === module) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(String(error));
    process.exitCode = 1;
  });
}
