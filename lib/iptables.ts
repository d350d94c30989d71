/**
 * Services over iptables, for nodes without IPVS and for comparing the two: a service map, or virtual servers, as the rules
 * that kube-proxy's iptables mode writes for it, and such rules as a service map. Touches no kernel.
 *
 * @packageDocumentation
 */
export { iptablesProgram } from './iptables/program';
export { parseIptables, type IptablesMap, type ParseIptablesOptions } from './iptables/read';
export { fromServers } from './iptables/servers';
export type * from './iptables/types';
