// Numbers and how they are taken.
import { setTimeout as sleep } from 'node:timers/promises';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';

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
  /** The longest pause of the garbage collector, which is one of the things that hold it. */
  readonly collecting: number;
}

/** Watches the event loop of this thread while `work` runs. */
export async function held(work: () => Promise<unknown>): Promise<Held> {
  const resolution = 1;
  const delay = monitorEventLoopDelay({ resolution });
  let collecting = 0;
  const collector = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) collecting = Math.max(collecting, duration);
  });
  delay.enable();
  // The first reading only starts the clock, and the last must not be cut off.
  await sleep(5);
  delay.reset();
  collector.observe({ entryTypes: ['gc'] });
  await work();
  await sleep(5);
  delay.disable();
  collector.disconnect();
  const milliseconds = (nanoseconds: number): number => Math.max(nanoseconds / 1e6 - resolution, 0);
  return {
    longest: milliseconds(delay.max),
    p99: milliseconds(delay.percentile(99)),
    collecting,
  };
}

/** The same, once everything is collected that earlier work left behind. */
export function watched(work: () => Promise<unknown>): Promise<Held> {
  collectGarbage();
  return held(work);
}

export function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run with node --expose-gc');
  globalThis.gc();
  // What the first one lets go of outside the heap is counted until the second.
  globalThis.gc();
}
