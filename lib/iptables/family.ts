// The rules of one family as text: what all ports put into the chains of all, and the chains of each.
import { InvalidInput, show } from '../errors';
import { compareText } from '../kube/read';
import type { ServicePort } from '../kube/types';
import { atOnce, type Work } from '../turns';
import { checkPort, portsOf } from './check';
import { tops, type Top } from './fixed';
import type { Settings } from './options';
import { countOf, partOf, type Head, type Part } from './part';

export type Table = 'filter' | 'nat';
export const TABLES: readonly Table[] = ['filter', 'nat'];

/** With more endpoints than these, rules of endpoints go without comments. */
const LARGE = 1000;

/** The ports of a family, and how they are written: when it is asked for, as most is never read. */
export class FamilyRules {
  /** More endpoints than comments are worth. */
  readonly large: boolean;
  #heads: readonly Head[] | undefined;
  #names: readonly string[] | undefined;

  /**
   * @param ports - in order, checked
   * @param endpoints - how many the ports lead to
   */
  constructor(
    readonly settings: Settings,
    readonly ports: readonly ServicePort[],
    readonly endpoints: number,
  ) {
    this.large = settings.largeCluster ?? endpoints > LARGE;
  }

  /** What each port has in the chains of all. */
  get heads(): readonly Head[] {
    return (this.#heads ??= this.ports.map((port) => this.partOf(port).head));
  }

  /** Spares the work, where it is known what each port has. */
  set heads(heads: readonly Head[]) {
    this.#heads = heads;
  }

  partOf(port: ServicePort): Part {
    return partOf(port, this.settings, this.large);
  }

  tops(table: Table): ReadonlyMap<string, Top> {
    return tops(this.settings, table);
  }

  /** A chain of all, whole. */
  rulesOfTop({ which, tail }: Top): string {
    return which === undefined ? tail : this.heads.map((head) => head[which]).join('') + tail;
  }

  /** The chains of ports, in the order of the text. */
  names(): readonly string[] {
    return (this.#names ??= this.ports.flatMap((port) =>
      this.partOf(port).chains.map(({ name }) => name),
    ));
  }

  /**
   * Everything, for a restore.
   * @param present - chains of nat that are there: those of ports that are no more are removed
   */
  text(present: Iterable<string> = []): string {
    return atOnce(this.writing(present));
  }

  /** The same as work to be done in turns. */
  *writing(present: Iterable<string> = []): Work<string> {
    const heads: Head[] = [];
    const names: string[] = [];
    const bodies: string[] = [];
    for (const port of this.ports) {
      const { head, chains } = this.partOf(port);
      heads.push(head);
      for (const { name } of chains) names.push(name);
      // One text a port at once: the many pieces of a large cluster would be in the way of the garbage collector.
      bodies.push(chains.map(({ rules }) => rules).join(''));
      yield;
    }
    this.#heads = heads;
    this.#names = names;
    const stale = this.stale(present);
    const body = bodies.join('');
    yield;
    const filter = this.#table('filter', [], '');
    yield;
    return filter + this.#table('nat', [...names, ...stale], body, stale);
  }

  /** Which of those chains were written for a port that is no more. */
  stale(present: Iterable<string>): readonly string[] {
    const form = new RegExp(`^${this.settings.prefix}-(?:SVC|SVL|SEP|EXT|FW)-[A-Z2-7]{16}$`);
    const wanted = new Set(this.names());
    return [...new Set(present)].filter((name) => form.test(name) && !wanted.has(name));
  }

  #table(name: Table, own: readonly string[], body: string, stale: readonly string[] = []): string {
    const chains = this.tops(name);
    const fixed = [...chains.values()].map((top) => this.rulesOfTop(top)).join('');
    return restore(name, [...chains.keys(), ...own], fixed + body, stale);
  }
}

/** A table as a restore has it: chains to be emptied or made, rules, chains to be removed. */
export function restore(
  table: Table,
  emptied: readonly string[],
  rules: string,
  removed: readonly string[],
): string {
  const declared = emptied.map((chain) => `:${chain} - [0:0]\n`).join('');
  const gone = removed.map((chain) => `-X ${chain}\n`).join('');
  return `*${table}\n${declared}${rules}${gone}COMMIT\n`;
}

/** The rules for those ports that are of the family. Throws InvalidInput for what cannot be written. */
export function familyRules(ports: readonly ServicePort[], settings: Settings): FamilyRules {
  const own = inOrder(portsOf(ports, settings.family));
  let endpoints = 0;
  for (const port of own) {
    checkPort(port);
    endpoints += countOf(port);
  }
  return new FamilyRules(settings, own, endpoints);
}

/** How ports are told apart and sorted within a family. */
export function comparePorts(a: ServicePort, b: ServicePort): number {
  return compareText(a.name, b.name) || compareText(a.protocol, b.protocol);
}

/** As a map has them; one made by hand may not. Throws InvalidInput for one that is there twice. */
export function inOrder(ports: readonly ServicePort[]): readonly ServicePort[] {
  const risen = ports.every((port, i) => {
    const before = ports[i - 1];
    return before === undefined || comparePorts(before, port) < 0;
  });
  if (risen) return ports;
  const sorted = [...ports].sort(comparePorts);
  const double = sorted.find((port, i) => {
    const before = sorted[i - 1];
    return before !== undefined && comparePorts(before, port) === 0;
  });
  if (double === undefined) return sorted;
  throw new InvalidInput(
    `map: ${show(double.name)} over ${double.protocol} is there twice: use what serviceMap() or fromServers() gave`,
  );
}
