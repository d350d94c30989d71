// The one text of a state: sorted, without what goes without saying, a destination a line.
import { InvalidInput, IpvsError } from '../errors';
import { destinationId, serviceId } from '../id';
import type { Destination, Service, ServiceKey, Timeouts, VirtualServer } from '../model';
import { inOrder } from '../order';
import { toFullDestination, toFullService, toFullTimeouts } from '../settings';
import { TIMEOUTS } from './names';
import type { State } from './parse';
import { settled, slimDestination, slimService } from './slim';

/** @public */
export interface PrintOptions {
  /** @defaultValue `'yaml'` */
  readonly format?: 'yaml' | 'json';
}

/**
 * The canonical text of a state: the same for the same state, whatever its order and whichever defaults are spelt out.
 * What the kernel alone knows is left out. Throws IpvsError `ERR_IPVS_INVALID` for what no state file can say.
 * @public
 */
export function printState(state: State, { format = 'yaml' }: PrintOptions = {}): string {
  const services = inOrder(state.services).map(tryServer);
  const timeouts = state.timeouts === undefined ? {} : plainTimeouts(state.timeouts);
  const some = Object.keys(timeouts).length > 0;
  if (format === 'json') {
    return `${JSON.stringify({ ...(some ? { timeouts } : {}), services }, null, 2)}\n`;
  }
  const lines: string[] = [];
  if (some) lines.push('timeouts:', ...settingLines(timeouts, '  '));
  lines.push(services.length === 0 ? 'services: []' : 'services:');
  return `${lines.concat(services.flatMap(serviceLines)).join('\n')}\n`;
}

type Plain = Readonly<Record<string, unknown>>;
type PlainServer = Plain & { readonly destinations: readonly (string | Plain)[] };

// What other programs put in the kernel may be what nobody can ask for.
function tryServer(server: VirtualServer): PlainServer {
  try {
    return plainServer(server);
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new IpvsError(`printState ${serviceId(server)}: ${error.problem}`, {
      code: 'ERR_IPVS_INVALID',
      operation: 'printState',
      service: server,
    });
  }
}

function plainServer({ destinations, ...service }: VirtualServer): PlainServer {
  const full = toFullService(service);
  const settings = slimService(full);
  return {
    service: serviceId(full.key),
    ...pick(settings, SERVICE),
    destinations: destinations.map((destination) => plainDestination(full.key, destination)),
  };
}

function plainDestination(service: ServiceKey, destination: Destination): string | Plain {
  const full = toFullDestination(service, settled(destination));
  const settings = pick(slimDestination(full), DESTINATION);
  const id = destinationId(full.key);
  return Object.keys(settings).length === 0 ? id : { destination: id, ...settings };
}

function plainTimeouts(timeouts: Partial<Timeouts>): Plain {
  const full = toFullTimeouts(timeouts);
  return Object.fromEntries(
    TIMEOUTS.filter((name) => full[name] > 0).map((name) => [name, full[name]]),
  );
}

const SERVICE = ['scheduler', 'schedulerFlags', 'persistence', 'onePacket'];
const DESTINATION = ['forward', 'weight', 'upperThreshold', 'lowerThreshold', 'tunnel'];

function pick(from: Service | Destination, names: readonly string[]): Plain {
  const all = { ...from } as Plain;
  return Object.fromEntries(
    names.filter((name) => all[name] !== undefined).map((name) => [name, all[name]]),
  );
}

function serviceLines({ service, destinations, ...settings }: PlainServer): string[] {
  const lines = [`  - service: ${scalar(service)}`, ...settingLines(settings, '    ')];
  if (destinations.length === 0) return [...lines, '    destinations: []'];
  return [
    ...lines,
    '    destinations:',
    ...destinations.map((destination) => `      - ${inline(destination)}`),
  ];
}

function settingLines(settings: Plain, indent: string): string[] {
  return Object.entries(settings).map(([name, value]) => `${indent}${name}: ${inline(value)}`);
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(scalar).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return scalar(value);
  const entries = Object.entries(value).map(([name, each]) => `${name}: ${inline(each)}`);
  return `{ ${entries.join(', ')} }`;
}

/** Words that are values of another type to some reader of YAML. */
const RESERVED = /^(?:true|false|null|yes|no|on|off|y|n)$/;

function scalar(value: unknown): string {
  const text = String(value);
  if (typeof value !== 'string') return text;
  // Ids of IPv4, and names; an id of IPv6 has brackets, which begin a list.
  const isPlain = /^(?:[a-z][a-z0-9_-]*|[a-z]+:\/\/[0-9.]+:\d+|fwmark6?:\d+|[0-9.]+:\d+)$/.test(
    text,
  );
  return isPlain && !RESERVED.test(text) ? text : JSON.stringify(text);
}
