// The chains that a port has of its own: which endpoints they lead to, in which shares, and who may come that way.
import { joinHostPort } from '../address';
import { show } from '../errors';
import { parseCidr } from '../kube/cidr';
import type { Endpoint } from '../kube/types';
import type { Protocol } from '../model';
import { endpointDigest, prefixOf } from './names';
import { asWritten, hostPortOf, shapeOf, type Rule } from './rule';
import type { Dump, Table } from './save';
import { weightsOf } from './weights';

/** What the chains of a port say. */
export interface Found {
  cluster: Endpoint[] | undefined;
  local: Endpoint[] | undefined;
  timeout: number | undefined;
  /** Of addresses, that count as one client. */
  prefix: number | undefined;
}

interface Named {
  readonly name: string;
  readonly protocol: Protocol;
  readonly hash: string;
}

/** An endpoint's chain. */
interface Leaf {
  readonly endpoint: Endpoint;
  /** Whose it says it is. */
  readonly comment: string | undefined;
}

type Report = (rule: Rule, problem: string) => void;
const NONE: Table = new Map();

export class PortChains {
  readonly #table: Table;
  readonly #leaves = new Map<string, Leaf | undefined>();

  constructor(
    readonly dump: Dump,
    readonly prefix: string,
    readonly report: Report,
  ) {
    this.#table = dump.tables.get('nat') ?? NONE;
  }

  /** A rule leads to a chain, which a whole text has. */
  mustHave(rule: Rule): void {
    if (!this.#table.has(rule.target ?? ''))
      this.report(rule, `it leads to ${asWritten(rule.target ?? '')}, which is not in the text`);
  }

  /** What the outside of a port leads to: only rules of policy Local look at where somebody is. */
  policyOf(hash: string): 'cluster' | 'local' {
    const rules = this.#rules('EXT', hash);
    const local = `${this.prefix}-SVL-${hash}`;
    return rules.some(({ target, sourceType }) => target === local || sourceType !== undefined)
      ? 'local'
      : 'cluster';
  }

  /** CIDRs that a port's guard lets in; after them it lets in the addresses themselves, for the node. */
  rangesOf(hash: string): readonly string[] {
    const ranges: string[] = [];
    for (const rule of this.#rules('FW', hash)) {
      const shape = shapeOf(rule);
      if (shape === '' && rule.target === undefined) continue;
      const { text = '', not = false } = rule.source ?? {};
      const cidr = parseCidr(
        text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`,
      );
      if (shape !== 's' || not || cidr === undefined || rule.target !== this.#name('EXT', hash))
        this.#odd(rule, this.#name('FW', hash));
      else ranges.push(cidr.text);
    }
    return ranges;
  }

  /** Reads the chains of ports, by their hash. */
  read(ports: readonly Named[]): ReadonlyMap<string, Found> {
    const found = new Map<string, Found>();
    const byName = new Map<string, Named[]>();
    for (const port of ports) {
      const { hash, name } = port;
      const one: Found = {
        cluster: undefined,
        local: undefined,
        timeout: undefined,
        prefix: undefined,
      };
      one.cluster = this.#dispatch('SVC', port, one);
      one.local = this.#dispatch('SVL', port, one);
      found.set(hash, one);
      this.#external(hash);
      const list = byName.get(name);
      if (list === undefined) byName.set(name, [port]);
      else list.push(port);
    }
    this.#unused(byName, found);
    return found;
  }

  #name(kind: string, hash: string): string {
    return `${this.prefix}-${kind}-${hash}`;
  }

  #rules(kind: string, hash: string): readonly Rule[] {
    return this.#table.get(this.#name(kind, hash)) ?? [];
  }

  #odd(rule: Rule, chain: string): void {
    this.report(
      rule,
      `chain ${chain}: ${rule.odd ?? show(rule.target)} is not known here; passed over`,
    );
  }

  // Nothing more is read of it: what it lets by is known.
  #external(hash: string): void {
    const chain = this.#name('EXT', hash);
    const known = ['SVC', 'SVL'].map((kind) => this.#name(kind, hash));
    known.push(`${this.prefix}-MARK-MASQ`);
    for (const rule of this.#rules('EXT', hash)) {
      const fits = ['', 's', 'i', 'stype'].includes(shapeOf(rule));
      if (!fits || !known.includes(rule.target ?? '')) this.#odd(rule, chain);
    }
  }

  #dispatch(kind: 'SVC' | 'SVL', port: Named, found: Found): Endpoint[] | undefined {
    const chain = this.#name(kind, port.hash);
    const rules = this.#table.get(chain);
    if (rules === undefined) return undefined;
    const shares = new Map<string, number>();
    const kept = new Set<string>();
    for (const rule of rules) {
      const { target = '', probability, seconds, mask } = rule;
      if (target === `${this.prefix}-MARK-MASQ`) continue;
      const shape = shapeOf(rule);
      if (!target.startsWith(`${this.prefix}-SEP-`) || this.#leaf(target, port) === undefined) {
        this.#odd(rule, chain);
      } else if (shape === 'check seconds' && /^\d{1,6}$/.test(seconds ?? '')) {
        found.timeout ??= Number(seconds);
        found.prefix ??= prefixOf(mask, this.dump.family);
        kept.add(target);
      } else if (shape === '' || shape === 'probability') {
        const chance = probability === undefined ? 1 : Number(probability);
        if (chance > 0 && chance <= 1 && !shares.has(target)) shares.set(target, chance);
        else this.#odd(rule, chain);
      } else this.#odd(rule, chain);
    }
    return this.#endpoints(shares, kept, port, rules[0]);
  }

  #endpoints(
    shares: ReadonlyMap<string, number>,
    kept: ReadonlySet<string>,
    port: Named,
    first: Rule | undefined,
  ): Endpoint[] {
    const chances = [...shares.values()];
    const weights = weightsOf(chances);
    if (weights === undefined && first !== undefined) {
      this.report(first, `${port.name}: no whole weights make its shares; each taken as 1`);
    }
    const list = [...shares.keys()].map((chain, i) =>
      this.#weighted(chain, port, weights?.[i] ?? 1),
    );
    // Those that know it go on, but nobody new comes.
    const drained = [...kept].filter((chain) => !shares.has(chain));
    return [...list, ...drained.map((chain) => this.#weighted(chain, port, 0))].filter(
      (endpoint) => endpoint !== undefined,
    );
  }

  #weighted(chain: string, port: Named, weight: number): Endpoint | undefined {
    const leaf = this.#leaf(chain, port);
    if (leaf === undefined) return undefined;
    return weight === 1 ? leaf.endpoint : { ...leaf.endpoint, weight };
  }

  #leaf(chain: string, port?: Named): Leaf | undefined {
    if (!this.#leaves.has(chain)) this.#leaves.set(chain, this.#readLeaf(chain, port));
    return this.#leaves.get(chain);
  }

  #readLeaf(chain: string, port: Named | undefined): Leaf | undefined {
    for (const rule of this.#table.get(chain) ?? []) {
      if (rule.target === `${this.prefix}-MARK-MASQ`) continue;
      const shape = shapeOf(rule);
      const endpoint = hostPortOf(rule.to ?? '', this.dump.family);
      const fits = rule.target === 'DNAT' && (shape === 'p to' || shape === 'p set to');
      if (fits && endpoint !== undefined) {
        return { endpoint: { ...endpoint, local: false }, comment: rule.comment };
      }
      if (port !== undefined) this.#odd(rule, chain);
    }
    return undefined;
  }

  // Written, but nothing leads there: endpoints that get nothing. The chain's name tells whose it is.
  #unused(ports: ReadonlyMap<string, readonly Named[]>, found: ReadonlyMap<string, Found>): void {
    for (const chain of this.#table.keys()) {
      if (!chain.startsWith(`${this.prefix}-SEP-`) || this.#leaves.has(chain)) continue;
      const leaf = this.#leaf(chain);
      for (const { name, protocol, hash } of ports.get(leaf?.comment ?? '') ?? []) {
        if (leaf === undefined) continue;
        const { address, port } = leaf.endpoint;
        if (
          chain !==
          `${this.prefix}-SEP-${endpointDigest(name, protocol, joinHostPort(address, port))}`
        )
          continue;
        const lists = found.get(hash);
        const endpoint = { ...leaf.endpoint, weight: 0 };
        const list = lists?.cluster ?? lists?.local;
        if (list !== undefined) list.push(endpoint);
        else if (lists !== undefined) lists.cluster = [endpoint];
      }
    }
  }
}
