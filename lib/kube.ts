/**
 * Kubernetes services over IPVS, the pure half: from Services and EndpointSlices to a neutral service map, and from that
 * to everything one node needs. Reads no cluster and touches no kernel.
 *
 * @packageDocumentation
 */
export { serviceMap } from './kube/map';
export { nodePortAddresses, type NodePortAddresses } from './kube/node';
export { ipvsProgram } from './kube/program';
export { CHAINS } from './kube/rules';
export { ipsetRestore, setNames } from './kube/sets';
export type * from './kube/types';
