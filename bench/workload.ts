// The table that every competitor adds and reads back, made by counting, so that it is the same everywhere and needs no file
// in the repository: service i is 10.x.y.z:80 where x.y.z is i, with destinations from 172.16.0.0 upwards, all on port 8080.
import type { Change, Destination, Service, VirtualServer } from 'ipvs';

/** Destinations of each service. */
export const DESTINATIONS = 5;

export function servers(count: number, each = DESTINATIONS): VirtualServer[] {
  return Array.from({ length: count }, (_, i) => ({
    protocol: 'tcp',
    address: address(10, i),
    port: 80,
    scheduler: 'wlc',
    destinations: Array.from({ length: each }, (_, j) => destination(i * each + j)),
  }));
}

function destination(number: number): Destination {
  return { address: address(172, (16 << 16) + number), port: 8080, forward: 'masq', weight: 1 };
}

function address(first: number, rest: number): string {
  return `${first}.${(rest >> 16) & 255}.${(rest >> 8) & 255}.${rest & 255}`;
}

/** Each service before its destinations. */
export function additions(table: readonly VirtualServer[]): Change[] {
  return table.flatMap((server): Change[] => {
    const service = serviceOf(server);
    return [
      { op: 'addService', service },
      ...server.destinations.map((destination): Change => ({
        op: 'addDestination',
        service,
        destination,
      })),
    ];
  });
}

/** Sets every destination to this weight. */
export function edits(table: readonly VirtualServer[], weight: number): Change[] {
  return table.flatMap((server) => {
    const service = serviceOf(server);
    return server.destinations.map((destination): Change => ({
      op: 'setDestination',
      service,
      destination: { ...destination, weight },
    }));
  });
}

/** What `ipvsadm -R` and the floor read: ipvsadm's save format. */
export function saveFormat(table: readonly VirtualServer[]): string {
  const lines = table.flatMap((server) => {
    if ('fwmark' in server) throw new TypeError('the workload has no firewall marks');
    const service = `-t ${server.address}:${server.port}`;
    return [
      `-A ${service} -s wlc\n`,
      ...server.destinations.map(
        ({ address, port }) => `-a ${service} -r ${address}:${port} -m -w 1\n`,
      ),
    ];
  });
  return lines.join('');
}

/** A server of this workload without its destinations. */
export function serviceOf(server: VirtualServer): Service {
  if ('fwmark' in server) throw new TypeError('the workload has no firewall marks');
  const { protocol, address, port, scheduler = 'wlc' } = server;
  return { protocol, address, port, scheduler };
}
