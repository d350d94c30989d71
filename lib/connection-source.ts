// Where connections are read from: the kernel's own table, or netfilter's, which older kernels read out sooner.
import os from 'node:os';
import { CONNECTION_LAYOUT, Has, Source } from './connection-records';
import { InvalidInput, show } from './errors';
import type { NativeFailure } from './native';

/**
 * Tables that know of connections: IPVS's own, and that of netfilter's connection tracking.
 * @public
 */
export type ConnectionSource = 'ip_vs' | 'conntrack';

const QUERY = CONNECTION_LAYOUT.ConnectionQuery;
const NAMES: readonly unknown[] = ['ip_vs', 'conntrack', 'auto'];

/** The sources to try in turn for a query, whose source is not filled in yet. Throws InvalidInput. */
export function toSources(
  query: Uint8Array,
  source: unknown,
  origin: boolean,
  release = os.release(),
): readonly Source[] {
  if (!NAMES.includes(source)) {
    throw new InvalidInput(
      `source: ${show(source)} is nothing to read from: use 'ip_vs', 'conntrack' or 'auto'`,
    );
  }
  const beyond = beyondNetfilter(query, origin);
  if (source === 'conntrack') {
    if (beyond !== undefined) throw new InvalidInput(`${beyond}: use the source 'ip_vs'`);
    return [Source.conntrack];
  }
  const own = origin ? Source.origin : Source.table;
  return source === 'ip_vs' || beyond !== undefined || isQuick(release)
    ? [own]
    : [Source.conntrackIfFit, own];
}

/** What is asked for that netfilter has no idea of. */
function beyondNetfilter(query: Uint8Array, origin: boolean): string | undefined {
  const has = new Uint32Array(query.slice(QUERY.has, QUERY.has + 4).buffer)[0] ?? 0;
  if (origin) return 'origin: netfilter does not know who made an entry';
  if ((has & Has.persistent) !== 0 && query[QUERY.persistent] === 1) {
    return 'template: netfilter has no templates of persistence';
  }
  if ((has & Has.service) !== 0 && query[QUERY.service_protocol] === 0) {
    return 'service: netfilter does not know which connections came by a firewall mark of IPVS';
  }
  return undefined;
}

/** Whether this kernel reads its own table in linear time, as it does from 6.14 on. */
function isQuick(release: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && minor >= 14);
}

/** Whether a failure says no more than that netfilter cannot be asked, or is the worse choice. */
export function isAboutNetfilter(error: unknown): boolean {
  const { op } = Object(error) as Partial<NativeFailure>;
  return typeof op === 'string' && op.startsWith('conntrack');
}
