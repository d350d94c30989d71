// Rules of kube-proxy's iptables mode, and of the writer here, as the service map that they were made of.
import { InvalidInput, show } from '../errors';
import { compareText, toRecord } from '../kube/read';
import type { HealthCheck, ServiceMap, ServicePort } from '../kube/types';
import type { Family } from '../model';
import { onlyNames } from '../settings';
import { DumpReader } from './dump';
import { toPrefix } from './names';
import { readSaved, type Dump, type Source } from './save';

/** How to read rules. @public */
export interface ParseIptablesOptions {
  /** Of rules that neither say it nor have an address. @defaultValue `'ipv4'` */
  readonly family?: Family;
  /** What the names of chains begin with. @defaultValue `'KUBE'` */
  readonly prefix?: string;
  /** Where the text is from, for problems. */
  readonly file?: string;
}

/**
 * A service map read from rules: what rules tell, which is less than what they were made from. Endpoints are known to be of
 * this node where they are in the list of a policy Local. A port without any endpoint has policy Cluster and neither
 * affinity nor source ranges, and its load-balancer addresses are external ones. Weights are the least that make the same
 * shares. Annotations have left no trace but those.
 * @public
 */
export interface IptablesMap extends ServiceMap {
  /** Those whose services are in the rules. */
  readonly families: readonly Family[];
  /** Where node ports are open, each family for itself. Absent: on every address. */
  readonly nodePortAddresses: Readonly<Partial<Record<Family, readonly string[]>>>;
}

/**
 * Reads what `iptables-save` and `ip6tables-save` print, both makes of them, with counters or without: the services that
 * kube-proxy's iptables mode (1.24 and later) or {@link iptablesProgram} wrote. Total: what it does not understand is a
 * problem that names the line. Throws IpvsError `ERR_IPVS_INVALID` for options that make no sense.
 * @public
 */
export function parseIptables(text: string, options: ParseIptablesOptions = {}): IptablesMap {
  if (typeof text !== 'string') throw new InvalidInput(`text: ${show(text)} is not text`);
  const given = toRecord(options);
  if (given === undefined) throw new InvalidInput(`options: ${show(options)} is not an object`);
  onlyNames('parseIptables', given, ['family', 'prefix', 'file']);
  const { family, file } = options;
  if (family !== undefined && !['ipv4', 'ipv6'].includes(family))
    throw new InvalidInput(`family: ${show(family)} is none: use 'ipv4' or 'ipv6'`);
  return readIptables([{ text, file, family }], options.prefix);
}

/** The same of several texts. */
export function readIptables(sources: readonly Source[], prefix: string = 'KUBE'): IptablesMap {
  const from = toPrefix(prefix);
  const problems: string[] = [];
  const dumps: Dump[] = [];
  for (const source of sources) {
    const saved = readSaved(source, from);
    for (const problem of saved.problems) problems.push(problem);
    dumps.push(...saved.dumps);
  }
  const chosen = (['ipv4', 'ipv6'] as const)
    .map((family) => choose(dumps, family, from, problems))
    .filter((dump) => dump !== undefined);
  if (chosen.length === 0) {
    problems.push(
      `there is no chain ${from}-SERVICES: nothing here is of kube-proxy's iptables mode${from === 'KUBE' ? '' : `, or of another prefix than ${from}`}`,
    );
  }
  const read = chosen.map((dump) => new DumpReader(dump, from).read());
  for (const each of read) for (const problem of each.problems) problems.push(problem);
  const ports = read.flatMap((each) => each.ports).sort(comparePorts);
  return {
    ports,
    healthChecks: healthChecksOf(ports),
    problems,
    families: read.filter(({ besideIpvs }) => !besideIpvs).map(({ family }) => family),
    nodePortAddresses: Object.fromEntries(
      read
        .filter(({ nodePortAddresses }) => nodePortAddresses !== undefined)
        .map(({ family, nodePortAddresses }) => [family, nodePortAddresses]),
    ),
  };
}

// Both makes of iptables may have rules, one of them left over.
function choose(
  dumps: readonly Dump[],
  family: Family,
  prefix: string,
  problems: string[],
): Dump | undefined {
  const has = ({ tables }: Dump): boolean =>
    [...tables.values()].some((table) => table.has(`${prefix}-SERVICES`));
  const found = dumps.filter((dump) => dump.family === family && has(dump));
  const [most, ...others] = found.sort((a, b) => count(b) - count(a));
  for (const { place } of others) {
    problems.push(
      `${place}: services of ${family} a second time, with fewer rules than at ${most?.place ?? ''}; passed over`,
    );
  }
  return most;
}

function count({ tables }: Dump): number {
  let sum = 0;
  for (const table of tables.values()) for (const rules of table.values()) sum += rules.length;
  return sum;
}

function comparePorts(a: ServicePort, b: ServicePort): number {
  return (
    compareText(a.name, b.name) ||
    compareText(a.protocol, b.protocol) ||
    compareText(a.family, b.family)
  );
}

// One for each service and family; what is ready is what has an endpoint in a list of this node.
function healthChecksOf(ports: readonly ServicePort[]): readonly HealthCheck[] {
  const found = new Map<string, { check: HealthCheck; addresses: Set<string> }>();
  for (const { namespace, service, family, healthCheckNodePort: port, endpoints } of ports) {
    if (port === undefined) continue;
    const key = `${namespace}/${service} ${family}`;
    let one = found.get(key);
    if (one === undefined) {
      one = {
        check: { namespace, service, family, port, localEndpoints: 0 },
        addresses: new Set(),
      };
      found.set(key, one);
    }
    for (const { address } of endpoints.local ?? []) one.addresses.add(address);
  }
  return [...found]
    .sort(([a], [b]) => compareText(a, b))
    .map(([, { check, addresses }]) => ({ ...check, localEndpoints: addresses.size }));
}
