// Who reaches what, in words: the services of a small cluster, and what becomes of those who ask for them.
import type { Family } from '../../lib';
import {
  serviceMap,
  type KubeEndpointSlice,
  type KubeService,
  type ServiceMap,
} from '../../lib/kube';
import { FAMILIES, VIEW, type Addresses, type Host, type World } from './kube-world';

/** Which endpoints a service has: on this node and elsewhere, elsewhere alone, none. */
type Place = 'here' | 'elsewhere' | 'nowhere';

const PLACES: readonly Place[] = ['here', 'elsewhere', 'nowhere'];

interface Wanted {
  readonly name: string;
  readonly place: Place;
  readonly spec?: object;
}

const LOCAL = { externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 };
const INTERNAL = { internalTrafficPolicy: 'Local' };
const INSIDE = { type: 'ClusterIP' };

/** In the order of their numbers, which are in their addresses. */
const SERVICES: readonly Wanted[] = [
  ...PLACES.flatMap((place) => [
    { name: `Cluster ${place}`, place },
    { name: `Local ${place}`, place, spec: LOCAL },
    { name: `internal ${place}`, place, spec: { ...INTERNAL, ...INSIDE } },
    { name: `internal, open ${place}`, place, spec: INTERNAL },
  ]),
  { name: 'for the client', place: 'here', spec: ranges('203.0.113.0/24', '2001:db8:203::/64') },
  { name: 'for the node', place: 'here', spec: ranges('192.168.0.0/24', 'fd00:192::/64') },
  { name: 'for pods', place: 'here', spec: ranges('10.1.0.0/16', 'fd00:10:1::/48') },
  { name: 'affine', place: 'here', spec: { sessionAffinity: 'ClientIP' } },
  {
    name: 'affine for 3 s',
    place: 'here',
    spec: {
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 3 } },
    },
  },
];

function ranges(...loadBalancerSourceRanges: readonly string[]): object {
  return { loadBalancerSourceRanges };
}

export type Way = 'clusterIP' | 'externalIP' | 'loadBalancer' | 'nodePort';

/** The way to a service. */
export function frontend(
  name: string,
  way: Way,
  family: Family,
): { address: string; port: number } {
  const number = SERVICES.findIndex((each) => each.name === name) + 1;
  if (number === 0) throw new Error(`no service ${name}`);
  if (way === 'nodePort') {
    const { ipv4, ipv6 } = nodeAddresses;
    return { address: family === 'ipv4' ? ipv4 : ipv6, port: 30000 + number };
  }
  return { address: addressOf(way, number)[family], port: 80 };
}

const nodeAddresses: Addresses = { ipv4: '192.168.0.2', ipv6: 'fd00:192::2' };

function addressOf(way: Exclude<Way, 'nodePort'>, number: number): Addresses {
  return {
    clusterIP: { ipv4: `172.30.0.${number}`, ipv6: `fd00:172::${number}` },
    externalIP: { ipv4: `192.0.2.${number}`, ipv6: `2001:db8:192::${number}` },
    loadBalancer: { ipv4: `198.51.100.${number}`, ipv6: `2001:db8:198::${number}` },
  }[way];
}

function endpointsOf(world: World, place: Place): readonly Host[] {
  return { here: world.pods, elsewhere: [world.far], nowhere: [] }[place];
}

/** All services as this node sees them. */
export function mapOf(world: World): ServiceMap {
  const services = SERVICES.map(({ spec }, i) => toService(i + 1, spec));
  const slices = SERVICES.flatMap(({ place }, i) =>
    FAMILIES.map((family) => toSlice(world, family, i + 1, endpointsOf(world, place))),
  );
  return serviceMap(services, slices, VIEW);
}

const PROTOCOLS = ['TCP', 'UDP'];

function toService(number: number, spec: object = {}): KubeService {
  const both = (way: Exclude<Way, 'nodePort'>): readonly string[] => {
    const { ipv4, ipv6 } = addressOf(way, number);
    return [ipv4, ipv6];
  };
  const inside = 'type' in spec;
  const balancer = { ingress: both('loadBalancer').map((ip) => ({ ip })) };
  return {
    metadata: { namespace: 'shop', name: `s${number}` },
    spec: {
      type: 'LoadBalancer',
      clusterIP: both('clusterIP')[0],
      clusterIPs: both('clusterIP'),
      ipFamilies: ['IPv4', 'IPv6'],
      ...(!inside && { externalIPs: both('externalIP') }),
      ports: PROTOCOLS.map((protocol) => ({
        name: protocol.toLowerCase(),
        protocol,
        port: 80,
        ...(!inside && { nodePort: 30000 + number }),
      })),
      ...spec,
      ...('healthCheckNodePort' in spec && { healthCheckNodePort: 32000 + number }),
    },
    ...(!inside && { status: { loadBalancer: balancer } }),
  };
}

function toSlice(
  world: World,
  family: Family,
  number: number,
  endpoints: readonly Host[],
): KubeEndpointSlice {
  return {
    metadata: {
      namespace: 'shop',
      name: `s${number}-${family}`,
      labels: { 'kubernetes.io/service-name': `s${number}` },
    },
    addressType: family === 'ipv4' ? 'IPv4' : 'IPv6',
    ports: PROTOCOLS.map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: 8080 })),
    endpoints: endpoints.map((host) => ({
      addresses: [host.addresses[family]],
      nodeName: host === world.far ? 'there' : 'here',
    })),
  };
}

/** One who asks, by the names of the tables. */
export type Asker = 'pod' | 'node' | 'outside';

function hostOf(world: World, asker: Asker): Host {
  return { pod: world.pod, node: world.node, outside: world.client }[asker];
}

/** How to ask: of whom, which way. */
export interface Ask {
  readonly from: Asker;
  readonly service: string;
  readonly way: Way;
  /** Another address than that of the way. */
  readonly address?: string;
  readonly family: Family;
  readonly protocol: 'tcp' | 'udp';
}

let tokens = 0;

/**
 * What became of asking for a service, in the words of the tables:
 * - `all as self`: every endpoint answers, and sees the address of whoever asked
 * - `local as self`: those of this node alone do
 * - `… as node`: they see the address that the node has on the way to them, which is what masquerading gives
 * - `… as service`: they see that of the service
 * - `refused`: by a reset or by ICMP. The latter may find TCP busy on a machine with one CPU, which then hears of it at its
 *   second attempt, after a second
 * - `dropped`: no answer
 * - `lost`: it got to an endpoint, but no answer came back. Of datagrams alone: a TCP endpoint knows nothing of it
 * - `leaves`: it went out to the network, which says it is not for there
 * An endpoint that asks for itself sees the node in any case: it would not answer itself otherwise.
 */
export async function outcome(world: World, ask: Ask, wanted: string): Promise<string> {
  const silent = wanted === 'dropped' || wanted === 'lost';
  const few = silent || wanted === 'refused' || wanted === 'leaves';
  const token = `${(tokens += 1)}`;
  const { from, family, protocol, service, way } = ask;
  const to = { ...frontend(service, way, family), ...(ask.address && { address: ask.address }) };
  const said = new Set<string>();
  let found = '';
  // Endpoints are chosen at random: with three of them, 64 attempts miss one in 10 billion cases.
  for (let round = 0; round < (few ? 1 : 8) && found !== wanted && !said.has('nothing'); round++) {
    const question = {
      ...to,
      protocol,
      token,
      count: few ? 2 : 8,
      patience: silent ? 600 : 5000,
    };
    for (const each of await hostOf(world, from).ask(question)) said.add(each);
    found = inWords(world, ask, said);
  }
  if (found !== 'dropped' || protocol === 'tcp') return found;
  const seen = await Promise.all(world.pods.map((pod) => pod.saw(token)));
  return seen.includes(true) ? 'lost' : found;
}

const CODES: Readonly<Record<string, string>> = {
  nothing: 'dropped',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'leaves',
  EACCES: 'leaves',
};

function inWords(world: World, ask: Ask, said: ReadonlySet<string>): string {
  const { from, family, service, way } = ask;
  const self = hostOf(world, from).addresses[family];
  const by = new Set<string>();
  const as = new Set<string>();
  const other = new Set<string>();
  for (const line of said) {
    const [who, source] = line.split(' ');
    if (who === undefined || source === undefined) {
      other.add(CODES[line] ?? line);
      continue;
    }
    by.add(who);
    if (source === world.masqueraded(who, family)) {
      if (who !== self) as.add('node');
    } else if (source === self && who !== self) as.add('self');
    else as.add(source === frontend(service, way, family).address ? 'service' : source);
  }
  if (by.size === 0) return [...other].sort().join();
  return [`${whoseOf(world, ask, by)} as ${[...as].sort().join()}`, ...other].join();
}

function whoseOf(world: World, { service, family }: Ask, by: ReadonlySet<string>): string {
  const place = SERVICES.find(({ name }) => name === service)?.place ?? 'nowhere';
  const endpoints = endpointsOf(world, place);
  const are = (hosts: readonly Host[]): boolean =>
    hosts.length === by.size && hosts.every(({ addresses }) => by.has(addresses[family]));
  if (are(endpoints)) return 'all';
  return are(endpoints.filter((host) => host !== world.far)) ? 'local' : [...by].sort().join();
}

/** The rows of a table whose columns are two spaces or more apart, by the words of its first line. */
export function rowsOf<K extends string>(table: string): readonly Readonly<Record<K, string>>[] {
  const [head = [], ...rows] = table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/ {2,}/));
  return rows.map(
    (row) => Object.fromEntries(head.map((name, i) => [name, row[i]])) as Record<K, string>,
  );
}

/** A row of a table of outcomes: one way of asking, and what comes of it by where endpoints are. */
interface Row extends Readonly<Record<Place, string>> {
  readonly from: Asker;
  readonly to: Way;
  readonly policy: string;
}

/** A row about one service. */
interface Single {
  readonly from: Asker;
  readonly to: Way;
  readonly service: string;
  readonly outcome: string;
}

interface Cell {
  readonly ask: Ask;
  readonly wanted: string;
  readonly name: string;
}

/** The cells of a table of outcomes, by who asks and which way. */
export function outcomeCells(
  table: string,
): readonly { readonly way: string; readonly cells: readonly Cell[] }[] {
  const groups = new Map<string, Cell[]>();
  // What columns a table has is known to whoever wrote it, not to the compiler.
  for (const { from, to, policy, ...outcomes } of rowsOf(table) as unknown as readonly Row[]) {
    const way = `from ${from} to ${to}`;
    const cells = PLACES.flatMap((place) =>
      cellsOf({ from, to, service: `${policy} ${place}`, outcome: outcomes[place] }),
    );
    groups.set(way, [...(groups.get(way) ?? []), ...cells]);
  }
  return [...groups].map(([way, cells]) => ({ way, cells }));
}

/** The cells of a table of single services. */
export function singleCells(table: string): readonly Cell[] {
  return (rowsOf(table) as unknown as readonly Single[]).flatMap(cellsOf);
}

function cellsOf({ from, to: way, service, outcome: wanted }: Single): readonly Cell[] {
  return FAMILIES.flatMap((family) =>
    (['tcp', 'udp'] as const).map((protocol) => ({
      ask: { from, way, service, family, protocol },
      wanted,
      name: `${from} to ${way} of '${service}', ${family} ${protocol}`,
    })),
  );
}

/** Asks for everything, all at once, and expects what the cells say. */
export async function expectCells(world: World, cells: readonly Cell[]): Promise<void> {
  const wanted = cells.map(({ ask, wanted: word, name }) =>
    // A TCP endpoint cannot tell the two apart.
    [name, ask.protocol === 'tcp' && word === 'lost' ? 'dropped' : word].join(': '),
  );
  const found = await Promise.all(
    cells.map(async ({ ask, wanted: word, name }) =>
      [name, await outcome(world, ask, word)].join(': '),
    ),
  );
  expect(found).toEqual(wanted);
}
