// The keys of a state file. schema/state.schema.json has the same ones; a test holds the two together.

export const TOP = ['$schema', 'defaults', 'timeouts', 'services'] as const;

export const SERVICE_DEFAULTS = [
  'scheduler',
  'schedulerFlags',
  'persistence',
  'onePacket',
] as const;
export const DESTINATION_DEFAULTS = [
  'forward',
  'weight',
  'upperThreshold',
  'lowerThreshold',
  'tunnel',
] as const;
export const DEFAULTS = [...SERVICE_DEFAULTS, ...DESTINATION_DEFAULTS] as const;

/** What names a service beside its id. */
export const SERVICE_KEY = ['protocol', 'address', 'port', 'fwmark', 'family'] as const;
export const DESTINATION_KEY = ['address', 'port'] as const;

// What only the kernel knows is passed over, so that what `ipvs list` prints is a state too.
export const SERVICE = [
  'service',
  ...SERVICE_KEY,
  ...SERVICE_DEFAULTS,
  'destinations',
  'stats',
] as const;
export const DESTINATION = [
  'destination',
  ...DESTINATION_KEY,
  ...DESTINATION_DEFAULTS,
  'activeConnections',
  'inactiveConnections',
  'persistentConnections',
  'stats',
] as const;

/** Settings that are maps, with their keys. */
export const WITHIN: Readonly<Record<string, readonly string[]>> = {
  persistence: ['timeout', 'prefix', 'engine'],
  tunnel: ['type', 'port', 'checksum'],
};

export const TIMEOUTS = ['tcp', 'tcpFin', 'udp'] as const;
