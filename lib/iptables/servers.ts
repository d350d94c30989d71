// Virtual servers that did not come from Kubernetes, as a service map: what rules can do of what IPVS can.
import { joinHostPort, parseAddress } from '../address';
import { InvalidInput, IpvsError, show } from '../errors';
import { destinationId, familyOf, serviceId, toDestinationKey, toServiceKey } from '../id';
import { compareText, toRecord } from '../kube/read';
import type { Endpoint, ServiceMap, ServicePort } from '../kube/types';
import type { AddressKey, VirtualServer } from '../model';
import {
  onlyNames,
  toFullDestination,
  toFullService,
  type FullDestination,
  type FullService,
} from '../settings';
import type { FromServersOptions } from './types';

/**
 * Virtual servers as a service map, for `iptablesProgram`. Each becomes one port, called by its id, such as
 * `tcp://10.0.0.1:80` or `udp://[2001:db8::1]:53`: no service of Kubernetes can have such a name. As with those, its
 * chains are named by a hash of name and protocol, and comments carry the name: whoever reads rules back has the key of
 * the service from the name alone.
 *
 * New connections go to destinations at random: in equal shares where the scheduler is `rr`, by weight where it is `wrr`,
 * all to the greatest weight where it is `fo`. Persistence is by client address. A destination of weight 0 keeps the
 * connections it has and gets no new one, not from persistent clients either (as IPVS does where
 * `expire_quiescent_template` is set); its chain stays, and nothing leads there. A server without a destination that takes
 * connections refuses them. Source addresses are kept, as IPVS keeps them, but where options of the program ask for
 * masquerading.
 *
 * What rules can come near to is reported in `problems`, and refused or approximated as `unsupported` says: other
 * schedulers (`wlc`, the default of a service, is one), thresholds, `onePacket`, persistence engines. What they cannot do at
 * all is always left out and reported: services by firewall mark or of every port, and forward methods other than `masq`.
 *
 * Pure. Throws IpvsError `ERR_IPVS_INVALID` for a server that IPVS would not take, and for one or a destination of it that
 * is there twice.
 * @public
 */
export function fromServers(
  servers: Iterable<VirtualServer>,
  options: FromServersOptions = {},
): ServiceMap {
  const approximate = toApproximate(options);
  const ports = new Map<string, ServicePort | undefined>();
  const problems: string[] = [];
  for (const server of toIterable(servers)) {
    const { id, port, problem, foreign } = fromServer(server, approximate);
    if (problem !== undefined) problems.push(problem);
    if (foreign) continue;
    if (ports.has(id)) throw twice(id);
    ports.set(id, port);
  }
  const found = [...ports.values()].filter((port) => port !== undefined);
  return {
    ports: found.sort((a, b) => compareText(a.name, b.name)),
    healthChecks: [],
    problems: problems.sort(compareText),
  };
}

/** What becomes of one server. */
export interface FromServer {
  readonly id: string;
  /** Undefined: it is left out. */
  readonly port: ServicePort | undefined;
  /** A line: left out or approximated, and why. */
  readonly problem: string | undefined;
  /** Of a protocol that is none of ours. */
  readonly foreign: boolean;
}

/** Throws InvalidInput for a server that IPVS would not take. */
export function fromServer(server: unknown, approximate: boolean): FromServer {
  const other = foreignOf(server);
  if (other !== undefined) {
    const problem = `${other}: left out: there are rules for tcp, udp and sctp alone`;
    return { id: other, port: undefined, problem, foreign: true };
  }
  const { full, destinations } = check(server);
  const id = serviceId(full.key);
  const { impossible, inexact } = shortcomings(full, destinations);
  if (impossible.length > 0 || (inexact.length > 0 && !approximate)) {
    const reasons = few([...impossible, ...inexact.map(({ what }) => what)]);
    const allow = impossible.length > 0 ? '' : ": change that, or allow 'approximate'";
    const problem = `${id}: left out: ${reasons}${allow}`;
    return { id, port: undefined, problem, foreign: false };
  }
  const reasons = few(inexact.map(({ what, instead }) => `${what}: ${instead}`));
  return {
    id,
    port: toPort(id, full, destinations),
    problem: inexact.length === 0 ? undefined : `${id}: approximated: ${reasons}`,
    foreign: false,
  };
}

/** What is said of a server that is in a list two times. */
export function twice(id: string): IpvsError {
  return refusal(id, 'wanted twice: leave one out');
}

/** Reasons in one line that can still be read. */
function few(reasons: readonly string[]): string {
  const more = reasons.length - FEW;
  return more > 0 ? `${reasons.slice(0, FEW).join('; ')}; and ${more} more` : reasons.join('; ');
}

const FEW = 4;

/** What a service is called that another program has made for a protocol of its own, as a kernel may have some. */
function foreignOf(server: unknown): string | undefined {
  const { protocol, address, port } = toRecord(server) ?? {};
  if (typeof protocol !== 'string' || !/^ip-\d{1,3}$/.test(protocol)) return undefined;
  const parsed = typeof address === 'string' ? parseAddress(address) : undefined;
  if (parsed === undefined || typeof port !== 'number') return undefined;
  return `${protocol}://${joinHostPort(parsed.address, port)}`;
}

interface Checked {
  readonly full: FullService;
  readonly destinations: readonly Wanted[];
}

/** A destination and what its forward method is, which may be one that is only ever read. */
interface Wanted {
  readonly full: FullDestination;
  readonly forward: string;
}

function check(server: unknown): Checked {
  const { destinations, ...service } = toRecord(server) ?? {};
  const full = attempt(
    () => nameOf(service),
    () => toFullService(service),
  );
  const id = serviceId(full.key);
  if (!Array.isArray(destinations)) {
    throw refusal(
      id,
      `destinations: ${show(destinations)} is not an array: give the destinations, or []`,
    );
  }
  const seen = new Set<string>();
  return {
    full,
    destinations: destinations.map((input: unknown) => {
      const wanted = attempt(
        () => `${id} ${destinationId(toDestinationKey(input))}`,
        () => toWanted(full, input),
      );
      const place = destinationId(wanted.full.key);
      if (seen.has(place)) {
        throw refusal(`${id} ${place}`, 'wanted twice in one service: leave one out');
      }
      seen.add(place);
      return wanted;
    }),
  };
}

// Methods that the kernel only reports are no error here: what was read is to be seen, and said to be out of reach.
function toWanted({ key }: FullService, input: unknown): Wanted {
  const { forward = 'masq', ...rest } = toRecord(input) ?? {};
  const only = forward === 'local' || forward === 'bypass';
  return only
    ? { full: toFullDestination(key, rest), forward }
    : withForward(toFullDestination(key, input));
}

function withForward(full: FullDestination): Wanted {
  return { full, forward: full.forward };
}

/** What rules can only come near to, and what they do instead. */
interface Inexact {
  readonly what: string;
  readonly instead: string;
}

const EXACT = ['rr', 'wrr', 'fo'];
/** Schedulers that pay no heed to weights, but for 0. */
const EQUAL = ['rr', 'lc', 'dh'];
const BY_HASH = ['sh', 'dh', 'mh'];
const BY_COUNT = ['lc', 'wlc', 'lblc', 'lblcr', 'sed', 'nq', 'ovf', 'twos'];

function shortcomings(
  service: FullService,
  destinations: readonly Wanted[],
): { readonly impossible: readonly string[]; readonly inexact: readonly Inexact[] } {
  const impossible: string[] = [];
  const { key } = service;
  if ('fwmark' in key) {
    impossible.push('it takes packets by firewall mark, and rules lead here by address and port');
  } else if (key.port === 0) {
    impossible.push('it takes every port, and rules lead here by address and port');
  } else for (const problem of doubled(key, destinations)) impossible.push(problem);
  for (const { full, forward } of destinations) {
    if (forward === 'masq') continue;
    impossible.push(
      `${destinationId(full.key)}: forward '${forward}': rules can only rewrite the address, which is 'masq'`,
    );
  }
  return { impossible, inexact: [...inexactOf(service), ...limits(destinations)] };
}

// Port 0 of a destination is the port of the service: two that IPVS tells apart are one here.
function doubled(key: AddressKey, destinations: readonly Wanted[]): readonly string[] {
  const places = new Set<string>();
  return destinations.flatMap(({ full }) => {
    const place = placeOf(key, full);
    if (!places.has(place)) {
      places.add(place);
      return [];
    }
    return [`${place}: two destinations lead there, as port 0 is the port of the service`];
  });
}

function inexactOf({ scheduler, onePacket, persistence }: FullService): readonly Inexact[] {
  const found: Inexact[] = [];
  if (!EXACT.includes(scheduler)) {
    const why = BY_COUNT.includes(scheduler)
      ? 'goes by the number of connections, which rules cannot count'
      : BY_HASH.includes(scheduler)
        ? 'goes by a hash of addresses, which rules cannot take'
        : 'is not one that rules can stand for';
    const instead = `${EQUAL.includes(scheduler) ? 'equal shares' : 'shares by weight'}, at random`;
    found.push({ what: `scheduler ${scheduler} ${why}`, instead });
  }
  if (onePacket) {
    const what = 'onePacket: rules choose for a connection, not for each packet';
    found.push({ what, instead: 'one choice a connection' });
  }
  if (persistence !== undefined && persistence.engine !== '') {
    const what = `persistence engine ${persistence.engine}: rules see addresses alone`;
    found.push({ what, instead: 'persistence by client address' });
  }
  return found;
}

function limits(destinations: readonly Wanted[]): readonly Inexact[] {
  const limited = destinations.filter(({ full }) => full.upperThreshold > 0);
  return limited.map(({ full }) => ({
    what: `${destinationId(full.key)}: upperThreshold ${full.upperThreshold}: rules cannot count connections`,
    instead: 'no limit',
  }));
}

function toPort(id: string, service: FullService, destinations: readonly Wanted[]): ServicePort {
  const { key, persistence } = service;
  // What has none was left out.
  if ('fwmark' in key) throw refusal(id, 'has no address');
  const whole = familyOf(key) === 'ipv4' ? 32 : 128;
  const endpoints = endpointsOf(key, service.scheduler, destinations);
  return {
    name: id,
    protocol: key.protocol,
    family: familyOf(key),
    namespace: '',
    service: id,
    server: true,
    frontends: [{ kind: 'clusterIP', address: key.address, port: key.port, policy: 'cluster' }],
    ...(persistence && {
      affinity: {
        timeout: persistence.timeout,
        ...(persistence.prefix < whole && { prefix: persistence.prefix }),
      },
    }),
    externalLocal: false,
    endpoints: {
      cluster: endpoints,
      anywhere: endpoints.some(({ weight }) => weight !== 0),
      hairpin: [],
    },
    settings: {},
  };
}

function endpointsOf(
  key: AddressKey,
  scheduler: string,
  destinations: readonly Wanted[],
): readonly Endpoint[] {
  const sorted = [...destinations]
    .map(({ full }) => ({ full, place: placeOf(key, full) }))
    .sort((a, b) => compareText(a.place, b.place))
    .map(({ full }) => full);
  const greatest = sorted.reduce((most, { weight }) => Math.max(most, weight), 0);
  const first = sorted.find(({ weight }) => weight === greatest);
  return sorted.map((each) => ({
    address: each.key.address,
    port: each.key.port === 0 ? key.port : each.key.port,
    local: false,
    weight: shareOf(each, scheduler, first),
  }));
}

function shareOf(
  each: FullDestination,
  scheduler: string,
  first: FullDestination | undefined,
): number {
  if (each.weight === 0) return 0;
  if (scheduler === 'fo') return each === first ? 1 : 0;
  return EQUAL.includes(scheduler) ? 1 : each.weight;
}

function placeOf({ port }: AddressKey, { key }: FullDestination): string {
  return joinHostPort(key.address, key.port === 0 ? port : key.port);
}

function toApproximate(options: unknown): boolean {
  const given = toRecord(options);
  if (given === undefined) throw new InvalidInput(`options: ${show(options)} is not an object`);
  onlyNames('map of servers', given, ['unsupported']);
  const { unsupported = 'refuse' } = given;
  if (unsupported === 'refuse' || unsupported === 'approximate') {
    return unsupported === 'approximate';
  }
  throw new InvalidInput(
    `unsupported: ${show(unsupported)} is neither: use 'refuse' or 'approximate'`,
  );
}

function toIterable(servers: unknown): Iterable<unknown> {
  if (typeof servers === 'object' && servers !== null && Symbol.iterator in servers) {
    return servers as Iterable<unknown>;
  }
  throw new InvalidInput(
    `servers: ${show(servers)} is no list: give virtual servers, as snapshot() does`,
  );
}

function nameOf(service: unknown): string {
  return serviceId(toServiceKey(service));
}

/** Says which server or destination bad input belongs to, where it can be named. */
function attempt<T>(name: () => string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    let called = 'a server';
    try {
      called = name();
    } catch {
      // What is wrong is its name.
    }
    throw refusal(called, error.problem);
  }
}

function refusal(called: string, problem: string): IpvsError {
  return new InvalidInput(`${called}: ${problem}`);
}
