// The border, seen from TypeScript: what the addon offers, and how it is found. Requests and replies are arrays of the
// packed records that records.ts describes.

import { createRequire } from 'node:module';
import path from 'node:path';
import { IpvsError } from './errors';

/** What a call asks for; the same numbers as `Op` in native/src/records.h. */
export const Op = {
  apply: 1,
  services: 2,
  service: 3,
  destinations: 4,
  info: 5,
  timeouts: 6,
  setTimeouts: 7,
  zero: 8,
  flush: 9,
  daemons: 10,
  startDaemon: 11,
  stopDaemon: 12,
  applyUntilError: 13,
  destinationSettings: 14,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

/** An open netlink socket in one network namespace. */
export interface NativeHandle {
  /** Runs on the thread pool, one call at a time in call order. The request is copied before this returns. */
  call(op: Op, request: Uint8Array): Promise<ArrayBuffer>;
  /** Runs here and now. */
  callSync(op: Op, request: Uint8Array): ArrayBuffer;
  /** Gives the memory of a reply back at once: until the collector finds it, it counts, and makes it come sooner. */
  release(reply: ArrayBuffer): void;
  /**
   * Connections that match a ConnectionQuery, one buffer a column (connection-records.ts). In call order with the other
   * calls, but in slices, between which others get the thread; `ticket` names this one for `cancel`.
   */
  connections(query: Uint8Array, ticket: number): Promise<ArrayBuffer[]>;
  connectionsSync(query: Uint8Array): ArrayBuffer[];
  /** Breaks off the call of `connections` with that ticket, if it is not over: it fails with ECANCELED. */
  cancel(ticket: number): void;
  /** Waits for the call under way; calls still queued fail with ECANCELED. Closing twice is fine. */
  close(): Promise<void>;
  closeSync(): void;
}

/** What a call about network devices asks for, in the same numbers. */
export const RouteOp = {
  links: 64,
  addresses: 65,
  changeAddresses: 66,
  addDummy: 67,
  deleteLink: 68,
} as const;
export type RouteOp = (typeof RouteOp)[keyof typeof RouteOp];

/** An open rtnetlink socket in one network namespace; calls as of a NativeHandle. */
export interface RouteHandle {
  call(op: RouteOp, request: Uint8Array): Promise<ArrayBuffer>;
  close(): Promise<void>;
}

/** What a call about ip sets asks for, in the same numbers. */
export const SetsOp = { sets: 80 } as const;
export type SetsOp = (typeof SetsOp)[keyof typeof SetsOp];

/** An open nfnetlink socket in one network namespace; calls as of a NativeHandle. */
export interface SetsHandle {
  call(op: SetsOp, request: Uint8Array): Promise<ArrayBuffer>;
  close(): Promise<void>;
}

/** What a call about the rules of iptables-legacy asks for, in the same numbers. */
export const RulesOp = { legacyRules: 72 } as const;
export type RulesOp = (typeof RulesOp)[keyof typeof RulesOp];

/** What reads the rules of iptables-legacy in one network namespace; calls as of a NativeHandle. */
export interface RulesHandle {
  call(op: RulesOp, request: Uint8Array): Promise<ArrayBuffer>;
  close(): Promise<void>;
}

/** The addon itself. Failures are plain errors that carry `op` (a step such as `socket`) and `errno` (positive). */
export interface NativeBinding {
  /** `netns` is a path; empty is the caller's. `timeout` in milliseconds bounds the wait for an answer; 0 is forever. */
  open(netns: string, timeout: number): Promise<NativeHandle>;
  openSync(netns: string, timeout: number): NativeHandle;
  /** A handle for network devices and their addresses. */
  openRoute(netns: string, timeout: number): Promise<RouteHandle>;
  /** A handle for ip sets. */
  openSets(netns: string, timeout: number): Promise<SetsHandle>;
  /** A handle for the rules of iptables-legacy. */
  openRules(netns: string, timeout: number): Promise<RulesHandle>;
  /**
   * Starts a program without a copy of this process; the request is written by lib/node/child.ts. Resolves to its process
   * id and three descriptors, which are the caller's to close: its standard input, output and error.
   */
  spawn(request: Uint8Array): Promise<ArrayBuffer>;
  /** The wait status of a program that has ended, -1 while it runs. Asked again after that it throws ECHILD. */
  reap(pid: number): number;
  /** Record and field offsets as C++ sees them: `{ ChangeRecord: { size, command: 0, … }, … }`, as JSON text. */
  layout(): string;
}

/** What the addon throws and rejects with. */
export interface NativeFailure extends Error {
  readonly op: string;
  readonly errno: number;
}

/** Finds and loads the addon, once; says what to do when it cannot be had. */
export function loadBinding(): NativeBinding {
  binding ??= findBinding();
  return binding;
}
let binding: NativeBinding | undefined;

function findBinding(): NativeBinding {
  if (process.platform !== 'linux') {
    throw unavailable(`IPVS is a part of Linux, and this is ${process.platform}: run it there`);
  }
  try {
    const load = createRequire(__filename)('node-gyp-build') as (
      directory: string,
    ) => NativeBinding;
    return load(path.join(__dirname, '..'));
  } catch (error) {
    throw unavailable(whyNotLoaded(error instanceof Error ? error.message : String(error)), error);
  }
}

const LIBNL = 'libnl-3.so.200';

/** What the loader's complaint means, and the one command that mends it. */
export function whyNotLoaded(message: string): string {
  if (message.includes(LIBNL)) {
    return `${LIBNL} is not installed: on Debian and Ubuntu: apt-get install libnl-3-200; on Fedora and RHEL: dnf install libnl3; on Alpine: apk add libnl3`;
  }
  const build =
    'npm explore ipvs -- node-gyp rebuild (wants g++, make, python3, pkg-config, libnl-3-dev)';
  if (message.includes('No native build was found')) {
    const where = [
      process.arch,
      isMusl() ? 'musl' : 'glibc',
      process.versions['electron'] === undefined ? '' : 'Electron',
    ];
    return `there is no addon for this machine (${where.filter(Boolean).join(', ')}): build it with: ${build}`;
  }
  if (/GLIBC|GLIBCXX|version `/.test(message))
    return `this system is older than the addon that came along (${firstLine(message)}): build it with: ${build}`;
  return `the addon does not load (${firstLine(message)}): build it with: ${build}`;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

function isMusl(): boolean {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime === undefined;
}

function unavailable(words: string, cause?: unknown): IpvsError {
  return new IpvsError(`open: ${words}`, {
    code: 'ERR_IPVS_UNAVAILABLE',
    operation: 'open',
    cause,
  });
}
