// Connections by the hundred thousand: entries that the kernel makes from sync messages (programs/feed.js), some ten
// times sooner than traffic would make them.
import path from 'node:path';
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
