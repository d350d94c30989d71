// How a network namespace is named.
import { InvalidInput, show } from './errors';

/** The path of a namespace that is given by its name under /run/netns or by a path; empty for the caller's own. */
export function toNamespacePath(netns: unknown): string {
  if (netns === undefined) return '';
  if (
    typeof netns !== 'string' ||
    netns === '' ||
    netns === '.' ||
    netns === '..' ||
    netns.includes('\0')
  ) {
    throw new InvalidInput(
      `netns: ${show(netns)} is no namespace: give a name under /run/netns, or a path`,
    );
  }
  return netns.includes('/') ? netns : `/run/netns/${netns}`;
}
