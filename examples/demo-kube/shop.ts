// shop.yaml as objects, as a cluster's API has them, and what becomes of them when a pod goes.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  ipvsProgram,
  serviceMap,
  type KubeEndpointSlice,
  type KubeService,
  type NodeProgram,
} from 'ipvs/kube';
import { parse } from 'yaml';
import { CLUSTER, NODE, NODE_ADDRESSES } from './hosts';

export const FILE = 'examples/demo-kube/shop.yaml';

export interface Shop {
  readonly services: readonly KubeService[];
  readonly slices: readonly KubeEndpointSlice[];
}

export function readShop(): Shop {
  const root = dirname(require.resolve('ipvs/package.json'));
  const { items } = parse(readFileSync(join(root, FILE), 'utf8')) as {
    items: readonly { readonly kind: string }[];
  };
  const ofKind = (kind: string) => items.filter((item) => item.kind === kind);
  return {
    services: ofKind('Service') as KubeService[],
    slices: ofKind('EndpointSlice') as KubeEndpointSlice[],
  };
}

/** From objects to everything that the node needs. */
export function programOf({ services, slices }: Shop): NodeProgram {
  const view = { name: NODE.name, addresses: NODE_ADDRESSES };
  const map = serviceMap(services, slices, view);
  return ipvsProgram(map, view, { clusterCIDRs: CLUSTER });
}

/** The shop while a pod terminates: it still serves what it has, and is not ready for more. */
export function terminating(shop: Shop, addresses: readonly string[]): Shop {
  const conditions = { ready: false, serving: true, terminating: true };
  return withEndpoints(shop, (endpoint) =>
    isOf(endpoint, addresses) ? [{ ...endpoint, conditions }] : [endpoint],
  );
}

/** The shop when the pod is gone. */
export function without(shop: Shop, addresses: readonly string[]): Shop {
  return withEndpoints(shop, (endpoint) => (isOf(endpoint, addresses) ? [] : [endpoint]));
}

interface Endpoint {
  readonly addresses: readonly string[];
}

function withEndpoints(
  { services, slices }: Shop,
  change: (endpoint: Endpoint) => readonly Endpoint[],
): Shop {
  return {
    services,
    slices: slices.map((slice) => ({
      ...slice,
      endpoints: ((slice.endpoints ?? []) as Endpoint[]).flatMap(change),
    })),
  };
}

function isOf(endpoint: Endpoint, addresses: readonly string[]): boolean {
  return endpoint.addresses.some((address) => addresses.includes(address));
}
