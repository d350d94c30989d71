// Rows as the kernel in memory answers them: what was set is kept as the very bytes that crossed the border.
import type { Stats } from '../model';
import { LAYOUT, Records } from '../records';

const SERVICE = LAYOUT.ServiceRow;
const DESTINATION = LAYOUT.DestinationRow;
const KEY_SIZE = LAYOUT.ServiceKey.size;
const SETTINGS_SIZE = LAYOUT.ServiceSettings.size;
/** Address, family and port: what tells destinations of a service apart. */
const DESTINATION_KEY_SIZE = LAYOUT.DestinationSettings.forward;

/** Live connections of a destination. */
export interface Connections {
  readonly active: number;
  readonly inactive: number;
  readonly persistent: number;
}

export interface DestinationEntry {
  /** DestinationSettings */
  settings: Uint8Array;
  connections: Connections;
  stats: Stats | undefined;
}

export interface ServiceEntry {
  /** ServiceKey */
  readonly key: Uint8Array;
  /** ServiceSettings */
  settings: Uint8Array;
  /** By identity, oldest first. */
  readonly destinations: Map<string, DestinationEntry>;
  stats: Stats | undefined;
}

/** Identity of the service that a ChangeRecord names, as a key for maps. */
export function serviceIdentity(from: Records, row: number): string {
  return text(serviceKeyBytes(from, row));
}

/** Identity of the destination that a ChangeRecord names. */
export function destinationIdentity(from: Records, row: number): string {
  return text(settingsBytes(from, row).subarray(0, DESTINATION_KEY_SIZE));
}

export function serviceKeyBytes(from: Records, row: number): Uint8Array {
  const at = row * LAYOUT.ChangeRecord.size + LAYOUT.ChangeRecord.service;
  return from.bytes.subarray(at, at + KEY_SIZE);
}

/** Settings of the service or the destination that a ChangeRecord carries. */
export function settingsBytes(from: Records, row: number): Uint8Array {
  const at = row * LAYOUT.ChangeRecord.size + LAYOUT.ChangeRecord.settings;
  return from.bytes.subarray(at, at + SETTINGS_SIZE);
}

export function serviceRows(services: readonly ServiceEntry[]): ArrayBuffer {
  const to = Records.of(SERVICE.size, services.length);
  services.forEach(({ key, settings, stats }, row) => {
    const at = row * SERVICE.size;
    to.bytes.set(key, at + SERVICE.service);
    to.bytes.set(settings, at + SERVICE.settings);
    writeStats(to, at + SERVICE.stats, stats);
  });
  return to.buffer;
}

/** Destinations of the services asked for, newest first; of a service that is not there, none. */
export function destinationRows(services: readonly (ServiceEntry | undefined)[]): ArrayBuffer {
  const rows = services.flatMap((service, owner) =>
    [...(service?.destinations.values() ?? [])].reverse().map((entry) => ({ owner, entry })),
  );
  const to = Records.of(DESTINATION.size, rows.length);
  rows.forEach(({ owner, entry: { settings, connections, stats } }, row) => {
    const at = row * DESTINATION.size;
    to.bytes.set(settings, at + DESTINATION.destination);
    to.u32[(at + DESTINATION.service) >> 2] = owner;
    to.u32[(at + DESTINATION.active_connections) >> 2] = connections.active;
    to.u32[(at + DESTINATION.inactive_connections) >> 2] = connections.inactive;
    to.u32[(at + DESTINATION.persistent_connections) >> 2] = connections.persistent;
    writeStats(to, at + DESTINATION.stats, stats);
  });
  return to.buffer;
}

function writeStats(to: Records, offset: number, stats: Stats | undefined): void {
  if (stats === undefined) return;
  const { connections, packets, bytes, perSecond } = stats;
  new BigUint64Array(to.buffer, offset, LAYOUT.StatsRecord.size / 8).set([
    connections,
    packets.in,
    packets.out,
    bytes.in,
    bytes.out,
    BigInt(perSecond.connections),
    BigInt(perSecond.packetsIn),
    BigInt(perSecond.packetsOut),
    BigInt(perSecond.bytesIn),
    BigInt(perSecond.bytesOut),
  ]);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
