// What of a service map the rules written for it can tell: what a reader is held to.
import type { Endpoint, ServiceMap, ServicePort } from '../../lib/kube';

/** What the rules written for a map can tell of it. */
export function carried(map: ServiceMap): Pick<ServiceMap, 'ports' | 'healthChecks'> {
  const ports = map.ports.map(carriedPort);
  return {
    ports,
    // Who is ready is known by the lists of this node alone.
    healthChecks: map.healthChecks.map((check) => ({
      ...check,
      localEndpoints: new Set(
        ports
          .filter(
            ({ namespace, service: name, family }) =>
              namespace === check.namespace && name === check.service && family === check.family,
          )
          .flatMap(({ endpoints }) => endpoints.local ?? [])
          .map(({ address }) => address),
      ).size,
    })),
  };
}

function carriedPort(whole: ServicePort): ServicePort {
  const { affinity, ...port } = { ...whole, settings: {} };
  const { cluster, local, anywhere } = port.endpoints;
  const known = (cluster ?? []).length + (local ?? []).length > 0;
  if (!anywhere) return carriedEmpty(port);
  const here = new Set(local?.map(({ address }) => address));
  const seen = ({ address, port: number }: Endpoint): Endpoint => ({
    ...{ address, port: number, local: here.has(address) },
  });
  return {
    ...port,
    ...(known && affinity && { affinity }),
    endpoints: {
      ...(cluster && { cluster: cluster.map(seen) }),
      ...(local && { local: local.map(seen) }),
      anywhere,
      hairpin: (local ?? []).map(seen),
    },
  };
}

// Refused without a word on policy, and every address from outside alike.
function carriedEmpty(port: ServicePort): ServicePort {
  const frontends = port.frontends.map(({ kind, address, port: number }) => ({
    kind: kind === 'loadBalancer' ? ('externalIP' as const) : kind,
    ...{ address, port: number, policy: 'cluster' as const },
  }));
  const lists = { cluster: [], anywhere: false, hairpin: [] };
  return { ...port, frontends, externalLocal: false, endpoints: lists };
}
