// What a run of the comparison finds out, as it is written to bench/results/datapath-<date>.json.
import type { Path } from './world';

/** One service on one path: the first, the middle or the last in the order of the rules. */
export interface Point {
  readonly path: Path;
  readonly place: 'first' | 'middle' | 'last';
  /** Setting up a connection, in microseconds. */
  readonly median: number;
  readonly p99: number;
  readonly connections: number;
  /** A connection, a request of 64 bytes and an answer of 512. */
  readonly requestsPerSecond: number;
  /** The same in microseconds of CPU, as the kernel counts them by its clock ticks. */
  readonly cpu: number;
}

/** What it takes to bring services into the kernel, in milliseconds. */
export interface Programming {
  readonly path: Path;
  /** Everything, into an empty kernel. */
  readonly all: number;
  /** One endpoint of one service has changed, and that is known: the kernel is told just that. */
  readonly one: number;
  /** The same found out by reading back what the kernel has. */
  readonly found: number;
}

/** All at one number of services. */
export interface Size {
  readonly services: number;
  readonly kernel: string;
  readonly points: readonly Point[];
  readonly programming: readonly Programming[];
}

export interface Comparison {
  readonly date: string;
  readonly cpu: string;
  readonly hostCpus: number;
  readonly node: string;
  /** Of other programs: the load average of the minute before. */
  readonly load: number;
  readonly sizes: readonly Size[];
}
