// What `ipvs list` shows of services and destinations, one view at a time.
import { destinationId, familyOf, serviceId } from '../id';
import type { DestinationStatus, ServiceStatus, Stats, VirtualServerStatus } from '../model';
import { count } from './numbers';
import type { Cell, Column, Table } from './table';

export type View = 'connections' | 'stats' | 'rates' | 'thresholds' | 'tunnels' | 'persistent';

/** The cells of a view, after the name that every row begins with. */
interface Shape {
  readonly columns: readonly Column[];
  readonly service: (server: VirtualServerStatus, exact: boolean) => readonly Cell[];
  readonly destination: (destination: DestinationStatus, exact: boolean) => readonly Cell[];
}

export function serverTable(
  servers: readonly VirtualServerStatus[],
  view: View,
  exact: boolean,
): Table {
  const shape = SHAPES[view];
  const rows: Cell[][] = [];
  for (const server of servers) {
    rows.push([{ text: serviceId(server), style: 'bold' }, ...shape.service(server, exact)]);
    for (const destination of server.destinations) {
      rows.push([`  -> ${destinationId(destination)}`, ...shape.destination(destination, exact)]);
    }
  }
  return { columns: [{ title: 'SERVICE' }, ...shape.columns], rows };
}

const right = (title: string): Column => ({ title, align: 'right' });

const SHAPES: Readonly<Record<View, Shape>> = {
  connections: {
    columns: [
      { title: 'SCHEDULER' },
      { title: 'FORWARD' },
      right('WEIGHT'),
      right('ACTIVE'),
      right('INACTIVE'),
      { title: 'DETAILS' },
    ],
    service: (server) => [server.scheduler, '', '', ...totals(server), serviceDetails(server)],
    destination: (destination) => [
      '',
      destination.forward,
      weight(destination),
      ...connections(destination),
      destinationDetails(destination),
    ],
  },
  stats: {
    columns: ['CONNECTIONS', 'PACKETS IN', 'PACKETS OUT', 'BYTES IN', 'BYTES OUT'].map(right),
    service: ({ stats }, exact) => counters(stats, exact),
    destination: ({ stats }, exact) => counters(stats, exact),
  },
  rates: {
    columns: ['CONNECTIONS/S', 'PACKETS IN/S', 'PACKETS OUT/S', 'BYTES IN/S', 'BYTES OUT/S'].map(
      right,
    ),
    service: ({ stats }, exact) => rates(stats, exact),
    destination: ({ stats }, exact) => rates(stats, exact),
  },
  thresholds: {
    columns: ['UPPER', 'LOWER', 'ACTIVE', 'INACTIVE'].map(right),
    service: (server) => ['', '', ...totals(server)],
    destination: (destination) => [
      limit(destination.upperThreshold),
      limit(destination.lowerThreshold),
      ...connections(destination),
    ],
  },
  tunnels: {
    columns: [{ title: 'FORWARD' }, { title: 'TUNNEL' }, right('PORT'), { title: 'CHECKSUM' }],
    service: () => [],
    destination: ({ forward, tunnel }) => [
      forward,
      tunnel?.type ?? '',
      tunnel?.port === undefined ? '' : String(tunnel.port),
      tunnel === undefined ? '' : checksum(tunnel.checksum),
    ],
  },
  persistent: {
    columns: ['WEIGHT', 'PERSISTENT', 'ACTIVE', 'INACTIVE'].map(right),
    service: (server) => ['', String(sum(server, 'persistentConnections')), ...totals(server)],
    destination: (destination) => [
      weight(destination),
      String(destination.persistentConnections),
      ...connections(destination),
    ],
  },
};

function counters({ connections, packets, bytes }: Stats, exact: boolean): Cell[] {
  return [connections, packets.in, packets.out, bytes.in, bytes.out].map((n) => count(n, exact));
}

function rates({ perSecond }: Stats, exact: boolean): Cell[] {
  const { connections, packetsIn, packetsOut, bytesIn, bytesOut } = perSecond;
  return [connections, packetsIn, packetsOut, bytesIn, bytesOut].map((n) => count(n, exact));
}

// The kernel keeps these for destinations alone.
function totals(server: VirtualServerStatus): Cell[] {
  return [String(sum(server, 'activeConnections')), String(sum(server, 'inactiveConnections'))];
}

function sum(
  { destinations }: VirtualServerStatus,
  name: 'activeConnections' | 'inactiveConnections' | 'persistentConnections',
): number {
  return destinations.reduce((total, destination) => total + destination[name], 0);
}

function connections(destination: DestinationStatus): Cell[] {
  return [String(destination.activeConnections), String(destination.inactiveConnections)];
}

// Weight 0 takes no new connections: worth an eye.
function weight(destination: DestinationStatus): Cell {
  const text = String(destination.weight);
  return destination.weight === 0 ? { text, style: 'yellow' } : text;
}

function limit(threshold: number): Cell {
  return threshold === 0 ? { text: '-', style: 'dim' } : String(threshold);
}

function checksum(value: boolean | 'remote' | undefined): string {
  if (value === 'remote') return 'remote';
  return value === true ? 'yes' : 'no';
}

function serviceDetails(service: ServiceStatus): string {
  const { persistence, schedulerFlags, onePacket } = service;
  const details: string[] = [];
  if (schedulerFlags.length > 0) details.push(`flags ${schedulerFlags.join(',')}`);
  if (persistence !== undefined) {
    const { timeout, prefix, engine } = persistence;
    // Every client apart goes without saying.
    const apart = prefix === undefined || prefix === (familyOf(service) === 'ipv4' ? 32 : 128);
    details.push(`persistent ${timeout}s${apart ? '' : ` prefix ${prefix}`}`);
    if (engine !== undefined) details.push(`engine ${engine}`);
  }
  if (onePacket) details.push('one-packet');
  return details.join(', ');
}

function destinationDetails(destination: DestinationStatus): string {
  const { tunnel, upperThreshold, lowerThreshold } = destination;
  const details: string[] = [];
  if (tunnel !== undefined) {
    const port = tunnel.port === undefined ? '' : ` port ${tunnel.port}`;
    const sum = tunnel.checksum === undefined || tunnel.checksum === false ? '' : ' checksum';
    details.push(`${tunnel.type}${port}${sum}${tunnel.checksum === 'remote' ? ' remote' : ''}`);
  }
  if (upperThreshold > 0) details.push(`upper ${upperThreshold}`);
  if (lowerThreshold > 0) details.push(`lower ${lowerThreshold}`);
  return details.join(', ');
}
