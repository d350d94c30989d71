// Planning, alone: 10 000 services × 10 destinations against what a kernel would tell of them, in CPU time.
import type { Plan, VirtualServer } from 'ipvs';
import { plan } from 'ipvs';
import { parseState, printState } from 'ipvs/state';
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

/**
 * The same as a kernel tells it: everything filled in, destinations newest first. Spelt out, as the decoder does it: of a
 * spread with more fields behind it V8 gives each object a hidden class of its own, and reading those is what would be
 * measured.
 */
function told(servers: readonly VirtualServer[]): VirtualServer[] {
  return servers.map((server) => {
    if ('fwmark' in server) throw new TypeError('the workload has no firewall marks');
    const { protocol, address, port, scheduler } = server;
    const destinations = server.destinations.map(({ address, port, weight = 1 }) =>
      Object.freeze({
        address,
        port,
        forward: 'masq' as const,
        weight,
        upperThreshold: 0,
        lowerThreshold: 0,
      }),
    );
    return {
      protocol,
      address,
      port,
      scheduler: scheduler ?? 'wlc',
      schedulerFlags: [],
      onePacket: false,
      destinations: destinations.reverse(),
    };
  });
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

/** The same as the reader of state files makes it, with a weight at each destination, as in most files. */
function fromFile(servers: readonly VirtualServer[]): readonly VirtualServer[] {
  const services = servers.map((server) => ({
    ...server,
    destinations: server.destinations.map((one) => ({ ...one, weight: 3 })),
  }));
  return parseState(printState({ services }, { format: 'json' })).services;
}

export async function planTimes(): Promise<Timed[]> {
  const [desired, same] = states();
  const total = SERVICES * (1 + EACH);
  const other = changed(same);
  const written = fromFile(desired);
  const found = told(written);
  return [
    await measure('nothing changed', 0, () => plan(desired, same)),
    await measure('1 % changed', (SERVICES * EACH) / 100, () => plan(desired, other)),
    await measure('nothing changed, read from a file, with weights', 0, () => plan(written, found)),
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
