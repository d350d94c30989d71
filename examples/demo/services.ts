// services.yaml, and what it takes to make the kernel's table so.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AddressKey, Change, Destination, ServiceSettings } from 'ipvs';
import { parseState } from 'ipvs/state';
import { SERVERS } from './hosts';

/** A service with its destinations, as the file has it. */
export type Server = AddressKey & ServiceSettings & { readonly destinations: Destination[] };

export const FILE = 'examples/demo/services.yaml';

/** The file is a state file, such as `ipvs apply -f` takes; its services all have addresses. */
export function readServers(): Server[] {
  const root = dirname(require.resolve('ipvs/package.json'));
  const { services } = parseState(readFileSync(join(root, FILE), 'utf8'), { file: FILE });
  return services as Server[];
}

export function toChanges(servers: readonly Server[]): Change[] {
  return servers.flatMap(({ destinations, ...service }) => [
    { op: 'addService', service },
    ...destinations.map((destination): Change => ({ op: 'addDestination', service, destination })),
  ]);
}

export function isIpv6({ address }: { readonly address: string }): boolean {
  return address.includes(':');
}

/** The name of the host that has this address. */
export function nameOf({ address }: { readonly address: string }): string {
  return SERVERS.find(({ ipv4, ipv6 }) => ipv4 === address || ipv6 === address)?.name ?? address;
}

/** How far answers may be from the weights' exact share: connections under way when one started counting. */
const LEEWAY = 3;

/** Whether answers were spread by weight, as round robin schedulers do. */
export function spreadAsWeighted(
  destinations: readonly Destination[],
  answers: Readonly<Record<string, number>>,
): boolean {
  const total = Object.values(answers).reduce((sum, count) => sum + count, 0);
  const weights = destinations.reduce((sum, { weight = 1 }) => sum + weight, 0);
  return destinations.every((destination) => {
    const { weight = 1 } = destination;
    const count = answers[nameOf(destination)] ?? 0;
    // Weight 0 means none at all.
    return weight === 0 ? count === 0 : Math.abs(count - (total * weight) / weights) <= LEEWAY;
  });
}
