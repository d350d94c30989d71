// The rules of one family as the ports they serve: ways in from the chains of all, endpoints from each port's own.
import { joinHostPort, parsePort } from '../address';
import { show } from '../errors';
import { compareText } from '../kube/read';
import type { Endpoint, Frontend, ServicePort } from '../kube/types';
import type { Family, Protocol } from '../model';
import { PortChains, type Found } from './chains';
import { portDigest } from './names';
import { asWritten, hostOf, shapeOf, type Rule } from './rule';
import type { Dump } from './save';

export interface ReadDump {
  readonly family: Family;
  readonly ports: readonly ServicePort[];
  readonly nodePortAddresses: readonly string[] | undefined;
  /** Its rules stand beside IPVS, which has the services. */
  readonly besideIpvs: boolean;
  readonly problems: readonly string[];
}

/** What the ways in to a port say of it. */
interface Port {
  readonly name: string;
  readonly protocol: Protocol;
  readonly hash: string;
  readonly frontends: Map<string, Frontend>;
  /** Some rule refuses for want of any endpoint. */
  empty: boolean;
  healthCheckNodePort: number | undefined;
}

// What part.ts lets stand between the quotes of a comment, and Kubernetes gives as a name.
const NAME = /^(?!\/)[-\w./:[\]]{1,300}$/;
const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  ...{ tcp: 'tcp', udp: 'udp', sctp: 'sctp' },
  ...{ 6: 'tcp', 17: 'udp', 132: 'sctp' },
};
const KINDS: readonly Frontend['kind'][] = ['clusterIP', 'externalIP', 'loadBalancer', 'nodePort'];
const WAYS: Readonly<Record<string, Frontend['kind']>> = {
  'cluster IP': 'clusterIP',
  'external IP': 'externalIP',
  'loadbalancer IP': 'loadBalancer',
};

export class DumpReader {
  readonly #ports = new Map<string, Port>();
  readonly #problems: string[] = [];
  readonly #chains: PortChains;
  #open: string[] = [];
  #openEverywhere = true;
  #besideIpvs = false;

  constructor(
    readonly dump: Dump,
    readonly prefix: string,
  ) {
    this.#chains = new PortChains(dump, prefix, (rule, problem) => {
      this.#problems.push(`${rule.place}: ${problem}`);
    });
  }

  read(): ReadDump {
    const { family } = this.dump;
    this.#each('nat', 'SERVICES', (rule) => this.#portal(rule));
    this.#each('nat', 'NODEPORTS', (rule) => this.#nodePort(rule));
    this.#each('filter', 'SERVICES', (rule) => this.#refusal(rule, true));
    this.#each('filter', 'EXTERNAL-SERVICES', (rule) => this.#refusal(rule, false));
    this.#each('filter', 'NODEPORTS', (rule) => this.#healthCheck(rule));
    const ports = [...this.#ports.values()].filter(({ frontends }) => frontends.size > 0);
    const found = this.#chains.read(ports);
    return {
      family,
      ports: ports.map((port) => this.#toPort(port, found.get(port.hash))),
      nodePortAddresses: this.#openEverywhere ? undefined : this.#open,
      besideIpvs: this.#besideIpvs,
      problems: this.#problems,
    };
  }

  /** Reads the rules of a chain; those that tell nothing are problems. */
  #each(table: string, name: string, read: (rule: Rule) => string | undefined): void {
    const chain = `${this.prefix}-${name}`;
    for (const rule of this.dump.tables.get(table)?.get(chain) ?? []) {
      const problem = read(rule);
      if (problem === undefined) continue;
      this.#problems.push(`${rule.place}: chain ${chain}: ${problem}; passed over`);
    }
  }

  #portal(rule: Rule): string | undefined {
    if (rule.sets) {
      this.#otherMode();
      return undefined;
    }
    if (rule.target === `${this.prefix}-NODEPORTS`) return this.#openAt(rule);
    const found = this.#who(rule, 'd p port');
    if (typeof found === 'string') return found;
    const { port, what, number } = found;
    const kind = WAYS[what];
    const address = hostOf(rule.destination?.text ?? '', this.dump.family);
    if (kind === undefined || address === undefined) return oddly(rule);
    const chain = this.#target(
      rule,
      port.hash,
      kind === 'clusterIP' ? ['SVC', 'SVL'] : ['EXT', 'FW'],
    );
    if (chain === undefined) return mismatch(rule, port.name);
    this.#chains.mustHave(rule);
    if (kind === 'clusterIP') {
      const policy = chain === 'SVL' ? 'local' : 'cluster';
      add(port, { kind, address, port: number, policy });
      return undefined;
    }
    const policy = this.#chains.policyOf(port.hash);
    const guarded = chain === 'FW' && kind === 'loadBalancer';
    add(port, { kind, address, port: number, policy, ...(guarded && { sourceRanges: [] }) });
    return undefined;
  }

  // Beside IPVS, kube-proxy names chains alike.
  #otherMode(): void {
    if (!this.#besideIpvs) {
      this.#problems.push(
        `${this.dump.place}: rules of kube-proxy's IPVS mode: services are in IPVS, see ipvsadm -S -n`,
      );
    }
    this.#besideIpvs = true;
  }

  #openAt(rule: Rule): string | undefined {
    const { destination } = rule;
    const shape = shapeOf(rule);
    if (shape === 'd dtype' || shape === 'dtype') return undefined;
    const address = hostOf(destination?.text ?? '', this.dump.family);
    if (shape !== 'd' || address === undefined) return oddly(rule);
    this.#openEverywhere = false;
    this.#open.push(address);
    return undefined;
  }

  #nodePort(rule: Rule): string | undefined {
    // Counts what came by loopback; the rule after it lets the same in.
    if (shapeOf(rule) === 'd p port' && rule.destination?.text === '127.0.0.0/8') return undefined;
    const found = this.#who(rule, 'p port');
    if (typeof found === 'string') return found;
    const { port, what, number } = found;
    if (what !== '') return oddly(rule);
    if (this.#target(rule, port.hash, ['EXT']) === undefined) return mismatch(rule, port.name);
    this.#chains.mustHave(rule);
    const policy = this.#chains.policyOf(port.hash);
    add(port, { kind: 'nodePort', address: '', port: number, policy });
    return undefined;
  }

  #refusal(rule: Rule, inside: boolean): string | undefined {
    if (rule.target !== 'REJECT' && rule.target !== 'DROP') return oddly(rule);
    const atNode = shapeOf(rule).startsWith('dtype');
    const found = this.#who(rule, atNode ? 'dtype p port' : 'd p port');
    if (typeof found === 'string') return found;
    const { port, what, number } = found;
    const empty = what === 'has no endpoints';
    if (!empty && what !== 'has no local endpoints') return oddly(rule);
    const address = atNode ? '' : hostOf(rule.destination?.text ?? '', this.dump.family);
    if (address === undefined || (atNode && inside)) return oddly(rule);
    port.empty ||= empty;
    const policy = empty ? 'cluster' : 'local';
    const kind = atNode ? 'nodePort' : inside ? 'clusterIP' : 'externalIP';
    const known = KINDS.some((each) => port.frontends.has(keyOf(each, address, number)));
    if (inside || !known) add(port, { kind, address, port: number, policy });
    return undefined;
  }

  #healthCheck(rule: Rule): string | undefined {
    const [name, what] = saidBy(rule);
    const number = parsePort(rule.port ?? '');
    if (what !== 'health check node port' || shapeOf(rule) !== 'p port' || number === undefined)
      return oddly(rule);
    const ports = Object.values(PROTOCOLS)
      .map((protocol) => this.#ports.get(`${name}/${protocol}`))
      .filter((port) => port !== undefined);
    if (ports.length === 0) return `no rule serves ${show(name)}`;
    for (const port of ports) port.healthCheckNodePort = number;
    return undefined;
  }

  /** Which port a rule of that shape speaks of, and what it says. */
  #who(rule: Rule, shape: string): { port: Port; what: string; number: number } | string {
    const protocol = PROTOCOLS[rule.protocol ?? ''];
    const number = parsePort(rule.port ?? '');
    if (shapeOf(rule) !== shape || protocol === undefined || number === undefined)
      return oddly(rule);
    const [name, what] = saidBy(rule);
    if (!NAME.test(name) || !name.includes('/')) {
      return rule.comment === undefined
        ? 'no comment says which service it is for'
        : `${show(rule.comment)} does not say which service it is for`;
    }
    const key = `${name}/${protocol}`;
    let port = this.#ports.get(key);
    if (port === undefined) {
      const hash = portDigest(name, protocol);
      port = {
        ...{ name, protocol, hash },
        frontends: new Map(),
        empty: false,
        healthCheckNodePort: undefined,
      };
      this.#ports.set(key, port);
    }
    return { port, what, number };
  }

  /** Which of its port's chains a rule leads to. */
  #target<K extends string>({ target }: Rule, hash: string, kinds: readonly K[]): K | undefined {
    return kinds.find((kind) => target === `${this.prefix}-${kind}-${hash}`);
  }

  #frontends({ frontends, hash }: Port): readonly Frontend[] {
    const all = [...frontends.values()];
    const guarded = all.filter(({ sourceRanges }) => sourceRanges !== undefined);
    const ranges = guarded.length > 0 ? this.#chains.rangesOf(hash) : [];
    const full = this.dump.family === 'ipv4' ? 32 : 128;
    const own = guarded.map(({ address }) => `${address}/${full}`);
    // After the ranges come the addresses themselves where they let the node in: it reaches them from there.
    const rest = ranges.length - own.length;
    const tail = rest > 0 && own.every((range, i) => ranges[rest + i] === range);
    const sourceRanges = tail ? ranges.slice(0, rest) : ranges;
    return KINDS.flatMap((kind) => all.filter((each) => each.kind === kind)).map((each) =>
      each.sourceRanges === undefined ? each : { ...each, sourceRanges },
    );
  }

  #toPort(port: Port, found: Found | undefined): ServicePort {
    const { name, protocol, healthCheckNodePort } = port;
    const [namespace, service] = ownerOf(name);
    const frontends = this.#frontends(port);
    const outside = frontends.find(({ kind }) => kind !== 'clusterIP');
    const externalLocal = outside?.policy === 'local';
    const internalLocal = frontends.some(
      (each) => each.kind === 'clusterIP' && each.policy === 'local',
    );
    const local = found?.local ?? (internalLocal || externalLocal ? [] : undefined);
    const here = new Set(local?.map(textOf));
    const marked = (list: readonly Endpoint[]): readonly Endpoint[] =>
      list
        .map((each) => (here.has(textOf(each)) ? { ...each, local: true } : each))
        .sort((a, b) => compareText(textOf(a), textOf(b)));
    const cluster = found?.cluster ?? (!internalLocal || outside !== undefined ? [] : undefined);
    return {
      name,
      protocol,
      family: this.dump.family,
      ...{ namespace, service },
      frontends,
      ...(namespace === '' && { server: true as const }),
      ...(found?.timeout !== undefined && {
        affinity: {
          timeout: found.timeout,
          ...(found.prefix !== undefined && { prefix: found.prefix }),
        },
      }),
      externalLocal,
      ...(healthCheckNodePort !== undefined && { healthCheckNodePort }),
      endpoints: {
        ...(cluster && { cluster: marked(cluster) }),
        ...(local && { local: marked(local) }),
        anywhere: !port.empty,
        hairpin: marked(local ?? []),
      },
      settings: {},
    };
  }
}

/** Namespace and service of a name; a virtual server, called by its id, has no namespace. */
function ownerOf(name: string): readonly [string, string] {
  const slash = name.indexOf('/');
  if (name.startsWith('://', slash - 1)) return ['', name];
  return [name.slice(0, slash), name.slice(slash + 1).split(':')[0] ?? ''];
}

function add(port: Port, frontend: Frontend): void {
  const key = keyOf(frontend.kind, frontend.address, frontend.port);
  if (!port.frontends.has(key)) port.frontends.set(key, frontend);
}

function keyOf(kind: string, address: string, port: number): string {
  return `${kind} ${joinHostPort(address, port)}`;
}

function textOf({ address, port }: Endpoint): string {
  return joinHostPort(address, port);
}

/** The name that a comment begins with, and the rest of it. */
function saidBy({ comment = '' }: Rule): readonly [string, string] {
  const space = comment.indexOf(' ');
  return space < 0 ? [comment, ''] : [comment.slice(0, space), comment.slice(space + 1)];
}

function oddly({ odd, target }: Rule): string {
  return odd === undefined
    ? `a rule that leads to ${target === undefined ? 'nothing' : asWritten(target)} in a way that is not known here`
    : `${odd} is not known here`;
}

function mismatch({ target }: Rule, name: string): string {
  return `${target === undefined ? 'no target' : asWritten(target)} is no chain of ${asWritten(name)}, which its comment names`;
}
