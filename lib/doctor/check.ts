// What the doctor looks at, and what it says of it.
import type { IpvsError } from '../errors';
import type { Info, SyncDaemon, VirtualServerStatus } from '../model';
import type { System } from './system';

export type CheckStatus = 'ok' | 'warn' | 'fail';

/** One finding. */
export interface Check {
  /** Stable, such as `privilege` or `sysctl.conn_reuse_mode`. */
  readonly id: string;
  /** `fail` keeps IPVS from working, `warn` will hurt some day. */
  readonly status: CheckStatus;
  /** What was found. */
  readonly what: string;
  /** Why it matters. */
  readonly why?: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** Everything the checks are made from. */
export interface Facts {
  readonly system: System;
  /** The kernel's version, as far as its name tells it. */
  readonly kernel: Version | undefined;
  /** Why IPVS could not be opened. */
  readonly error?: IpvsError | undefined;
  /** What is in IPVS, when it could be read. */
  readonly table?: Table | undefined;
  /** Another namespace than the caller's: the files under /proc do not speak of that one. */
  readonly netns?: string | undefined;
}

export interface Table {
  readonly info: Info;
  readonly servers: readonly VirtualServerStatus[];
  readonly daemons: readonly SyncDaemon[];
}

export interface Version {
  readonly major: number;
  readonly minor: number;
}

/** `6.1.176-cloud` is 6.1. */
export function parseVersion(release: string): Version | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/** Whether the kernel is older than that; an unknown one is not. */
export function before(kernel: Version | undefined, major: number, minor: number): boolean {
  if (kernel === undefined) return false;
  return kernel.major < major || (kernel.major === major && kernel.minor < minor);
}

/** What a KubeProxyConfiguration says, as far as it matters to the checks. */
export interface KubeConfig {
  readonly file: string;
  readonly scheduler: string | undefined;
  /** Fields that make no difference here, a line each. */
  readonly unused: readonly string[];
}
