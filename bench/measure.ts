// Numbers and how they are taken.
import { setTimeout as sleep } from 'node:timers/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Times of one thing, in milliseconds, one a repetition. */
export type Times = readonly number[];

export function median(values: Times): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** Wall-clock milliseconds. */
export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Milliseconds of CPU, of every thread: steady where other programs want the processor too. */
export async function cpuTimed(work: () => unknown): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** How long the event loop was held, in milliseconds. */
export interface Held {
  readonly longest: number;
  readonly p99: number;
}

/** Watches the event loop of this thread while `work` runs. */
export async function held(work: () => Promise<unknown>): Promise<Held> {
  const resolution = 1;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  // The first reading only starts the clock, and the last must not be cut off.
  await sleep(5);
  delay.reset();
  await work();
  await sleep(5);
  delay.disable();
  const milliseconds = (nanoseconds: number): number => Math.max(nanoseconds / 1e6 - resolution, 0);
  return { longest: milliseconds(delay.max), p99: milliseconds(delay.percentile(99)) };
}

export function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run with node --expose-gc');
  globalThis.gc();
}
