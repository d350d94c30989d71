// Which endpoints a frontend leads to: by condition, traffic policy and topology hints.
import type { Candidate } from './slices';
import type { Endpoint, EndpointLists } from './types';

/** Which lists a port needs. */
export interface Uses {
  readonly cluster: boolean;
  readonly local: boolean;
}

/** Chooses the endpoints of a port. */
export function select(candidates: readonly Candidate[], uses: Uses, zone: string): EndpointLists {
  const cluster = uses.cluster ? clusterWide(candidates, zone) : undefined;
  const local = uses.local ? onThisNode(candidates) : undefined;
  return {
    ...(cluster && { cluster }),
    ...(local && { local }),
    anywhere: uses.local
      ? candidates.some((each) => each.member.ready || isLastResort(each))
      : cluster !== undefined && cluster.length > 0,
    hairpin: endpoints(candidates.filter((each) => each.member.local)),
  };
}

// On their way out, but still answering: better than nobody.
function isLastResort(each: Candidate): boolean {
  return each.member.serving && each.member.terminating;
}

function clusterWide(candidates: readonly Candidate[], zone: string): readonly Endpoint[] {
  const ready = candidates.filter((each) => each.member.ready);
  if (ready.length > 0) return endpoints(near(ready, zone));
  return endpoints(candidates.filter(isLastResort));
}

// Hints count only where every ready endpoint has them, and some of them name this place.
function near(ready: readonly Candidate[], zone: string): readonly Candidate[] {
  if (
    ready.every((each) => each.member.node !== undefined) &&
    ready.some((each) => each.member.node)
  ) {
    return ready.filter((each) => each.member.node);
  }
  if (zone === '' || !ready.every((each) => each.member.zone !== undefined)) return ready;
  const allowed = ready.filter((each) => each.member.zone);
  return allowed.length > 0 ? allowed : ready;
}

function onThisNode(candidates: readonly Candidate[]): readonly Endpoint[] {
  const local = candidates.filter((each) => each.member.local);
  const ready = local.filter((each) => each.member.ready);
  return endpoints(ready.length > 0 ? ready : local.filter(isLastResort));
}

function endpoints(candidates: readonly Candidate[]): readonly Endpoint[] {
  return candidates.map((each) => each.endpoint);
}
