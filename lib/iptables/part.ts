// One service port: what it has in the chains of all, and its own chains. Nothing of it depends on any other port.
import { joinHostPort } from '../address';
import { contains, parseCidr } from '../kube/cidr';
import type { Endpoint, Frontend, ServicePort } from '../kube/types';
import { checkPort } from './check';
import { endpointDigest, netmask, portDigest, probability } from './names';
import type { Settings } from './options';

/** Rules as lines, each ended. */
export interface Part {
  /** In filter. */
  readonly services: string;
  readonly external: string;
  readonly health: string;
  readonly firewall: string;
  /** In nat. */
  readonly portals: string;
  readonly nodePorts: string;
  /** Its own chains, all in nat. */
  readonly chains: ReadonlyMap<string, string>;
}

/** Writes the rules of a port. Throws InvalidInput for one that cannot be written. */
export function partOf(port: ServicePort, settings: Settings, large: boolean): Part {
  checkPort(port);
  return new PartWriter(port, settings, large).write();
}

/** Endpoints that a port leads to on any way, each once. */
export function reachable({ endpoints }: ServicePort): readonly Endpoint[] {
  const { cluster, local } = endpoints;
  if (local === undefined || cluster === undefined) return cluster ?? local ?? [];
  const known = new Set(cluster.map(textOf));
  return [...cluster, ...local.filter((each) => !known.has(textOf(each)))];
}

function textOf({ address, port }: Endpoint): string {
  return joinHostPort(address, port);
}

class PartWriter {
  services = '';
  external = '';
  health = '';
  firewall = '';
  portals = '';
  nodePorts = '';
  readonly chains = new Map<string, string>();
  readonly #name: string;
  readonly #hash: string;
  readonly #only: string;
  readonly #masq: string;
  /** Weights are shares. */
  readonly #weights: boolean;
  /** Some endpoint takes new connections. */
  readonly #anywhere: boolean;
  readonly #endpoints = new Map<string, string>();

  constructor(
    readonly port: ServicePort,
    readonly settings: Settings,
    readonly large: boolean,
  ) {
    const { name, protocol } = port;
    this.#name = name;
    this.#hash = portDigest(name, protocol);
    this.#only = `-m ${protocol} -p ${protocol}`;
    this.#masq = `-j ${settings.prefix}-MARK-MASQ`;
    this.#weights = settings.weights || port.server === true;
    this.#anywhere =
      port.endpoints.anywhere &&
      !(this.#weights && reachable(port).every(({ weight }) => weight === 0));
  }

  write(): Part {
    const { frontends, endpoints, healthCheckNodePort } = this.port;
    const external = frontends.filter(({ kind }) => kind !== 'clusterIP');
    const balanced = external.filter(({ kind }) => kind === 'loadBalancer');
    // Barred to all but some: an empty list admits nobody.
    const guarded = balanced.filter(({ sourceRanges }) => sourceRanges !== undefined);
    for (const frontend of frontends) this.#frontend(frontend);
    if (this.#anywhere) {
      if (external[0] !== undefined) this.#externalChain(external[0]);
      if (guarded.length > 0) this.#firewallChain(guarded);
      const inside = frontends.find(({ kind }) => kind === 'clusterIP');
      this.#policyChain(
        'SVC',
        endpoints.cluster,
        inside?.policy === 'cluster' ? inside : undefined,
      );
      this.#policyChain('SVL', endpoints.local, inside?.policy === 'local' ? inside : undefined);
    }
    // A server's drained destinations stay to be seen.
    if (this.#anywhere || this.port.server === true) {
      for (const endpoint of reachable(this.port)) this.#endpointChain(endpoint);
    }
    if (healthCheckNodePort !== undefined) {
      this.health += `-A ${this.settings.prefix}-NODEPORTS ${this.#said('health check node port')} -m tcp -p tcp --dport ${healthCheckNodePort} -j ACCEPT\n`;
    }
    const { services, external: outside, health, firewall, portals, nodePorts, chains } = this;
    return { services, external: outside, health, firewall, portals, nodePorts, chains };
  }

  #frontend(frontend: Frontend): void {
    const { prefix } = this.settings;
    const { kind, policy } = frontend;
    const usable = this.#anywhere && (policy === 'cluster' || this.#hasLocal());
    const match = this.#to(frontend);
    if (kind === 'clusterIP') {
      if (usable) {
        const chain = this.#chain(policy === 'local' ? 'SVL' : 'SVC');
        this.portals += `-A ${prefix}-SERVICES ${this.#said('cluster IP')} ${match} -j ${chain}\n`;
      } else {
        this.services += `-A ${prefix}-SERVICES ${this.#refusal(match)}\n`;
        // The address of a server may be the node's own: what comes for it from outside passes INPUT.
        if (this.port.server === true) {
          this.external += `-A ${prefix}-EXTERNAL-SERVICES ${this.#refusal(match)}\n`;
        }
      }
      return;
    }
    if (this.#anywhere) this.#wayIn(frontend, match);
    if (!usable) this.external += `-A ${prefix}-EXTERNAL-SERVICES ${this.#refusal(match)}\n`;
  }

  #wayIn(frontend: Frontend, match: string): void {
    const { prefix, localhostNodePorts, nfacct } = this.settings;
    const chain = this.#chain('EXT');
    if (frontend.kind === 'externalIP') {
      this.portals += `-A ${prefix}-SERVICES ${this.#said('external IP')} ${match} -j ${chain}\n`;
    } else if (frontend.kind === 'nodePort') {
      const rule = `-A ${prefix}-NODEPORTS ${this.#said()} ${this.#only} --dport ${frontend.port}`;
      if (localhostNodePorts && nfacct) {
        this.nodePorts += `${rule} -d 127.0.0.0/8 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j ${chain}\n`;
      }
      this.nodePorts += `${rule} -j ${chain}\n`;
    } else {
      const guard = this.#chain('FW');
      const guarded = frontend.sourceRanges !== undefined;
      this.portals += `-A ${prefix}-SERVICES ${this.#said('loadbalancer IP')} ${match} -j ${guarded ? guard : chain}\n`;
      if (guarded) {
        this.firewall += `-A ${prefix}-PROXY-FIREWALL ${this.#said(`traffic not accepted by ${guard}`)} ${match} -j DROP\n`;
      }
    }
  }

  #hasLocal(): boolean {
    const { local = [] } = this.port.endpoints;
    return this.#weights ? local.some(({ weight }) => weight !== 0) : local.length > 0;
  }

  // A drop where another node may have an endpoint: whoever balances the load may try that.
  #refusal(match: string): string {
    return this.#anywhere
      ? `${this.#said('has no local endpoints')} ${match} -j DROP`
      : `${this.#said('has no endpoints')} ${match} -j REJECT`;
  }

  #externalChain({ policy }: Frontend): void {
    const { prefix, detect } = this.settings;
    const chain = this.#chain('EXT');
    const rule = `-A ${chain}`;
    const svc = this.#chain('SVC');
    const to = 'external destinations';
    if (policy === 'cluster') {
      this.chains.set(
        chain,
        `${rule} ${comment(`masquerade traffic for ${this.#name} ${to}`)} ${this.#masq}\n${rule} -j ${svc}\n`,
      );
      return;
    }
    const own = '-m addrtype --src-type LOCAL';
    let rules = '';
    if (detect) {
      rules += `${rule} ${comment(`pod traffic for ${this.#name} ${to}`)} ${detect.local} -j ${svc}\n`;
    }
    rules += `${rule} ${comment(`masquerade LOCAL traffic for ${this.#name} ${to}`)} ${own} -j ${prefix}-MARK-MASQ\n`;
    rules += `${rule} ${comment(`route LOCAL traffic for ${this.#name} ${to}`)} ${own} -j ${svc}\n`;
    if (this.#hasLocal()) rules += `${rule} -j ${this.#chain('SVL')}\n`;
    this.chains.set(chain, rules);
  }

  #firewallChain(guarded: readonly Frontend[]): void {
    const { prefix, nodeAddress } = this.settings;
    const chain = this.#chain('FW');
    const rule = `-A ${chain} ${this.#said('loadbalancer IP')}`;
    const admit = (source: string): string => `${rule} -s ${source} -j ${this.#chain('EXT')}\n`;
    const ranges = guarded[0]?.sourceRanges ?? [];
    const own = ranges.some((range) => {
      const cidr = parseCidr(range);
      return nodeAddress !== undefined && cidr !== undefined && contains(cidr, nodeAddress);
    });
    // The node may reach the address from that very address.
    const vips = own ? guarded.map(({ address }) => admit(address)).join('') : '';
    const last = `-A ${chain} ${comment(`other traffic to ${this.#name} will be dropped by ${prefix}-PROXY-FIREWALL`)}\n`;
    this.chains.set(chain, ranges.map(admit).join('') + vips + last);
  }

  #policyChain(
    kind: 'SVC' | 'SVL',
    endpoints: readonly Endpoint[] | undefined,
    inside: Frontend | undefined,
  ): void {
    if (endpoints === undefined || endpoints.length === 0) return;
    const chain = this.#chain(kind);
    const head = inside === undefined ? '' : this.#insideMasquerade(chain, inside);
    this.chains.set(chain, head + this.#dispatch(chain, endpoints));
  }

  #insideMasquerade(chain: string, inside: Frontend): string {
    const { masqueradeAll, detect } = this.settings;
    const rule = `-A ${chain} ${this.#said('cluster IP')} ${this.#to(inside)}`;
    if (masqueradeAll) return `${rule} ${this.#masq}\n`;
    return detect === undefined ? '' : `${rule} ${detect.notLocal} ${this.#masq}\n`;
  }

  #dispatch(chain: string, endpoints: readonly Endpoint[]): string {
    const shares = endpoints.map(({ weight = 1 }) => (this.#weights ? weight : 1));
    let rules = '';
    if (this.port.affinity !== undefined) {
      const { timeout } = this.port.affinity;
      endpoints.forEach((endpoint, i) => {
        if (shares[i] === 0) return;
        const target = this.#endpoint(endpoint);
        rules += `-A ${chain} ${this.#leadsTo(endpoint)}-m recent --name ${target} --rcheck --seconds ${timeout} --reap${this.#mask()} -j ${target}\n`;
      });
    }
    let rest = shares.reduce((sum, share) => sum + share, 0);
    endpoints.forEach((endpoint, i) => {
      const share = shares[i] ?? 0;
      if (share === 0) return;
      const chance = `-m statistic --mode random --probability ${probability(share, rest)} `;
      rules += `-A ${chain} ${this.#leadsTo(endpoint)}${share === rest ? '' : chance}-j ${this.#endpoint(endpoint)}\n`;
      rest -= share;
    });
    return rules;
  }

  #endpointChain(endpoint: Endpoint): void {
    const chain = this.#endpoint(endpoint);
    const said = this.large ? '' : `${this.#said()} `;
    const stamp =
      this.port.affinity === undefined ? '' : `-m recent --name ${chain} --set${this.#mask()} `;
    this.chains.set(
      chain,
      `-A ${chain} ${said}-s ${endpoint.address} ${this.#masq}\n` +
        `-A ${chain} ${said}${stamp}${this.#only} -j DNAT --to-destination ${textOf(endpoint)}\n`,
    );
  }

  // Who counts as one client: those that share leading bits.
  #mask(): string {
    const prefix = this.port.affinity?.prefix;
    return prefix === undefined ? '' : ` --mask ${netmask(prefix, this.port.family)}`;
  }

  #chain(kind: 'SVC' | 'SVL' | 'EXT' | 'FW'): string {
    return `${this.settings.prefix}-${kind}-${this.#hash}`;
  }

  #endpoint(endpoint: Endpoint): string {
    const text = textOf(endpoint);
    let chain = this.#endpoints.get(text);
    if (chain === undefined) {
      const { name, protocol } = this.port;
      const { address, port } = endpoint;
      chain = `${this.settings.prefix}-SEP-${endpointDigest(name, protocol, address, port)}`;
      this.#endpoints.set(text, chain);
    }
    return chain;
  }

  #to({ kind, address, port }: Frontend): string {
    return kind === 'nodePort'
      ? `-m addrtype --dst-type LOCAL ${this.#only} --dport ${port}`
      : `${this.#only} -d ${address} --dport ${port}`;
  }

  #said(what = ''): string {
    return comment(what === '' ? this.#name : `${this.#name} ${what}`);
  }

  #leadsTo(endpoint: Endpoint): string {
    return this.large ? '' : `${this.#said(`-> ${textOf(endpoint)}`)} `;
  }
}

/** A comment as rules have it: in quotes where it has spaces. */
export function comment(text: string): string {
  return `-m comment --comment ${text.includes(' ') ? `"${text}"` : text}`;
}
