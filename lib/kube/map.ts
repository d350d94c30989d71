// Services and endpoint slices in, the service map of one node out.
import { joinHostPort } from '../address';
import { InvalidInput, show } from '../errors';
import type { Family } from '../model';
import { toNode, type Node } from './node';
import { called, compareText, isName, toRecord, type Json, type Report } from './read';
import { select } from './select';
import { readService, type ReadPort, type ReadService } from './services';
import { Slices } from './slices';
import type {
  Frontend,
  HealthCheck,
  KubeEndpointSlice,
  KubeService,
  NodeView,
  ServiceMap,
  ServiceMapOptions,
  ServicePort,
} from './types';

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/**
 * What the services of a cluster are on this node. Pure: a malformed object becomes a problem that names it, the rest
 * still works, and nothing is changed. Neither the order of objects nor how endpoints are spread over slices matters.
 * Throws IpvsError `ERR_IPVS_INVALID` for a node or options that make no sense.
 * @public
 */
export function serviceMap(
  services: Iterable<KubeService>,
  slices: Iterable<KubeEndpointSlice>,
  node: NodeView,
  options: ServiceMapOptions = {},
): ServiceMap {
  const view = toNode(node);
  const proxyName: unknown = options.serviceProxyName;
  if (proxyName !== undefined && typeof proxyName !== 'string') {
    throw new InvalidInput(`serviceProxyName: ${show(proxyName)} is not text`);
  }
  const problems: string[] = [];
  const index = new Slices(view);
  for (const [what, metadata, object] of objects('EndpointSlice', slices, problems)) {
    index.add(metadata, object, reporter(problems, what));
  }
  const found: ReadService[] = [];
  for (const [what, metadata, object] of objects('Service', services, problems)) {
    const service = readService(metadata, object, options, reporter(problems, what));
    if (service !== undefined) found.push(service);
  }
  found.sort((a, b) => compareAge(a, b) || compareText(keyOf(a), keyOf(b)));
  const claims = new Claims(view);
  const ports = found.flatMap((service) =>
    service.ports.flatMap((port) =>
      FAMILIES.map((family) => toServicePort(service, port, family, claims, index)),
    ),
  );
  return {
    ports: ports.filter((port) => port !== undefined).sort(comparePorts),
    healthChecks: found
      .flatMap((service) => healthChecksOf(service, index))
      .sort((a, b) =>
        compareText(keyOf({ ...a, name: a.service }), keyOf({ ...b, name: b.service })),
      ),
    problems: problems.sort(compareText),
  };
}

function reporter(problems: string[], what: string): Report {
  return (problem) => {
    problems.push(`${what}: ${problem}`);
  };
}

function keyOf(of: { readonly namespace: string; readonly name: string }): string {
  return `${of.namespace}/${of.name}`;
}

function compareAge(a: ReadService, b: ReadService): number {
  return a.created === b.created ? 0 : a.created < b.created ? -1 : 1;
}

function comparePorts(a: ServicePort, b: ServicePort): number {
  return (
    compareText(a.name, b.name) ||
    compareText(a.protocol, b.protocol) ||
    compareText(a.family, b.family)
  );
}

// Each object once, by namespace and name. Of several under one name the one with the higher version counts.
function objects(
  kind: string,
  given: Iterable<unknown>,
  problems: string[],
): Iterable<readonly [string, Json, Json]> {
  if (typeof (given as Partial<Iterable<unknown>> | null)?.[Symbol.iterator] !== 'function') {
    throw new InvalidInput(`${kind}s: ${show(given)} is not a list`);
  }
  const found = new Map<string, readonly [string, Json, Json]>();
  for (const value of given) {
    const object = toRecord(value);
    const metadata = toRecord(object?.['metadata']);
    if (object === undefined || metadata === undefined) {
      problems.push(
        `${kind}: ${object ? 'no metadata' : `${show(value)} is not an object`}; passed over`,
      );
      continue;
    }
    const what = called(kind, metadata);
    if (!isName(metadata['namespace'] ?? 'default') || !isName(metadata['name'])) {
      problems.push(`${what}: no name that Kubernetes gives; passed over`);
      continue;
    }
    const other = found.get(what);
    if (other === undefined) {
      found.set(what, [what, metadata, object]);
    } else {
      const order = compareVersions(other[2], object);
      if (order !== 0) problems.push(`${what}: given more than once; the newest version counts`);
      if (order < 0) found.set(what, [what, metadata, object]);
    }
  }
  return found.values();
}

// Versions are numbers in practice; without them any order will do that is the same whichever came first.
function compareVersions(a: Json, b: Json): number {
  const version = (of: Json): number => {
    const value = Number(toRecord(of['metadata'])?.['resourceVersion']);
    return Number.isNaN(value) ? -1 : value;
  };
  return version(a) - version(b) || compareText(JSON.stringify(a), JSON.stringify(b));
}

/** Who has which address and port. */
class Claims {
  readonly #owners = new Map<string, string>();

  constructor(readonly node: Node) {}

  /** Claims a frontend for a port of a service; tells who has it already. A port may have it twice, as in two lists. */
  claim(owner: string, protocol: string, family: Family, frontend: Frontend): string | undefined {
    const keys = this.#addresses(family, frontend).map(
      (address) => `${protocol}://${joinHostPort(address, frontend.port)}`,
    );
    for (const key of keys) {
      const other = this.#owners.get(key);
      if (other !== undefined && other !== owner) return other;
    }
    for (const key of keys) this.#owners.set(key, owner);
    return undefined;
  }

  #addresses(family: Family, frontend: Frontend): readonly string[] {
    if (frontend.kind !== 'nodePort') return [frontend.address];
    // The node itself stands for addresses that it may get later.
    return [`node-${family}`, ...this.node.nodePorts[family].addresses];
  }
}

function toServicePort(
  service: ReadService,
  port: ReadPort,
  family: Family,
  claims: Claims,
  slices: Slices,
): ServicePort | undefined {
  const { protocol } = port;
  const asked = port.frontends[family];
  if (asked === undefined) return undefined;
  const name = keyOf(service) + (port.name === '' ? '' : `:${port.name}`);
  const frontends = asked.filter((frontend) => {
    const other = claims.claim(name, protocol, family, frontend);
    if (other === undefined) return true;
    service.report(
      `${labelOf(frontend, protocol)} belongs to ${other}, which is older; passed over`,
    );
    return false;
  });
  const external = frontends.some(({ kind }) => kind !== 'clusterIP');
  const uses = {
    cluster: !service.internalLocal || external,
    local: service.internalLocal || (service.externalLocal && external),
  };
  const { affinity, healthCheckNodePort, asked: wish } = service;
  const candidates = slices.candidates(keyOf(service), family, port, wish.weightOf);
  return {
    name,
    protocol,
    family,
    namespace: service.namespace,
    service: service.name,
    frontends,
    ...(affinity && { affinity }),
    externalLocal: service.externalLocal && external,
    ...(healthCheckNodePort !== undefined && { healthCheckNodePort }),
    endpoints: select(candidates, uses, slices.node.zone),
    settings: wish.settings,
  };
}

function labelOf(frontend: Frontend, protocol: string): string {
  const { kind, address, port } = frontend;
  return kind === 'nodePort'
    ? `nodePort ${port} of ${protocol}`
    : `${kind} ${protocol}://${joinHostPort(address, port)}`;
}

function healthChecksOf(service: ReadService, slices: Slices): readonly HealthCheck[] {
  const { namespace, name, healthCheckNodePort: port } = service;
  if (port === undefined) return [];
  return FAMILIES.filter((family) => service.families.includes(family)).map((family) => ({
    namespace,
    service: name,
    family,
    port,
    localEndpoints: slices.localReady(keyOf(service), family),
  }));
}
