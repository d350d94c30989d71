// What a run finds out, as it is written to bench/results/<date>.json.
import type { Held, Times } from './measure';

export interface Timed {
  readonly name: string;
  readonly times: Times;
}

/** The competitors at one task, the floor first. */
export interface Task {
  readonly task: 'add' | 'read';
  readonly services: number;
  readonly competitors: readonly Timed[];
}

/** How long the event loop was held while the library worked, and while the floor did the same work beside an idle loop. */
export interface Holding {
  readonly task: 'add' | 'read';
  readonly services: number;
  readonly library: readonly Held[];
  readonly control: readonly Held[];
}

export interface Usage {
  readonly descriptors: number;
  readonly rss: number;
  readonly heap: number;
}

/** Usage at equal distances while the same thing is done again and again. */
export interface Keeping {
  readonly name: string;
  readonly count: number;
  readonly usage: readonly Usage[];
}

/** Memory that competitors need for the table, in bytes. */
export interface Weight {
  readonly name: string;
  readonly bytes: number;
}

/** CPU of the JavaScript side alone, measured outside the lab with a kernel that answers at once. */
export interface Pure {
  readonly name: string;
  /** Microseconds a change or row. */
  readonly microseconds: number;
  readonly held: Held;
}

/** What needs no kernel. */
export interface Alone {
  readonly pure: readonly Pure[];
  /** CPU of planning. */
  readonly plans: Timed[];
}

/** Bringing a table to a desired state: passes, and what else people do. */
export interface DesiredTask {
  readonly task: string;
  readonly services: number;
  readonly competitors: readonly Timed[];
}

export interface Inside {
  readonly kernel: string;
  readonly cpus: number;
  readonly node: string;
  readonly tasks: Task[];
  readonly holding: Holding[];
  readonly keeping: Keeping[];
  readonly weights: Weight[];
  readonly desired: DesiredTask[];
}

/** Reading the connection table at one size. */
export interface ConnectionReading {
  readonly count: number;
  readonly kernel: string;
  /** No times of what was broken off, or would take minutes. */
  readonly competitors: readonly Timed[];
  readonly held: {
    readonly library: readonly Held[];
    readonly conntrack: readonly Held[];
    readonly control: readonly Held[];
  };
  /** Of one table: V8's heap more, bytes a row outside of it, and milliseconds to look at every row. */
  readonly using: {
    readonly heap: number;
    readonly bytes: number;
    readonly counting: number;
    readonly clients: number;
    readonly iterating: number;
  };
}

export interface Target {
  readonly name: string;
  readonly value: number;
  readonly limit: string;
  readonly met: boolean;
}

export interface Results extends Inside, Alone {
  readonly date: string;
  readonly lab: boolean;
  readonly cpu: string;
  readonly hostCpus: number;
  /** Of other programs: the load average of the minute before. */
  readonly load: number;
  readonly connections: readonly ConnectionReading[];
  readonly targets: readonly Target[];
}
