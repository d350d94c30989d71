// Planning, alone: 10 000 services × 10 destinations against what a kernel would tell of them, in CPU time.
import type { Plan, VirtualServer } from 'ipvs';
import { plan } from 'ipvs';
import { cpuTimed } from './measure';
import type { Timed } from './results';

const SERVICES = 10_000;
const EACH = 10;
const ROUNDS = 9;

/** A table as it is wanted, and as the kernel tells of it. */
export function states(): [desired: readonly VirtualServer[], actual: readonly VirtualServer[]] {
  const desired = wanted();
  return [desired, told(desired)];
}

/** What is wanted, as a program would write it. */
function wanted(): VirtualServer[] {
  return Array.from({ length: SERVICES }, (_, i) => ({
    protocol: 'tcp',
    address: address(10, i),
    port: 80,
    scheduler: 'wlc',
    destinations: Array.from({ length: EACH }, (__, j) => ({
      address: address(172, (16 << 16) + i * EACH + j),
      port: 8080,
      weight: 1,
    })),
  }));
}

function address(first: number, rest: number): string {
  return `${first}.${(rest >> 16) & 255}.${(rest >> 8) & 255}.${rest & 255}`;
}

/** The same as a kernel tells it: everything filled in, destinations newest first. */
function told(servers: readonly VirtualServer[]): VirtualServer[] {
  const connections = { activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 };
  return servers.map((server) => ({
    ...server,
    schedulerFlags: [],
    onePacket: false,
    destinations: server.destinations
      .map((one) => ({
        ...one,
        forward: 'masq' as const,
        upperThreshold: 0,
        lowerThreshold: 0,
        ...connections,
      }))
      .reverse(),
  }));
}

/** One destination in a hundred has another weight. */
function changed(servers: readonly VirtualServer[]): VirtualServer[] {
  return servers.map((server, i) =>
    i % (100 / EACH) === 0
      ? {
          ...server,
          destinations: server.destinations.map((one, j) =>
            j === 0 ? { ...one, weight: 2 } : one,
          ),
        }
      : server,
  );
}

export async function planTimes(): Promise<Timed[]> {
  const [desired, same] = states();
  const total = SERVICES * (1 + EACH);
  const other = changed(same);
  return [
    await measure('nothing changed', 0, () => plan(desired, same)),
    await measure('1 % changed', (SERVICES * EACH) / 100, () => plan(desired, other)),
    await measure('everything new', total, () => plan(desired, [])),
  ];
}

async function measure(name: string, changes: number, make: () => Plan): Promise<Timed> {
  const times: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    let made: Plan | undefined;
    const milliseconds = await cpuTimed(() => {
      made = make();
    });
    if (made?.changes.length !== changes) throw new Error(`${name}: not the plan it should be`);
    if (round > 0) times.push(milliseconds);
  }
  return { name: `plan ${SERVICES} × ${EACH}: ${name}`, times };
}
