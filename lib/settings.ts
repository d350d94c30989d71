// What may be set, checked before the kernel sees it: the kernel takes much nonsense without a word
// (unknown protocols, port 0 without persistence, netmasks of 0, upside-down ranges), and an edit replaces everything.
import { InvalidInput, show } from './errors';
import { familyOf, toAddress, toDestinationKey, toNumber, toServiceKey } from './id';
import { INT_MAX, NO_TUNNEL, plainDestination } from './plain';
import type {
  DestinationKey,
  Family,
  Forward,
  SchedulerFlag,
  ServiceKey,
  SyncDaemon,
  Timeouts,
  Tunnel,
} from './model';

/** Schedulers that Linux ships (7.1), in ipvsadm's order. */
export const SCHEDULERS = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'lblc',
  'lblcr',
  'dh',
  'sh',
  'sed',
  'nq',
  'fo',
  'ovf',
  'mh',
  'twos',
] as const;

/** Kernel modules called ip_vs_* that are no schedulers: naming one would load it and then fail. */
const NOT_SCHEDULERS = ['ftp', 'pe_sip'];

/** Thirty-one days: the longest persistence and timeout that ipvsadm takes. */
export const LONGEST_TIMEOUT = 2678400;
/** Longest name the kernel takes: IP_VS_SCHEDNAME_MAXLEN, IP_VS_PENAME_MAXLEN and IFNAMSIZ, less the NUL. */
const NAME_MAX = 15;

/** A service with every setting filled in, as it goes to the kernel. */
export interface FullService {
  readonly key: ServiceKey;
  readonly scheduler: string;
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly persistence:
    { readonly timeout: number; readonly prefix: number; readonly engine: string } | undefined;
  readonly onePacket: boolean;
}

/** A destination with every setting filled in, as it goes to the kernel. */
export interface FullDestination {
  readonly key: DestinationKey;
  readonly family: Family;
  readonly forward: Forward;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly tunnel: {
    readonly type: Tunnel['type'];
    readonly port: number;
    readonly checksum: boolean | 'remote';
  };
}

// Status fields are allowed and ignored, so that what was read can be changed and written back.
const SERVICE_NAMES = [
  'protocol',
  'address',
  'port',
  'fwmark',
  'family',
  'scheduler',
  'schedulerFlags',
  'persistence',
  'onePacket',
  'stats',
];
const DESTINATION_NAMES = [
  'address',
  'port',
  'forward',
  'weight',
  'upperThreshold',
  'lowerThreshold',
  'tunnel',
  'activeConnections',
  'inactiveConnections',
  'persistentConnections',
  'stats',
];
const DAEMON_NAMES = ['role', 'interface', 'syncId', 'group', 'port', 'ttl', 'maxLength'];

/** Checks a service as given by the caller and fills in the defaults. Throws InvalidInput. */
export function toFullService(input: unknown): FullService {
  const service = toRecord('service', input);
  if (service['destinations'] !== undefined) {
    throw new InvalidInput(
      'destinations: not a setting of a service: add each with addDestination',
    );
  }
  onlyNames('service', service, SERVICE_NAMES);
  const key = toServiceKey(service);
  const scheduler = toScheduler(service['scheduler']);
  const persistence = toPersistence(service['persistence'], familyOf(key));
  const onePacket = toBoolean('onePacket', service['onePacket']);
  if ('protocol' in key) {
    if (key.port === 0 && persistence === undefined) {
      throw new InvalidInput(
        'port: 0 takes every port only with persistence: give a port, or set persistence',
      );
    }
    if (onePacket && key.protocol !== 'udp') {
      throw new InvalidInput(
        `onePacket: only for udp and fwmark services, not ${key.protocol}: leave it out`,
      );
    }
  }
  return {
    key,
    scheduler,
    schedulerFlags: toFlags(service['schedulerFlags'], scheduler),
    persistence,
    onePacket,
  };
}

/** Checks a destination of that service as given by the caller and fills in the defaults. Throws InvalidInput. */
export function toFullDestination(service: ServiceKey, input: unknown): FullDestination {
  return plainDestination(service, input) ?? checkedDestination(service, input);
}

/** The long way, with the words for what is wrong. */
export function checkedDestination(service: ServiceKey, input: unknown): FullDestination {
  const destination = toRecord('destination', input);
  onlyNames('destination', destination, DESTINATION_NAMES);
  const key = toDestinationKey(destination);
  const family: Family = key.address.includes(':') ? 'ipv6' : 'ipv4';
  const forward = toForward(destination['forward']);
  const upperThreshold = toCount('upperThreshold', destination['upperThreshold']);
  const lowerThreshold = toCount('lowerThreshold', destination['lowerThreshold']);
  if (lowerThreshold > upperThreshold) {
    throw new InvalidInput(
      `lowerThreshold: ${lowerThreshold} is above upperThreshold ${upperThreshold}: use at most that`,
    );
  }
  if (family !== familyOf(service) && forward !== 'tunnel') {
    throw new InvalidInput(
      `address: ${key.address} is ${family} and the service is ${familyOf(service)}: only forward 'tunnel' crosses families`,
    );
  }
  if (forward !== 'masq' && 'port' in service && key.port !== service.port) {
    throw new InvalidInput(
      `port: ${forward} does not change the port: use the service's own, ${service.port}, not ${key.port}`,
    );
  }
  return {
    key,
    family,
    forward,
    weight:
      destination['weight'] === undefined
        ? 1
        : toNumber('weight', destination['weight'], 0, INT_MAX),
    upperThreshold,
    lowerThreshold,
    tunnel: toTunnel(destination['tunnel'], forward),
  };
}

/** Checks timeouts; what is left out comes back as 0, which the kernel reads as "keep". */
export function toFullTimeouts(input: unknown): Timeouts {
  const timeouts = toRecord('timeouts', input);
  onlyNames('timeouts', timeouts, ['tcp', 'tcpFin', 'udp']);
  const one = (name: string): number =>
    timeouts[name] === undefined ? 0 : toNumber(name, timeouts[name], 1, LONGEST_TIMEOUT);
  return { tcp: one('tcp'), tcpFin: one('tcpFin'), udp: one('udp') };
}

/** Checks a sync daemon to be started. */
export function toFullDaemon(input: unknown): SyncDaemon {
  const daemon = toRecord('daemon', input);
  onlyNames('daemon', daemon, DAEMON_NAMES);
  const { group, port, ttl, maxLength } = daemon;
  return {
    role: toRole(daemon['role']),
    interface: toInterface(daemon['interface']),
    syncId: daemon['syncId'] === undefined ? 0 : toNumber('syncId', daemon['syncId'], 0, 255),
    ...(group === undefined ? {} : { group: toGroup(group) }),
    ...(port === undefined ? {} : { port: toNumber('port', port, 1, 65535) }),
    ...(ttl === undefined ? {} : { ttl: toNumber('ttl', ttl, 1, 255) }),
    ...(maxLength === undefined ? {} : { maxLength: toNumber('maxLength', maxLength, 1, 65507) }),
  };
}

/** Checks a sync daemon to be stopped: the kernel looks at its role alone. */
export function toDaemonRole(input: unknown): SyncDaemon {
  const daemon = toRecord('daemon', input);
  onlyNames('daemon', daemon, DAEMON_NAMES);
  return { role: toRole(daemon['role']), interface: '', syncId: 0 };
}

function toRole(value: unknown): SyncDaemon['role'] {
  if (value === 'master' || value === 'backup') return value;
  throw new InvalidInput(`role: ${show(value)} is no role: use 'master' or 'backup'`);
}

function toInterface(value: unknown): string {
  if (
    typeof value !== 'string' ||
    !/^[^\s/\0]+$/.test(value) ||
    Buffer.byteLength(value) > NAME_MAX
  ) {
    throw new InvalidInput(
      `interface: ${show(value)} is no interface name: use 1 to ${NAME_MAX} bytes, such as 'eth0'`,
    );
  }
  return value;
}

function toGroup(value: unknown): string {
  const { address, family } = toAddress('group', value);
  const multicast = family === 'ipv6' ? /^ff/.test(address) : /^(?:22[4-9]|23\d)\./.test(address);
  if (!multicast)
    throw new InvalidInput(
      `group: ${address} is not a multicast address: use one such as 224.0.0.81 or ff02::81`,
    );
  return address;
}

function toScheduler(value: unknown): string {
  if (value === undefined) return 'wlc';
  if (
    typeof value !== 'string' ||
    !/^[a-z0-9_]{1,15}$/.test(value) ||
    NOT_SCHEDULERS.includes(value)
  ) {
    throw new InvalidInput(
      `scheduler: ${show(value)} is no scheduler: use one of ${SCHEDULERS.join(', ')}`,
    );
  }
  return value;
}

// `fallback` and `port` are what sh and mh make of the first two bits; a number names a bit for any scheduler.
function toFlags(value: unknown, scheduler: string): readonly SchedulerFlag[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    throw new InvalidInput(
      `schedulerFlags: ${show(value)} is not an array: use one such as ['port']`,
    );
  }
  const flags = new Set<SchedulerFlag>();
  for (const flag of value as unknown[]) {
    if (typeof flag !== 'string' || !FLAGS.includes(flag)) {
      throw new InvalidInput(`schedulerFlags: ${show(flag)} is no flag: use ${FLAGS.join(', ')}`);
    }
    if ((flag === 'fallback' || flag === 'port') && !namesFlags(scheduler)) {
      throw new InvalidInput(
        `schedulerFlags: ${flag} is a flag of sh and mh, not of ${scheduler}: leave it out`,
      );
    }
    flags.add(flag as SchedulerFlag);
  }
  return flagsOf(flagBits([...flags]), scheduler);
}

const FLAGS: readonly string[] = ['fallback', 'port', 'flag-1', 'flag-2', 'flag-3'];
const SCHED1 = 0x08;
const SCHED2 = 0x10;
const SCHED3 = 0x20;

function namesFlags(scheduler: string): boolean {
  return scheduler === 'sh' || scheduler === 'mh';
}

/** Scheduler flags as bits of the kernel's flags word. */
export function flagBits(flags: readonly SchedulerFlag[]): number {
  let bits = 0;
  for (const flag of flags) {
    if (flag === 'fallback' || flag === 'flag-1') bits |= SCHED1;
    else if (flag === 'port' || flag === 'flag-2') bits |= SCHED2;
    else bits |= SCHED3;
  }
  return bits;
}

/** Scheduler flags from the kernel's flags word, by the names that scheduler has for them. */
export function flagsOf(bits: number, scheduler: string): readonly SchedulerFlag[] {
  const flags: SchedulerFlag[] = [];
  if (bits & SCHED1) flags.push(namesFlags(scheduler) ? 'fallback' : 'flag-1');
  if (bits & SCHED2) flags.push(namesFlags(scheduler) ? 'port' : 'flag-2');
  if (bits & SCHED3) flags.push('flag-3');
  return flags;
}

function toPersistence(value: unknown, family: Family): FullService['persistence'] {
  if (value === undefined) return undefined;
  const persistence = toRecord('persistence', value);
  onlyNames('persistence', persistence, ['timeout', 'prefix', 'engine']);
  const bits = family === 'ipv4' ? 32 : 128;
  const { prefix, engine } = persistence;
  if (engine !== undefined && (typeof engine !== 'string' || !/^[a-z0-9_]{1,15}$/.test(engine))) {
    throw new InvalidInput(
      `persistence.engine: ${show(engine)} is no engine name: use 'sip', or leave it out`,
    );
  }
  return {
    timeout: toNumber('persistence.timeout', persistence['timeout'], 1, LONGEST_TIMEOUT),
    prefix: prefix === undefined ? bits : toNumber('persistence.prefix', prefix, 1, bits),
    engine: engine ?? '',
  };
}

function toForward(value: unknown): Forward {
  if (value === undefined) return 'masq';
  if (value === 'masq' || value === 'tunnel' || value === 'route') return value;
  const why =
    value === 'local' || value === 'bypass' ? "is the kernel's own" : 'is no forward method';
  throw new InvalidInput(`forward: ${show(value)} ${why}: use 'masq', 'route' or 'tunnel'`);
}

function toTunnel(value: unknown, forward: Forward): FullDestination['tunnel'] {
  if (value === undefined) return NO_TUNNEL;
  const tunnel = toRecord('tunnel', value);
  onlyNames('tunnel', tunnel, ['type', 'port', 'checksum']);
  if (forward !== 'tunnel') {
    throw new InvalidInput(`tunnel: only for forward 'tunnel', not '${forward}': leave it out`);
  }
  const { type, port, checksum = false } = tunnel;
  if (type !== 'ipip' && type !== 'gue' && type !== 'gre') {
    throw new InvalidInput(`tunnel.type: ${show(type)} is no tunnel: use 'ipip', 'gue' or 'gre'`);
  }
  if (checksum !== 'remote' && typeof checksum !== 'boolean') {
    throw new InvalidInput(
      `tunnel.checksum: ${show(checksum)} is neither true, false nor 'remote'`,
    );
  }
  if ((checksum === 'remote' && type !== 'gue') || (checksum === true && type === 'ipip')) {
    throw new InvalidInput(
      `tunnel.checksum: ${type} has no checksum ${show(checksum)}: leave it out`,
    );
  }
  if (type !== 'gue' && port !== undefined) {
    throw new InvalidInput(`tunnel.port: ${type} has no port: leave it out`);
  }
  return { type, port: type === 'gue' ? toNumber('tunnel.port', port, 1, 65535) : 0, checksum };
}

function toCount(what: string, value: unknown): number {
  return value === undefined ? 0 : toNumber(what, value, 0, INT_MAX);
}

function toBoolean(what: string, value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw new InvalidInput(`${what}: ${show(value)} is not a boolean: use true or false`);
}

function toRecord(what: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new InvalidInput(`${what}: ${show(value)} is not an object`);
}

/** Refuses keys nobody reads: a misspelt setting would silently leave its default in force. */
export function onlyNames(
  what: string,
  value: Readonly<Record<string, unknown>>,
  names: readonly string[],
): void {
  for (const name in value) {
    if (value[name] === undefined || names.includes(name)) continue;
    throw new InvalidInput(noSuchSetting(what, name, names));
  }
}

/** What to say of a key that nobody reads. */
export function noSuchSetting(what: string, name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  const hint = near === undefined ? `${what} takes ${names.join(', ')}` : `did you mean ${near}?`;
  return `${name}: no such setting of a ${what}: ${hint}`;
}

function nearest(name: string, names: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_]/g, '');
  return names.find(
    (candidate) => plain(candidate) === plain(name) || distance(plain(candidate), plain(name)) <= 2,
  );
}

// Levenshtein, on names of a few letters.
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
