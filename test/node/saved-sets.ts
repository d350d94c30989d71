// What `ipset save` prints, as the sets it speaks of.
import type { ActualSet } from '../../lib/node/sets';

export function parseSets(text: string): Map<string, ActualSet> {
  const sets = new Map<string, ActualSet & { entries: Map<string, string> }>();
  for (const line of text.split('\n')) {
    const [verb, name, what, ...options] = line.split(' ');
    if (name === undefined || what === undefined) continue;
    if (verb === 'create') sets.set(name, readCreate(what, options));
    if (verb === 'add') sets.get(name)?.entries.set(what, options.join(' '));
  }
  return sets;
}

function readCreate(type: string, options: readonly string[]) {
  const option = (key: string): string | undefined => {
    const at = options.indexOf(key);
    return at === -1 ? undefined : options[at + 1];
  };
  const family = option('family');
  const limit = option('maxelem');
  return {
    type,
    family:
      family === undefined ? undefined : family === 'inet6' ? ('ipv6' as const) : ('ipv4' as const),
    limit: limit === undefined ? undefined : Number(limit),
    entries: new Map<string, string>(),
  };
}
