// One service port: what it has in the chains of all, and its own chains. Nothing of it depends on any other port.
import { joinHostPort } from '../address';
import { contains, parseCidr } from '../kube/cidr';
import type { Endpoint, Frontend, ServicePort } from '../kube/types';
import { endpointDigest, netmask, portDigest, probability } from './names';
import type { Settings } from './options';

/** What a port has in the chains of all: rules as lines, each ended. */
export interface Head {
  /** In filter. */
  readonly services: string;
  readonly external: string;
  readonly health: string;
  readonly firewall: string;
  /** In nat. */
  readonly portals: string;
  readonly nodePorts: string;
}

/** A chain of one port, in nat. */
export interface Chain {
  readonly name: string;
  readonly rules: string;
}

export interface Part {
  readonly head: Head;
  readonly chains: readonly Chain[];
}

/** Writes the rules of a port that `checkPort` let pass. */
export function partOf(port: ServicePort, settings: Settings, large: boolean): Part {
  return new PartWriter(port, settings, large).write();
}

/** How many endpoints a port leads to on any way, each once. */
export function countOf({ endpoints }: ServicePort): number {
  const { cluster = [], local = [] } = endpoints;
  if (cluster.length === 0 || local.length === 0) return cluster.length + local.length;
  return new Set([...cluster, ...local].map(({ address, port }) => joinHostPort(address, port)))
    .size;
}

// Those of the second list that are in the first are the very same.
function union(cluster: readonly Lead[], local: readonly Lead[]): readonly Lead[] {
  if (local.length === 0) return cluster;
  const known = new Set(cluster);
  return [...cluster, ...local.filter((lead) => !known.has(lead))];
}

/** An endpoint and the chain that leads there. */
interface Lead {
  readonly address: string;
  /** Address and port. */
  readonly text: string;
  readonly chain: string;
  /** Of new connections. */
  readonly share: number;
}

class PartWriter {
  services = '';
  external = '';
  health = '';
  firewall = '';
  portals = '';
  nodePorts = '';
  readonly chains: Chain[] = [];
  readonly #name: string;
  readonly #hash: string;
  readonly #only: string;
  readonly #masq: string;
  readonly #cluster: readonly Lead[];
  readonly #local: readonly Lead[];
  /** All that a way leads to, each once. */
  readonly #leads: readonly Lead[];
  /** Some endpoint takes new connections. */
  readonly #anywhere: boolean;
  /** What rules say of the port, bare. */
  readonly #said: string;
  /** The same, to be followed by more and a closing quote. */
  readonly #saying: string;

  constructor(
    readonly port: ServicePort,
    readonly settings: Settings,
    readonly large: boolean,
  ) {
    const { name, protocol, endpoints } = port;
    this.#name = name;
    this.#hash = portDigest(name, protocol);
    this.#only = `-m ${protocol} -p ${protocol}`;
    this.#masq = `-j ${settings.prefix}-MARK-MASQ`;
    this.#said = `-m comment --comment ${name}`;
    this.#saying = `-m comment --comment "${name} `;
    this.#cluster = (endpoints.cluster ?? []).map((each) => this.#lead(each));
    this.#local = this.#localLeads();
    this.#leads = union(this.#cluster, this.#local);
    this.#anywhere =
      endpoints.anywhere &&
      (this.#leads.length === 0 || this.#leads.some(({ share }) => share > 0));
  }

  write(): Part {
    const { frontends, healthCheckNodePort } = this.port;
    const external = frontends.filter(({ kind }) => kind !== 'clusterIP');
    const balanced = external.filter(({ kind }) => kind === 'loadBalancer');
    // Barred to all but some: an empty list admits nobody.
    const guarded = balanced.filter(({ sourceRanges }) => sourceRanges !== undefined);
    for (const frontend of frontends) this.#frontend(frontend);
    if (this.#anywhere) {
      if (external[0] !== undefined) this.#externalChain(external[0]);
      if (guarded.length > 0) this.#firewallChain(guarded);
      const inside = frontends.find(({ kind }) => kind === 'clusterIP');
      this.#policyChain('SVC', this.#cluster, inside?.policy === 'cluster' ? inside : undefined);
      this.#policyChain('SVL', this.#local, inside?.policy === 'local' ? inside : undefined);
    }
    // A server's drained destinations stay to be seen.
    if (this.#anywhere || this.port.server === true) {
      for (const lead of this.#leads) this.#endpointChain(lead);
    }
    if (healthCheckNodePort !== undefined) {
      this.health += `-A ${this.settings.prefix}-NODEPORTS ${this.#saysOf('health check node port')} -m tcp -p tcp --dport ${healthCheckNodePort} -j ACCEPT\n`;
    }
    const { services, external: outside, health, firewall, portals, nodePorts, chains } = this;
    return { head: { services, external: outside, health, firewall, portals, nodePorts }, chains };
  }

  #frontend(frontend: Frontend): void {
    const { prefix } = this.settings;
    const { kind, policy } = frontend;
    const usable = this.#anywhere && (policy === 'cluster' || this.#hasLocal());
    const match = this.#to(frontend);
    if (kind === 'clusterIP') {
      if (usable) {
        const chain = this.#chain(policy === 'local' ? 'SVL' : 'SVC');
        this.portals += `-A ${prefix}-SERVICES ${this.#saysOf('cluster IP')} ${match} -j ${chain}\n`;
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
      this.portals += `-A ${prefix}-SERVICES ${this.#saysOf('external IP')} ${match} -j ${chain}\n`;
    } else if (frontend.kind === 'nodePort') {
      const rule = `-A ${prefix}-NODEPORTS ${this.#said} ${this.#only} --dport ${frontend.port}`;
      if (localhostNodePorts && nfacct) {
        this.nodePorts += `${rule} -d 127.0.0.0/8 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j ${chain}\n`;
      }
      this.nodePorts += `${rule} -j ${chain}\n`;
    } else {
      const guard = this.#chain('FW');
      const guarded = frontend.sourceRanges !== undefined;
      this.portals += `-A ${prefix}-SERVICES ${this.#saysOf('loadbalancer IP')} ${match} -j ${guarded ? guard : chain}\n`;
      if (guarded) {
        this.firewall += `-A ${prefix}-PROXY-FIREWALL ${this.#saysOf(`traffic not accepted by ${guard}`)} ${match} -j DROP\n`;
      }
    }
  }

  #hasLocal(): boolean {
    return this.#local.some(({ share }) => share > 0);
  }

  // A drop where another node may have an endpoint: whoever balances the load may try that.
  #refusal(match: string): string {
    return this.#anywhere
      ? `${this.#saysOf('has no local endpoints')} ${match} -j DROP`
      : `${this.#saysOf('has no endpoints')} ${match} -j REJECT`;
  }

  #externalChain({ policy }: Frontend): void {
    const { prefix, detect } = this.settings;
    const chain = this.#chain('EXT');
    const rule = `-A ${chain}`;
    const svc = this.#chain('SVC');
    const to = 'external destinations';
    if (policy === 'cluster') {
      this.#add(
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
    this.#add(chain, rules);
  }

  #firewallChain(guarded: readonly Frontend[]): void {
    const { prefix, nodeAddress } = this.settings;
    const chain = this.#chain('FW');
    const rule = `-A ${chain} ${this.#saysOf('loadbalancer IP')}`;
    const admit = (source: string): string => `${rule} -s ${source} -j ${this.#chain('EXT')}\n`;
    const ranges = guarded[0]?.sourceRanges ?? [];
    const own = ranges.some((range) => {
      const cidr = parseCidr(range);
      return nodeAddress !== undefined && cidr !== undefined && contains(cidr, nodeAddress);
    });
    // The node may reach the address from that very address.
    const vips = own ? guarded.map(({ address }) => admit(address)).join('') : '';
    const last = `-A ${chain} ${comment(`other traffic to ${this.#name} will be dropped by ${prefix}-PROXY-FIREWALL`)}\n`;
    this.#add(chain, ranges.map(admit).join('') + vips + last);
  }

  #policyChain(kind: 'SVC' | 'SVL', leads: readonly Lead[], inside: Frontend | undefined): void {
    if (leads.length === 0) return;
    const chain = this.#chain(kind);
    const head = inside === undefined ? '' : this.#insideMasquerade(chain, inside);
    this.#add(chain, head + this.#dispatch(chain, leads));
  }

  #insideMasquerade(chain: string, inside: Frontend): string {
    const { masqueradeAll, detect } = this.settings;
    const rule = `-A ${chain} ${this.#saysOf('cluster IP')} ${this.#to(inside)}`;
    if (masqueradeAll) return `${rule} ${this.#masq}\n`;
    return detect === undefined ? '' : `${rule} ${detect.notLocal} ${this.#masq}\n`;
  }

  #dispatch(chain: string, leads: readonly Lead[]): string {
    const { affinity } = this.port;
    const begin = `-A ${chain} `;
    let rules = '';
    if (affinity !== undefined) {
      const within = ` --rcheck --seconds ${affinity.timeout} --reap${this.#mask()} -j `;
      for (const lead of leads) {
        if (lead.share === 0) continue;
        rules += `${begin}${this.#leadsTo(lead)}-m recent --name ${this.#list(lead.chain)}${within}${lead.chain}\n`;
      }
    }
    let rest = 0;
    for (const { share } of leads) rest += share;
    for (const lead of leads) {
      const { share } = lead;
      if (share === 0) continue;
      const chance =
        share === rest
          ? ''
          : `-m statistic --mode random --probability ${probability(share, rest)} `;
      rules += `${begin}${this.#leadsTo(lead)}${chance}-j ${lead.chain}\n`;
      rest -= share;
    }
    return rules;
  }

  #endpointChain({ chain, address, text }: Lead): void {
    const begin = this.large ? `-A ${chain} ` : `-A ${chain} ${this.#said} `;
    const stamp =
      this.port.affinity === undefined
        ? ''
        : `-m recent --name ${this.#list(chain)} --set${this.#mask()} `;
    this.#add(
      chain,
      `${begin}-s ${address} ${this.#masq}\n${begin}${stamp}${this.#only} -j DNAT --to-destination ${text}\n`,
    );
  }

  #add(name: string, rules: string): void {
    this.chains.push({ name, rules });
  }

  // The kernel keeps the mask of a list as it was first told, as long as any rule names the list.
  #list(chain: string): string {
    const prefix = this.port.affinity?.prefix;
    return prefix === undefined ? chain : `${chain}-${prefix}`;
  }

  // Who counts as one client: those that share leading bits.
  #mask(): string {
    const prefix = this.port.affinity?.prefix;
    return prefix === undefined ? '' : ` --mask ${netmask(prefix, this.port.family)}`;
  }

  #chain(kind: 'SVC' | 'SVL' | 'EXT' | 'FW'): string {
    return `${this.settings.prefix}-${kind}-${this.#hash}`;
  }

  #lead({ address, port, weight = 1 }: Endpoint): Lead {
    const { name, protocol, server } = this.port;
    const text = joinHostPort(address, port);
    return {
      address,
      text,
      chain: `${this.settings.prefix}-SEP-${endpointDigest(name, protocol, text)}`,
      share: this.settings.weights || server === true ? weight : 1,
    };
  }

  #localLeads(): readonly Lead[] {
    const { local = [] } = this.port.endpoints;
    if (local.length === 0) return [];
    const known = new Map(this.#cluster.map((lead) => [lead.text, lead]));
    return local.map(
      (each) => known.get(joinHostPort(each.address, each.port)) ?? this.#lead(each),
    );
  }

  #to({ kind, address, port }: Frontend): string {
    return kind === 'nodePort'
      ? `-m addrtype --dst-type LOCAL ${this.#only} --dport ${port}`
      : `${this.#only} -d ${address} --dport ${port}`;
  }

  #saysOf(what: string): string {
    return `${this.#saying}${what}"`;
  }

  #leadsTo({ text }: Lead): string {
    return this.large ? '' : `${this.#saying}-> ${text}" `;
  }
}

/** A comment as rules have it: in quotes where it has spaces. */
export function comment(text: string): string {
  return `-m comment --comment ${text.includes(' ') ? `"${text}"` : text}`;
}
