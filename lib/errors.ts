// The one error of this library. What an error number means in words is in explain.ts.
import type { DestinationKey, ServiceKey } from './model';

/**
 * Stable codes; test these, never the message. System codes are the kernel's own answer, `ERR_IPVS_*` are ours:
 * `UNAVAILABLE` no IPVS or no addon, `CLOSED` the client was closed, `REPLY` an answer that makes no sense,
 * `INVALID` bad input, refused before the kernel saw it. `ABORT_ERR`: the caller's signal.
 * @public
 */
export type IpvsErrorCode =
  | 'EPERM'
  | 'ENOENT'
  | 'ESRCH'
  | 'EEXIST'
  | 'EINVAL'
  | 'ENOMEM'
  | 'ENOBUFS'
  | 'EMSGSIZE'
  | 'EAFNOSUPPORT'
  | 'EOPNOTSUPP'
  | 'EINTR'
  | 'ABORT_ERR'
  | 'ERR_IPVS_UNAVAILABLE'
  | 'ERR_IPVS_CLOSED'
  | 'ERR_IPVS_REPLY'
  | 'ERR_IPVS_INVALID'
  | (string & {});

/** What an IpvsError is made of. @public */
export interface IpvsErrorDetails {
  readonly code: IpvsErrorCode;
  readonly operation: string;
  readonly errno?: number | undefined;
  readonly service?: ServiceKey | undefined;
  readonly destination?: DestinationKey | undefined;
  readonly cause?: unknown;
}

/**
 * Everything that goes wrong in this library is one of these. The message is one line: what was asked: why it failed:
 * what to do.
 * @public
 */
export class IpvsError extends Error {
  declare readonly name: 'IpvsError';
  /** Stable; test this, never the message. */
  readonly code: IpvsErrorCode;
  /** The kernel's error number, where the kernel (or the system below us) answered with one. */
  declare readonly errno?: number;
  /** What was asked, such as `addDestination`. */
  readonly operation: string;
  declare readonly service?: ServiceKey;
  declare readonly destination?: DestinationKey;

  constructor(message: string, details: IpvsErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.operation = details.operation;
    if (details.errno !== undefined) this.errno = details.errno;
    if (details.service !== undefined) this.service = details.service;
    if (details.destination !== undefined) this.destination = details.destination;
  }
}
Object.defineProperty(IpvsError.prototype, 'name', { value: 'IpvsError', configurable: true });

/** Bad input found by a check that does not know which call it was given to; the client says that. */
export class InvalidInput extends IpvsError {
  /** @param problem - which setting, what is wrong with it, and what would be right */
  constructor(readonly problem: string) {
    super(problem, { code: 'ERR_IPVS_INVALID', operation: 'check' });
  }
}

/** How a value looks in a message: short, on one line, whatever it is. */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    const text = JSON.stringify(value);
    return text.length <= 60 ? text : `${text.slice(0, 56)}…"`;
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (
    typeof value === 'number' ||
    typeof value === 'boolean' ||
    value === null ||
    value === undefined
  ) {
    return String(value);
  }
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
