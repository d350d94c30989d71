/**
 * The Linux kernel's own layer-4 load balancer, IPVS, from Node.js.
 *
 * @packageDocumentation
 */
export * from './model';
export { IpvsError, type IpvsErrorCode, type IpvsErrorDetails } from './errors';
export { ApplyError, type ApplyOptions, type Outcome } from './apply';
export type { Backend } from './backend';
export { open, openSync, type Ipvs, type IpvsSync, type OpenOptions } from './client';
export type {
  Connection,
  ConnectionColumns,
  ConnectionCount,
  ConnectionFilter,
  ConnectionKey,
  ConnectionOptions,
  ConnectionSource,
  ConnectionState,
  ConnectionTable,
} from './connections';
export {
  applyPlan,
  type Applied,
  type AppliedOutcome,
  type ApplyPlanOptions,
  type Convergence,
} from './converge';
export { destinationId, destinationKey, serviceId, serviceKey } from './id';
export {
  plan,
  type ChangeKind,
  type Conflict,
  type Draining,
  type LeavingDestination,
  type Plan,
  type PlanJson,
  type PlanOptions,
} from './plan';
export type { ConnectionChange, WatchOptions } from './watch';
export type { DrainOptions } from './drain';
export {
  reconcile,
  type Health,
  type Reconciliation,
  type ReconcileOptions,
  type Round,
} from './reconcile';
