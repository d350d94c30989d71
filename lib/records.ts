// The packed records that cross the border, to and from the model. How they are laid out is in layout.ts.
import { formatAddress, writeAddress } from './address';
import { familyOf } from './id';
import { LAYOUT, Records } from './layout';
import type {
  Destination,
  DestinationStatus,
  Family,
  Forward,
  Info,
  Persistence,
  Protocol,
  Service,
  ServiceKey,
  ServiceStatus,
  Stats,
  SyncDaemon,
  Timeouts,
  Tunnel,
} from './model';
import { NO_TUNNEL } from './plain';
import { flagBits, flagsOf, type FullDestination, type FullService } from './settings';

export { Command, LAYOUT, NOT_TRIED, Records, rowCount } from './layout';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;
const PERSISTENT = 0x01;
const ONE_PACKET = 0x04;
export const FORWARDS: readonly Forward[] = ['masq', 'local', 'tunnel', 'route', 'bypass'];
const TUNNELS: readonly Tunnel['type'][] = ['ipip', 'gue', 'gre'];
const CHECKSUM = 1;
const REMOTE_CHECKSUM = 2;

const CHANGE = LAYOUT.ChangeRecord;
const KEY = LAYOUT.ServiceKey;
const SETTINGS = LAYOUT.ServiceSettings;
const DESTINATION = LAYOUT.DestinationSettings;
const SERVICE_ROW = LAYOUT.ServiceRow;
const DESTINATION_ROW = LAYOUT.DestinationRow;
const DAEMON = LAYOUT.DaemonRecord;

// ---------- writing ----------

/** Writes a service's identity at `offset`, over zeros; the key must be canonical. */
export function writeServiceKey(to: Records, offset: number, key: ServiceKey): void {
  if ('fwmark' in key) {
    to.u16[(offset + KEY.family) >> 1] = key.family === 'ipv6' ? AF_INET6 : AF_INET;
    to.u32[(offset + KEY.fwmark) >> 2] = key.fwmark;
    return;
  }
  const family = writeAddress(key.address, to.bytes, offset + KEY.address);
  to.u16[(offset + KEY.family) >> 1] = family === 'ipv6' ? AF_INET6 : AF_INET;
  to.u16[(offset + KEY.protocol) >> 1] = PROTOCOL_NUMBERS[key.protocol];
  to.u16[(offset + KEY.port) >> 1] = key.port;
}

/** Writes a change of a service; `key` alone is enough to delete it or to ask for it. */
export function writeServiceChange(
  to: Records,
  row: number,
  command: number,
  key: ServiceKey,
  service?: FullService,
): void {
  const offset = row * CHANGE.size;
  to.clear(offset, CHANGE.size);
  to.u32[offset >> 2] = command;
  writeServiceKey(to, offset + CHANGE.service, key);
  if (service !== undefined) writeServiceSettings(to, offset + CHANGE.settings, service);
}

export function writeServiceSettings(to: Records, offset: number, service: FullService): void {
  const { persistence } = service;
  const bits = familyOf(service.key) === 'ipv4' ? 32 : 128;
  to.u32[(offset + SETTINGS.flags) >> 2] =
    flagBits(service.schedulerFlags) |
    (persistence === undefined ? 0 : PERSISTENT) |
    (service.onePacket ? ONE_PACKET : 0);
  to.u32[(offset + SETTINGS.timeout) >> 2] = persistence?.timeout ?? 0;
  to.u32[(offset + SETTINGS.netmask) >> 2] = toNetmask(persistence?.prefix ?? bits, bits);
  to.setName(offset + SETTINGS.scheduler, service.scheduler);
  to.setName(offset + SETTINGS.engine, persistence?.engine ?? '');
}

/** Writes a change of a destination whose service key has been written already at the same row. */
export function writeDestination(to: Records, row: number, destination: FullDestination): void {
  const offset = row * CHANGE.size + CHANGE.destination;
  const { key, tunnel } = destination;
  writeAddress(key.address, to.bytes, offset + DESTINATION.address);
  to.u16[(offset + DESTINATION.family) >> 1] = destination.family === 'ipv6' ? AF_INET6 : AF_INET;
  to.u16[(offset + DESTINATION.port) >> 1] = key.port;
  to.u32[(offset + DESTINATION.forward) >> 2] = FORWARDS.indexOf(destination.forward);
  to.u32[(offset + DESTINATION.weight) >> 2] = destination.weight;
  to.u32[(offset + DESTINATION.upper_threshold) >> 2] = destination.upperThreshold;
  to.u32[(offset + DESTINATION.lower_threshold) >> 2] = destination.lowerThreshold;
  to.bytes[offset + DESTINATION.tunnel_type] = TUNNELS.indexOf(tunnel.type);
  to.u16[(offset + DESTINATION.tunnel_port) >> 1] = tunnel.port;
  to.u16[(offset + DESTINATION.tunnel_flags) >> 1] =
    tunnel.checksum === 'remote' ? REMOTE_CHECKSUM : tunnel.checksum ? CHECKSUM : 0;
}

/** Identity of a destination alone, in the shape that writeDestination takes. */
export function keyOnly(key: FullDestination['key']): FullDestination {
  return {
    key,
    family: key.address.includes(':') ? 'ipv6' : 'ipv4',
    forward: 'masq',
    weight: 0,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnel: NO_TUNNEL,
  };
}

export function writeTimeouts(timeouts: Timeouts): Uint8Array {
  const { bytes, u32 } = Records.of(LAYOUT.TimeoutsRecord.size, 1);
  u32.set([timeouts.tcp, timeouts.tcpFin, timeouts.udp]);
  return bytes;
}

export function writeDaemon(daemon: SyncDaemon): Uint8Array {
  const to = Records.of(DAEMON.size, 1);
  const { group, maxLength, port, ttl } = daemon;
  to.u32[DAEMON.state >> 2] = daemon.role === 'master' ? 1 : 2;
  to.u32[DAEMON.sync_id >> 2] = daemon.syncId;
  to.u32[DAEMON.has >> 2] =
    (maxLength === undefined ? 0 : 1) | (port === undefined ? 0 : 2) | (ttl === undefined ? 0 : 4);
  if (group !== undefined) {
    const family = writeAddress(group, to.bytes, DAEMON.group);
    to.u16[DAEMON.group_family >> 1] = family === 'ipv6' ? AF_INET6 : AF_INET;
  }
  to.u16[DAEMON.max_length >> 1] = maxLength ?? 0;
  to.u16[DAEMON.port >> 1] = port ?? 0;
  to.bytes[DAEMON.ttl] = ttl ?? 0;
  to.setName(DAEMON.interface, daemon.interface);
  return to.bytes;
}

function toNetmask(prefix: number, bits: number): number {
  if (bits === 128) return prefix;
  return prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
}

// ---------- reading ----------

// Most rows of a big table have counted nothing: they share these, which saves most of the memory of reading it.
const NO_STATS: Stats = Object.freeze({
  connections: 0n,
  packets: Object.freeze({ in: 0n, out: 0n }),
  bytes: Object.freeze({ in: 0n, out: 0n }),
  perSecond: Object.freeze({
    connections: 0,
    packetsIn: 0,
    packetsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
  }),
});

const LOW_FIRST = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function u64(from: Records, offset: number): bigint {
  const first = from.get32(offset);
  const second = from.get32(offset + 4);
  const [low, high] = LOW_FIRST ? [first, second] : [second, first];
  return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low);
}

export function readStats(from: Records, offset: number): Stats {
  const { u32 } = from;
  const start = offset >> 2;
  let any = 0;
  for (let i = 0; i < LAYOUT.StatsRecord.size >> 2; i++) any |= u32[start + i] ?? 0;
  if (any === 0) return NO_STATS;
  const rate = (index: number): number => Number(u64(from, offset + 40 + 8 * index));
  return {
    connections: u64(from, offset),
    packets: { in: u64(from, offset + 8), out: u64(from, offset + 16) },
    bytes: { in: u64(from, offset + 24), out: u64(from, offset + 32) },
    perSecond: {
      connections: rate(0),
      packetsIn: rate(1),
      packetsOut: rate(2),
      bytesIn: rate(3),
      bytesOut: rate(4),
    },
  };
}

export function readServiceKey(from: Records, offset: number): ServiceKey {
  const family = from.get16(offset + KEY.family) === AF_INET6 ? 'ipv6' : 'ipv4';
  const fwmark = from.get32(offset + KEY.fwmark);
  if (fwmark !== 0) return { fwmark, family };
  return {
    protocol: readProtocol(from.get16(offset + KEY.protocol)),
    address: formatAddress(from.bytes, offset + KEY.address, family),
    port: from.get16(offset + KEY.port),
  };
}

// The kernel takes any protocol number from a program that sends one; such a service is shown, not hidden.
function readProtocol(number: number): Protocol {
  if (number === 6) return 'tcp';
  if (number === 17) return 'udp';
  return number === 132 ? 'sctp' : (`ip-${number}` as Protocol);
}

export function readService(from: Records, row: number): ServiceStatus {
  const offset = row * SERVICE_ROW.size;
  const at = offset + SERVICE_ROW.settings;
  const key = readServiceKey(from, offset + SERVICE_ROW.service);
  const flags = from.get32(at + SETTINGS.flags);
  const scheduler = from.name(at + SETTINGS.scheduler);
  const schedulerFlags = flagsOf(flags, scheduler);
  const onePacket = (flags & ONE_PACKET) !== 0;
  const stats = readStats(from, offset + SERVICE_ROW.stats);
  if ((flags & PERSISTENT) !== 0) {
    const persistence = readPersistence(from, at, familyOf(key));
    return Object.assign(key, { scheduler, schedulerFlags, onePacket, persistence, stats });
  }
  // Spelt out: a spread in front of other fields gives each object a hidden class of its own, which is slow to make and to
  // read.
  if ('fwmark' in key) {
    const { fwmark, family } = key;
    return { fwmark, family, scheduler, schedulerFlags, onePacket, stats };
  }
  const { protocol, address, port } = key;
  return { protocol, address, port, scheduler, schedulerFlags, onePacket, stats };
}

function readPersistence(from: Records, at: number, family: Family): Persistence {
  const engine = from.name(at + SETTINGS.engine);
  const netmask = from.get32(at + SETTINGS.netmask);
  return {
    timeout: from.get32(at + SETTINGS.timeout),
    // A mask with holes, which other tools can set, is given by its leading bits.
    prefix: family === 'ipv6' ? netmask : Math.clz32(~netmask >>> 0),
    ...(engine === '' ? {} : { engine }),
  };
}

/** Index of the service, among those asked for, that this destination belongs to. */
export function readOwner(from: Records, row: number): number {
  return from.get32(row * DESTINATION_ROW.size + DESTINATION_ROW.service);
}

export function readDestination(from: Records, row: number): DestinationStatus {
  const offset = row * DESTINATION_ROW.size;
  const at = offset + DESTINATION_ROW.destination;
  const forward =
    FORWARDS[from.get32(at + DESTINATION.forward)] ??
    (`method-${from.get32(at + DESTINATION.forward)}` as Forward);
  const status = {
    address: formatAddress(
      from.bytes,
      at + DESTINATION.address,
      from.get16(at + DESTINATION.family) === AF_INET6 ? 'ipv6' : 'ipv4',
    ),
    port: from.get16(at + DESTINATION.port),
    forward,
    weight: from.get32(at + DESTINATION.weight),
    upperThreshold: from.get32(at + DESTINATION.upper_threshold),
    lowerThreshold: from.get32(at + DESTINATION.lower_threshold),
    activeConnections: from.get32(offset + DESTINATION_ROW.active_connections),
    inactiveConnections: from.get32(offset + DESTINATION_ROW.inactive_connections),
    persistentConnections: from.get32(offset + DESTINATION_ROW.persistent_connections),
    stats: readStats(from, offset + DESTINATION_ROW.stats),
  };
  return forward === 'tunnel' ? Object.assign(status, { tunnel: readTunnel(from, at) }) : status;
}

type Connections = Pick<
  DestinationStatus,
  'activeConnections' | 'inactiveConnections' | 'persistentConnections'
>;

/** A service without its counters. */
export function readServiceReading(from: Records, row: number): Service {
  // The row is ours, and nobody else has seen it.
  const service: Service & { stats?: Stats } = readService(from, row);
  delete service.stats;
  return service;
}

/** A destination without its counters; one of weight 0 with its connections, which is what a drain waits for. */
export function readDestinationReading(
  from: Records,
  row: number,
): Destination & Partial<Connections> {
  const status = readDestination(from, row);
  const { address, port, forward, weight, upperThreshold, lowerThreshold, tunnel } = status;
  const { activeConnections, inactiveConnections, persistentConnections } = status;
  const settings = { address, port, forward, weight, upperThreshold, lowerThreshold };
  if (tunnel === undefined && weight !== 0) return settings;
  return Object.assign(
    settings,
    tunnel === undefined ? {} : { tunnel },
    weight === 0 ? { activeConnections, inactiveConnections, persistentConnections } : {},
  );
}

function readTunnel(from: Records, at: number): Tunnel {
  const number = from.bytes[at + DESTINATION.tunnel_type] ?? 0;
  const type = TUNNELS[number] ?? (`tunnel-${number}` as Tunnel['type']);
  if (type === 'ipip') return { type };
  const flags = from.get16(at + DESTINATION.tunnel_flags);
  const checksum = flags & REMOTE_CHECKSUM ? 'remote' : (flags & CHECKSUM) !== 0;
  return type === 'gue'
    ? { type, port: from.get16(at + DESTINATION.tunnel_port), checksum }
    : { type, checksum };
}

export function readInfo(reply: ArrayBuffer): Info {
  const [version = 0, connectionTableSize = 0] = new Records(reply).u32;
  return {
    version: `${(version >> 16) & 0xff}.${(version >> 8) & 0xff}.${version & 0xff}`,
    connectionTableSize,
  };
}

export function readTimeouts(reply: ArrayBuffer): Timeouts {
  const [tcp = 0, tcpFin = 0, udp = 0] = new Records(reply).u32;
  return { tcp, tcpFin, udp };
}

export function readDaemon(from: Records, row: number): SyncDaemon {
  const offset = row * DAEMON.size;
  const has = from.get32(offset + DAEMON.has);
  const group = from.get16(offset + DAEMON.group_family);
  return {
    role: from.get32(offset + DAEMON.state) === 1 ? 'master' : 'backup',
    interface: from.name(offset + DAEMON.interface),
    syncId: from.get32(offset + DAEMON.sync_id),
    ...(group === 0
      ? {}
      : {
          group: formatAddress(
            from.bytes,
            offset + DAEMON.group,
            group === AF_INET6 ? 'ipv6' : 'ipv4',
          ),
        }),
    ...(has & 2 ? { port: from.get16(offset + DAEMON.port) } : {}),
    ...(has & 4 ? { ttl: from.bytes[offset + DAEMON.ttl] ?? 0 } : {}),
    ...(has & 1 ? { maxLength: from.get16(offset + DAEMON.max_length) } : {}),
  };
}

/** One ChangeRecord that only names a service. */
export function keyRequest(key: ServiceKey): Uint8Array {
  const to = Records.of(CHANGE.size, 1);
  writeServiceChange(to, 0, 0, key);
  return to.bytes;
}

/** ChangeRecords that name the services of rows `from`…`to` of a dump, copied without decoding them: over `spare`, if it fits. */
export function keyRequests(
  rows: Records,
  from: number,
  to: number,
  spare = Records.of(0, 0),
): Records {
  const size = CHANGE.size * (to - from);
  const request = spare.bytes.length === size ? spare : Records.of(CHANGE.size, to - from);
  for (let row = from; row < to; row++) {
    const key = (row - from) * CHANGE.size + CHANGE.service;
    request.copy(key, KEY.size, rows, row * SERVICE_ROW.size + SERVICE_ROW.service);
  }
  return request;
}
