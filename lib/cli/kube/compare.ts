// What a node has and what it would get, compared by the ways in: services on one side alone, and what differs on both.
import { joinHostPort } from '../../address';
import { serviceId } from '../../id';
import type { Endpoint, Frontend, ServiceMap, ServicePort } from '../../kube';
import type { VirtualServer } from '../../model';

/** One way in to a service, as one side has it. */
export interface Way {
  /** `namespace/name:port`; empty where nobody knows whose it is. */
  readonly service: string;
  readonly kind: Frontend['kind'] | undefined;
  /** In words, by name; `undefined` in either side: not compared. */
  readonly settings: Readonly<Record<string, string | undefined>>;
  /** Weights by `10.1.0.5:8080`. */
  readonly endpoints: ReadonlyMap<string, number>;
}
export type Ways = ReadonlyMap<string, Way>;

/** Something that one side has otherwise. */
export interface SettingDifference {
  readonly name: string;
  readonly now: string;
  readonly wanted: string;
}
/** An endpoint that is missing on the node, extra, or of another weight. */
export interface EndpointDifference {
  readonly endpoint: string;
  readonly change: 'missing' | 'extra' | 'different';
  readonly now?: number;
  readonly wanted?: number;
}
/** A way in that is missing on the node, extra there, or different. */
export interface Difference {
  readonly change: 'missing' | 'extra' | 'different';
  readonly service: string;
  /** `tcp://10.0.0.1:80`, or `tcp node port 30080 (ipv4)`. */
  readonly frontend: string;
  readonly kind?: Frontend['kind'];
  readonly settings: readonly SettingDifference[];
  readonly endpoints: readonly EndpointDifference[];
}

/** Ways in of a service map. */
export function waysOfMap({ ports }: ServiceMap): Ways {
  const ways = new Map<string, Way>();
  for (const port of ports) {
    for (const frontend of port.frontends) {
      const key = keyOf(port, frontend);
      if (!ways.has(key)) ways.set(key, wayOf(port, frontend));
    }
  }
  return ways;
}

function keyOf({ protocol, family }: ServicePort, { kind, address, port }: Frontend): string {
  return kind === 'nodePort'
    ? `${protocol} node port ${port} (${family})`
    : `${protocol}://${joinHostPort(address, port)}`;
}

function wayOf({ name, affinity, endpoints }: ServicePort, frontend: Frontend): Way {
  const { kind, policy, sourceRanges } = frontend;
  const { cluster = [], local = [], anywhere } = endpoints;
  const list = policy === 'local' ? local : cluster;
  // Rules that refuse everything tell nothing else.
  const known = anywhere && [...cluster, ...local].length > 0;
  return {
    service: name,
    kind,
    settings: {
      kind: anywhere ? kind : undefined,
      policy: anywhere ? policy : undefined,
      affinity: known ? secondsOf(affinity?.timeout) : undefined,
      sourceRanges: anywhere && kind === 'loadBalancer' ? rangesOf(sourceRanges) : undefined,
    },
    endpoints: new Map(list.map((each) => [textOf(each), each.weight ?? 1])),
  };
}

function textOf({ address, port }: Pick<Endpoint, 'address' | 'port'>): string {
  return joinHostPort(address, port);
}

function secondsOf(timeout: number | undefined): string {
  return timeout === undefined ? 'none' : `${timeout} s`;
}

function rangesOf(ranges: readonly string[] | undefined): string {
  if (ranges === undefined) return 'everybody';
  return ranges.length === 0 ? 'nobody' : [...new Set(ranges)].sort().join(', ');
}

/** Ways in of virtual services; `ways` of a map says whose they are. */
export function waysOfServers(
  servers: readonly VirtualServer[],
  owners: ReadonlyMap<string, Pick<Way, 'service' | 'kind'>>,
): Ways {
  return new Map(
    servers.map((server) => {
      const id = serviceId(server);
      const { scheduler = 'wlc', schedulerFlags = [], persistence, destinations } = server;
      const way: Way = {
        service: owners.get(id)?.service ?? '',
        kind: owners.get(id)?.kind,
        settings: {
          scheduler: [scheduler, ...[...schedulerFlags].sort()].join(' '),
          affinity: secondsOf(persistence?.timeout),
        },
        endpoints: new Map(destinations.map((each) => [textOf(each), each.weight ?? 1])),
      };
      return [id, way] as const;
    }),
  );
}

/** What must change on a node that has the first so that it has the second; in the order of services. */
export function compare(now: Ways, wanted: Ways): readonly Difference[] {
  const found: Difference[] = [];
  for (const [frontend, way] of wanted) {
    const before = now.get(frontend);
    if (before === undefined) found.push(whole('missing', frontend, way));
    else {
      const settings = settingsOf(before, way);
      const endpoints = endpointsOf(before, way);
      if (settings.length + endpoints.length === 0) continue;
      found.push({ change: 'different', ...named(frontend, way), settings, endpoints });
    }
  }
  for (const [frontend, way] of now) {
    if (!wanted.has(frontend)) found.push(whole('extra', frontend, way));
  }
  return found.sort(
    (a, b) => compareText(a.service, b.service) || compareText(a.frontend, b.frontend),
  );
}

function named(frontend: string, { service, kind }: Way): Pick<Difference, 'service' | 'frontend'> {
  return { service, frontend, ...(kind && { kind }) };
}

function whole(change: 'missing' | 'extra', frontend: string, way: Way): Difference {
  const endpoints = [...way.endpoints].map(([endpoint, weight]) => ({
    ...{ endpoint, change },
    ...(change === 'missing' ? { wanted: weight } : { now: weight }),
  }));
  return { change, ...named(frontend, way), settings: [], endpoints };
}

function settingsOf(before: Way, after: Way): readonly SettingDifference[] {
  return Object.entries(after.settings).flatMap(([name, wanted]) => {
    const now = before.settings[name];
    return wanted === undefined || now === undefined || now === wanted
      ? []
      : [{ name, now, wanted }];
  });
}

function endpointsOf(before: Way, after: Way): readonly EndpointDifference[] {
  const found: EndpointDifference[] = [];
  for (const [endpoint, wanted] of after.endpoints) {
    const now = before.endpoints.get(endpoint);
    if (now === undefined) found.push({ endpoint, change: 'missing', wanted });
    else if (now !== wanted) found.push({ endpoint, change: 'different', now, wanted });
  }
  for (const [endpoint, now] of before.endpoints) {
    if (!after.endpoints.has(endpoint)) found.push({ endpoint, change: 'extra', now });
  }
  return found.sort((a, b) => compareText(a.endpoint, b.endpoint));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
