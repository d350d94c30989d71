// Services: the ways in that each asks for, before anybody's endpoints are looked at.
import { show } from '../errors';
import type { Family, Protocol } from '../model';
import { readAnnotations, type Asked } from './annotations';
import { parseCidr, parseLenient } from './cidr';
import { createdAt, isName, isPort, listAt, namespaceOf, recordAt, toRecord, wordAt } from './read';
import type { Json, Report } from './read';
import { shortly, toProtocol } from './slices';
import type { Frontend, ServiceMapOptions } from './types';

/** A service that is to be proxied. */
export interface ReadService {
  readonly namespace: string;
  readonly name: string;
  readonly created: number;
  readonly internalLocal: boolean;
  /** Only where it can be reached from outside at all. */
  readonly externalLocal: boolean;
  readonly affinity: { readonly timeout: number } | undefined;
  readonly healthCheckNodePort: number | undefined;
  readonly asked: Asked;
  readonly families: readonly Family[];
  readonly ports: readonly ReadPort[];
  readonly report: Report;
}

/** One of its ports, with the frontends of each family. */
export interface ReadPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly frontends: Readonly<Partial<Record<Family, readonly Frontend[]>>>;
}

const PROXY_LABEL = 'service.kubernetes.io/service-proxy-name';
const HEADLESS_LABEL = 'service.kubernetes.io/headless';
const TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;
/** What the API server fills in, and the most it takes. */
const AFFINITY_SECONDS = 10800;
const AFFINITY_MAX = 86400;

/** Reads a service; undefined when it is none of ours to proxy. */
export function readService(
  metadata: Json,
  object: Json,
  options: ServiceMapOptions,
  report: Report,
): ReadService | undefined {
  const { name } = metadata;
  const labels = recordAt(metadata, 'labels', report);
  if (labels[HEADLESS_LABEL] !== undefined || labels[PROXY_LABEL] !== options.serviceProxyName) {
    return undefined;
  }
  if (!isName(name)) return undefined;
  const spec = recordAt(object, 'spec', report);
  const type = wordAt(spec, 'type', TYPES, report);
  const clusterIPs = type === 'ExternalName' ? [] : toClusterIPs(spec, report);
  if (clusterIPs.length === 0) return undefined;

  const externalIPs = addressesOf(listAt(spec, 'externalIPs', report), 'externalIPs', report);
  const ingress = toIngress(object, report);
  const external = type !== 'ClusterIP' || externalIPs.length > 0;
  const policies = ['Cluster', 'Local'] as const;
  const externalLocal =
    wordAt(spec, 'externalTrafficPolicy', policies, report) === 'Local' && external;
  const internalLocal = wordAt(spec, 'internalTrafficPolicy', policies, report) === 'Local';
  const policy = externalLocal ? 'local' : 'cluster';
  const ranges = toRanges(spec, report);
  const frontends = (port: number, nodePort: number, family: Family): readonly Frontend[] => {
    const of = (list: readonly Address[]): readonly Address[] =>
      list.filter((each) => each.family === family);
    const sourceRanges = ranges[family];
    return [
      ...of(clusterIPs).map(({ address }): Frontend => ({
        kind: 'clusterIP',
        address,
        port,
        policy: internalLocal ? 'local' : 'cluster',
      })),
      ...of(externalIPs).map(({ address }): Frontend => ({
        kind: 'externalIP',
        address,
        port,
        policy,
      })),
      ...of(ingress).map(({ address }): Frontend => ({
        kind: 'loadBalancer',
        address,
        port,
        policy,
        ...(sourceRanges && { sourceRanges }),
      })),
      ...(nodePort === 0
        ? []
        : [{ kind: 'nodePort', address: '', port: nodePort, policy } as const]),
    ];
  };
  const families = clusterIPs.map(({ family }) => family);
  return {
    namespace: namespaceOf(metadata),
    name,
    created: createdAt(metadata),
    internalLocal,
    externalLocal,
    affinity: toAffinity(spec, report),
    healthCheckNodePort:
      type === 'LoadBalancer' && externalLocal ? toHealthCheck(spec, report) : undefined,
    asked: readAnnotations(recordAt(metadata, 'annotations', report), report),
    families,
    ports: toPorts(spec, families, frontends, report),
    report,
  };
}

interface Address {
  readonly family: Family;
  readonly address: string;
}

// The first address of each family that the service has.
function toClusterIPs(spec: Json, report: Report): readonly Address[] {
  const first = spec['clusterIP'];
  const list = listAt(spec, 'clusterIPs', report);
  const wanted = listAt(spec, 'ipFamilies', report);
  const main = first ?? list[0];
  if (main === undefined || main === '' || main === 'None') return [];
  const texts = wanted.length > 0 && list.length > 0 ? list : [main];
  const found = new Map<Family, Address>();
  for (const each of addressesOf(texts, 'clusterIP', report)) {
    const named = wanted.length === 0 || wanted.includes(each.family === 'ipv4' ? 'IPv4' : 'IPv6');
    if (named && !found.has(each.family)) found.set(each.family, each);
  }
  return [...found.values()];
}

function addressesOf(texts: readonly unknown[], what: string, report: Report): readonly Address[] {
  const found = new Map<string, Address>();
  for (const text of texts) {
    const parsed = typeof text === 'string' ? parseLenient(text.trim()) : undefined;
    if (parsed === undefined) report(`${what}: ${show(text)} is no address; passed over`);
    else found.set(parsed.address, parsed);
  }
  return [...found.values()];
}

function toIngress(object: Json, report: Report): readonly Address[] {
  const status = recordAt(recordAt(object, 'status', report), 'loadBalancer', report);
  const texts = listAt(status, 'ingress', report).map((value) => {
    const ingress = toRecord(value) ?? {};
    // Those that name a host or leave the address to the load balancer ("Proxy") are none of ours.
    const proxied = wordAt(ingress, 'ipMode', ['VIP', 'Proxy'], report) === 'Proxy';
    return proxied ? undefined : (ingress['ip'] ?? undefined);
  });
  const given = texts.filter((text) => text !== undefined && text !== '');
  return addressesOf(given, 'status.loadBalancer.ingress', report);
}

// Absent for a family without a range of its own, and where a range has everybody. A range that cannot be read admits
// nobody, and does not open the door for the rest.
function toRanges(
  spec: Json,
  report: Report,
): Readonly<Partial<Record<Family, readonly string[]>>> {
  const given = listAt(spec, 'loadBalancerSourceRanges', report);
  const ranges: Partial<Record<Family, Set<string>>> = {};
  const open = new Set<Family>();
  let unread = false;
  for (const text of given) {
    const cidr = typeof text === 'string' ? parseCidr(text.trim()) : undefined;
    if (cidr === undefined) {
      report(`loadBalancerSourceRanges: ${show(text)} is no range; admits nobody`);
      unread = true;
    } else {
      (ranges[cidr.family] ??= new Set()).add(cidr.text);
      if (cidr.prefix === 0) open.add(cidr.family);
    }
  }
  const of = (family: Family): readonly string[] | undefined => {
    const found = ranges[family];
    if (open.has(family)) return undefined;
    if (found !== undefined) return [...found].sort();
    return unread ? [] : undefined;
  };
  const ipv4 = of('ipv4');
  const ipv6 = of('ipv6');
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}

function toAffinity(spec: Json, report: Report): { readonly timeout: number } | undefined {
  if (wordAt(spec, 'sessionAffinity', ['None', 'ClientIP'], report) === 'None') return undefined;
  const config = recordAt(recordAt(spec, 'sessionAffinityConfig', report), 'clientIP', report);
  const timeout = config['timeoutSeconds'];
  if (timeout === undefined || timeout === null) return { timeout: AFFINITY_SECONDS };
  if (Number.isInteger(timeout) && Number(timeout) >= 1 && Number(timeout) <= AFFINITY_MAX) {
    return { timeout: Number(timeout) };
  }
  report(
    `sessionAffinityConfig.clientIP.timeoutSeconds: ${show(timeout)} is not from 1 to ${AFFINITY_MAX}; taken as ${AFFINITY_SECONDS}`,
  );
  return { timeout: AFFINITY_SECONDS };
}

function toHealthCheck(spec: Json, report: Report): number | undefined {
  const port = spec['healthCheckNodePort'];
  if (isPort(port)) return port;
  report(
    `healthCheckNodePort: ${show(port)} is no port, and the load balancer needs one to ask for local endpoints; passed over`,
  );
  return undefined;
}

function toPorts(
  spec: Json,
  families: readonly Family[],
  frontends: (port: number, nodePort: number, family: Family) => readonly Frontend[],
  report: Report,
): readonly ReadPort[] {
  const ports = new Map<string, ReadPort>();
  listAt(spec, 'ports', report).forEach((value, index) => {
    const given = toRecord(value) ?? {};
    const { port } = given;
    const name = given['name'] ?? '';
    const protocol = toProtocol(given['protocol']);
    const nodePort = given['nodePort'] ?? 0;
    const bad = (why: string): void => {
      report(`ports[${index}]: ${why}; passed over`);
    };
    if (!isPort(port) || protocol === undefined || (name !== '' && !isName(name))) {
      bad(`${shortly(given)} is no port`);
      return;
    }
    const key = `${name}/${protocol}`;
    if (ports.has(key)) {
      bad(`there is another ${protocol} port with the name ${show(name)}`);
      return;
    }
    const usable = nodePort === 0 || isPort(nodePort);
    if (!usable) report(`ports[${index}].nodePort: ${show(nodePort)} is no port; passed over`);
    const node = usable ? nodePort : 0;
    const of = (family: Family): Partial<Record<Family, readonly Frontend[]>> =>
      families.includes(family) ? { [family]: frontends(port, node, family) } : {};
    ports.set(key, { name, protocol, frontends: { ...of('ipv4'), ...of('ipv6') } });
  });
  return [...ports.values()];
}
