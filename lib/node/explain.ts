// What the kernel says about the parts of a node, in words.
import { getSystemErrorMap } from 'node:util';
import { IpvsError } from '../errors';
import type { NativeFailure } from '../native';

/** What is wrong wherever a socket is opened in a namespace, by the names of errors. */
export const PLACE_WORDS: Readonly<Record<string, string>> = {
  EPERM: 'no permission: run it as root',
  EACCES: 'no permission: run it as root',
  ENOENT: 'there is no such namespace: see ip netns',
  EBADF: 'it was closed',
  ETIMEDOUT: 'the kernel gave no answer in time: try again',
};

/** The addon's failure as an IpvsError; anything else as it is. */
export function explain(
  operation: string,
  error: unknown,
  words: Readonly<Record<string, string>>,
): unknown {
  if (error instanceof IpvsError) return error;
  const { errno } = error as Partial<NativeFailure>;
  return typeof errno === 'number' ? toError(operation, errno, words, error) : error;
}

/** @param what - the operation, and what it was done to: `addLink kube-ipvs0` */
export function toError(
  what: string,
  errno: number,
  words: Readonly<Record<string, string>>,
  cause?: unknown,
): IpvsError {
  const [name, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown'];
  const [operation = what] = what.split(' ');
  return new IpvsError(`${what}: ${words[name] ?? `${text} (${name})`}`, {
    code: name,
    errno,
    operation,
    cause,
  });
}
