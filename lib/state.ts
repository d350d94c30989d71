/**
 * State files: what IPVS is to have, as YAML or JSON; and the lines that ipvsadm saves and restores.
 *
 * @packageDocumentation
 */
export { parseIpvsadm, printIpvsadm, type SavedState } from './ipvsadm';
export { readState } from './state/file';
export { parseState, type ParseOptions, type State } from './state/parse';
export { printState, type PrintOptions } from './state/print';
export { StateError, type Problem } from './state/problems';
