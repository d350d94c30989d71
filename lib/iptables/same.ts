// Whether two states of a port are written alike. Said fast: an update looks at every port of a cluster.
import type { Endpoint, Frontend, ServicePort } from '../kube/types';

/** Of two ports of one name, protocol and family: whether rules come out the same. */
export function samePort(a: ServicePort, b: ServicePort): boolean {
  if (a === b) return true;
  return (
    a.endpoints.anywhere === b.endpoints.anywhere &&
    a.healthCheckNodePort === b.healthCheckNodePort &&
    a.server === b.server &&
    a.affinity?.timeout === b.affinity?.timeout &&
    a.affinity?.prefix === b.affinity?.prefix &&
    sameList(a.frontends, b.frontends, sameFrontend) &&
    sameList(a.endpoints.cluster, b.endpoints.cluster, sameEndpoint) &&
    sameList(a.endpoints.local, b.endpoints.local, sameEndpoint)
  );
}

function sameList<T>(
  a: readonly T[] | undefined,
  b: readonly T[] | undefined,
  same: (a: T, b: T) => boolean,
): boolean {
  if (a === b) return true;
  if (a?.length !== b?.length) return false;
  for (let i = 0; a !== undefined && b !== undefined && i < a.length; i++) {
    if (!same(a[i] as T, b[i] as T)) return false;
  }
  return true;
}

function sameFrontend(a: Frontend, b: Frontend): boolean {
  return (
    a.port === b.port &&
    a.kind === b.kind &&
    a.policy === b.policy &&
    a.address === b.address &&
    sameList(a.sourceRanges, b.sourceRanges, (one, other) => one === other)
  );
}

// Where an endpoint is does not show in rules.
function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a === b || (a.port === b.port && a.weight === b.weight && a.address === b.address);
}
