// A service map in, everything one node needs in IPVS mode out.
import { joinHostPort } from '../address';
import { InvalidInput, show } from '../errors';
import { serviceId } from '../id';
import type { Destination, Family, Forward, ServiceKey, VirtualServer } from '../model';
import { contains, parseCidr } from './cidr';
import { Marks } from './marks';
import { toNode, type Node } from './node';
import { settled, toOptions, type FullOptions } from './options';
import { toRecord } from './read';
import { isSeparate, jumpsOf, rulesOf, type Barred } from './rules';
import { Sets } from './sets';
import type {
  Endpoint,
  Frontend,
  IpSet,
  IpvsProgramOptions,
  NodeProgram,
  NodeView,
  ServiceMap,
  ServicePort,
} from './types';

/**
 * What a node needs to serve the map by IPVS: virtual servers, addresses to bind, ip sets, and the rules beside them.
 * Pure. Throws IpvsError `ERR_IPVS_INVALID` for a node or options that make no sense.
 * @public
 */
export function ipvsProgram(
  map: ServiceMap,
  node: NodeView,
  options: IpvsProgramOptions = {},
): NodeProgram {
  if (!Array.isArray(toRecord(map)?.['ports'])) {
    throw new InvalidInput(`map: ${show(map)} is no service map: use what serviceMap() gave`);
  }
  const full = toOptions(options);
  const view = toNode(node);
  const parts = full.families.map((family) =>
    new FamilyProgram(family, view, full).take(map.ports),
  );
  return {
    servers: parts.flatMap((part) => [...part.servers.values()]),
    addresses: parts.flatMap((part) => [...part.addresses]),
    sets: new Map<string, IpSet>(parts.flatMap((part) => part.sets.all())),
    rules: Object.fromEntries(
      parts.map((part) => [part.family, rulesOf(part.sets, part.barred, full)]),
    ),
    jumps: jumpsOf(full),
    excludeCIDRs: full.excludeCIDRs.map(({ text }) => text),
    healthChecks: map.healthChecks,
    problems: [...map.problems, ...parts.flatMap((part) => part.problems)],
  };
}

/** What a frontend is served with. */
interface Serving {
  readonly endpoints: readonly Endpoint[];
  readonly forward: Forward;
}

class FamilyProgram {
  readonly servers = new Map<string, VirtualServer>();
  readonly addresses = new Set<string>();
  readonly barred: Barred[] = [];
  readonly problems: string[] = [];
  readonly sets: Sets;
  readonly #marks: Marks;
  readonly #separate: boolean;

  constructor(
    readonly family: Family,
    readonly node: Node,
    readonly options: FullOptions,
  ) {
    this.sets = new Sets(family);
    this.#marks = new Marks(options.masqueradeBit);
    this.#separate = isSeparate(options, family);
    if (options.externalLocal === 'separate' && !this.#separate) {
      this.problems.push(
        `externalLocal: nothing tells outside from inside for ${family}: give clusterCIDRs or detectLocal; served as 'shared'`,
      );
    }
  }

  take(ports: readonly ServicePort[]): this {
    for (const port of ports) if (port.family === this.family) this.#port(port);
    return this;
  }

  #port(port: ServicePort): void {
    const { protocol, healthCheckNodePort } = port;
    for (const { address, port: number } of port.endpoints.hairpin) {
      this.sets.add('KUBE-LOOP-BACK', `${address},${protocol}:${number},${address}`);
    }
    const served: Served = new Map();
    for (const frontend of port.frontends) {
      if (frontend.kind === 'nodePort') this.#nodePort(port, frontend, served);
      else this.#address(port, frontend, served);
    }
    if (healthCheckNodePort !== undefined) {
      this.sets.add('KUBE-HEALTH-CHECK-NODE-PORT', String(healthCheckNodePort));
    }
  }

  #address(port: ServicePort, frontend: Frontend, served: Served): void {
    const { address, kind } = frontend;
    const serving = this.#servingOf(port, frontend);
    const entry = `${address},${port.protocol}:${frontend.port}`;
    const keepsSource = frontend.policy === 'local' || serving.forward !== 'masq';
    if (kind === 'clusterIP') this.sets.add('KUBE-CLUSTER-IP', entry);
    else if (kind === 'externalIP') {
      this.sets.add(keepsSource ? 'KUBE-EXTERNAL-IP-LOCAL' : 'KUBE-EXTERNAL-IP', entry);
    } else {
      this.sets.add('KUBE-LOAD-BALANCER', entry);
      if (keepsSource) this.sets.add('KUBE-LOAD-BALANCER-LOCAL', entry);
      this.#sourceRanges(port, frontend, entry);
    }
    // An address that an interface has is local already, and would be taken from that interface with the service.
    if (!this.node.held.has(address) && !this.addresses.has(address)) {
      this.addresses.add(address);
      this.sets.add('KUBE-IPVS-IPS', address);
    }
    this.#serve(port, frontend, [address], serving, served);
  }

  #sourceRanges(port: ServicePort, frontend: Frontend, entry: string): void {
    const { address, sourceRanges } = frontend;
    if (sourceRanges === undefined) return;
    this.sets.add('KUBE-LOAD-BALANCER-FW', entry);
    for (const range of sourceRanges) {
      this.sets.add('KUBE-LOAD-BALANCER-SOURCE-CIDR', `${entry},${range}`);
    }
    const own = this.node.primary[this.family];
    const admitted = sourceRanges.some((range) => {
      const cidr = parseCidr(range);
      return own !== undefined && cidr !== undefined && contains(cidr, own);
    });
    // The node reaches a service address from that very address, as it is bound here.
    if (admitted) this.sets.add('KUBE-LOAD-BALANCER-SOURCE-IP', `${entry},${address}`);
    else this.barred.push({ address, protocol: port.protocol, port: frontend.port });
  }

  #nodePort(port: ServicePort, frontend: Frontend, served: Served): void {
    const { addresses } = this.node.nodePorts[this.family];
    const { protocol } = port;
    const local = frontend.policy === 'local';
    if (addresses.length === 0) return;
    if (protocol === 'sctp') {
      for (const address of addresses) {
        const entry = `${address},sctp:${frontend.port}`;
        this.sets.add('KUBE-NODE-PORT-SCTP-HASH', entry);
        if (local) this.sets.add('KUBE-NODE-PORT-LOCAL-SCTP-HASH', entry);
      }
    } else {
      const name = protocol === 'tcp' ? 'TCP' : 'UDP';
      this.sets.add(`KUBE-NODE-PORT-${name}`, String(frontend.port));
      if (local) this.sets.add(`KUBE-NODE-PORT-LOCAL-${name}`, String(frontend.port));
    }
    this.#serve(port, frontend, addresses, this.#servingOf(port, frontend), served);
  }

  // Local frontends without a local endpoint lead to any: pods of this node may use them, as in kube-proxy.
  #servingOf(port: ServicePort, frontend: Frontend): Serving {
    const { cluster = [], local = [] } = port.endpoints;
    const inside = this.#isApart(frontend) ? cluster : local.length > 0 ? local : cluster;
    const endpoints = frontend.policy === 'local' ? inside : cluster;
    const { forward = 'masq' } = port.settings;
    const fromOutside = frontend.kind === 'externalIP' || frontend.kind === 'loadBalancer';
    if (forward === 'masq' || !fromOutside) return { endpoints, forward: 'masq' };
    const other = [...endpoints, ...local].find((each) => each.port !== frontend.port);
    if (other === undefined) return { endpoints, forward };
    this.problems.push(
      `Service ${port.namespace}/${port.service}: annotation ipvs/forward: ${forward} does not change the port, and ${joinHostPort(other.address, other.port)} is not at ${frontend.port}; masq for ${frontend.kind} ${joinHostPort(frontend.address, frontend.port)}`,
    );
    return { endpoints, forward: 'masq' };
  }

  #isApart(frontend: Frontend): boolean {
    return this.#separate && frontend.kind !== 'clusterIP' && frontend.policy === 'local';
  }

  #serve(
    port: ServicePort,
    frontend: Frontend,
    addresses: readonly string[],
    serving: Serving,
    served: Served,
  ): void {
    const { protocol } = port;
    const apart = this.#isApart(frontend);
    for (const address of addresses) {
      const key = { protocol, address, port: frontend.port };
      this.#server(port, key, serving, served);
      const entry = `${address},${protocol}:${frontend.port}`;
      if (!port.endpoints.anywhere) {
        if (this.options.reject) this.sets.add('KUBE-NO-ENDPOINTS', entry);
      } else if (apart && port.endpoints.local?.length === 0) {
        this.sets.add('KUBE-NO-LOCAL-ENDPOINTS', entry);
      }
      if (apart) {
        const mark = this.#marks.of(`${port.name}/${protocol}/${serving.forward}`);
        this.sets.add('KUBE-EXTERNAL-MARK', `${entry} skbmark 0x${mark.toString(16)}`);
        const local = { endpoints: port.endpoints.local ?? [], forward: serving.forward };
        this.#server(port, { fwmark: mark, family: this.family }, local, served);
      }
    }
  }

  #server(port: ServicePort, key: ServiceKey, serving: Serving, served: Served): void {
    const id = serviceId(key);
    if (this.servers.has(id)) return;
    const { affinity, settings } = port;
    const { scheduler, schedulerFlags } =
      settings.scheduler === undefined
        ? this.options
        : settled(settings.scheduler, settings.schedulerFlags);
    const flags = schedulerFlags.length > 0 ? { schedulerFlags } : {};
    const persistence = affinity && { persistence: { timeout: affinity.timeout } };
    // Assigned and not spread: a spread in front of other fields gives each object a hidden class of its own.
    const server = Object.assign(Object.assign({}, key, { scheduler }, flags), persistence, {
      destinations: toDestinations(serving, served),
    });
    this.servers.set(id, server);
  }
}

/** Lists of destinations made for a port, by endpoints and method: frontends that lead to the same ones share a list. */
type Served = Map<readonly Endpoint[], Partial<Record<Forward, readonly Destination[]>>>;

function toDestinations({ endpoints, forward }: Serving, served: Served): readonly Destination[] {
  let lists = served.get(endpoints);
  if (lists === undefined) served.set(endpoints, (lists = {}));
  return (lists[forward] ??= endpoints.map(({ address, port, weight = 1 }) =>
    forward === 'masq' ? { address, port, weight } : { address, port, forward, weight },
  ));
}
