// Connections by the hundred thousand: entries that the kernel makes from sync messages (programs/feed.js), some ten
// times sooner than traffic would make them.
import path from 'node:path';
import { joinHostPort } from '../../lib/address';
import type { Connection } from '../../lib/connections';
import type { Namespace } from './helpers';

/** Entries that differ by client, and take turns at everything else. */
export interface Run {
  readonly count: number;
  /** Address and port of the first; both count up. Its family is that of all of them. */
  readonly client: string;
  readonly services: readonly string[];
  readonly destinations: readonly string[];
  /** @defaultValue `'tcp'` */
  readonly protocol?: 'tcp' | 'udp' | 'sctp' | 'ip';
  /** The kernel's numbers. @defaultValue `[1]`, which is ESTABLISHED in TCP */
  readonly states?: readonly number[];
  /** Seconds. @defaultValue `3600` */
  readonly timeout?: number;
  /** Templates of persistence have no client port. @defaultValue `false` */
  readonly template?: boolean;
  readonly fwmark?: number;
  readonly engine?: { readonly name: string; readonly data: string };
}

/** Fills the table of a namespace; returns how many entries that were. */
export function feed(namespace: Namespace, ...runs: readonly Run[]): number {
  const program = path.join(__dirname, 'programs', 'feed.js');
  return Number(namespace.run(process.execPath, program, JSON.stringify(runs)));
}

/** The kernel's numbers of some states. */
const STATES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  tcp: { ESTABLISHED: 1, SYN_RECV: 3, FIN_WAIT: 4, CLOSE_WAIT: 7 },
  udp: { UDP: 0, ASSURED: 1 },
  sctp: { ESTABLISHED: 8 },
  ip: { ASSURED: 1 },
};

/** The one entry that makes such a row. */
export function asRun({ client, virtual, destination, ...row }: Connection): Run {
  const [from, to, over] = [client, virtual, destination].map(({ address, port }) =>
    joinHostPort(address, port),
  ) as [string, string, string];
  const state = STATES[row.protocol]?.[row.state];
  if (state === undefined) throw new RangeError(`${row.protocol} ${row.state}: add its number`);
  return {
    count: 1,
    client: from,
    services: [to],
    destinations: [over],
    protocol: row.protocol as NonNullable<Run['protocol']>,
    states: [state],
    timeout: row.expires,
    template: client.port === 0,
    ...(row.engine === undefined ? {} : { engine: row.engine }),
  };
}
