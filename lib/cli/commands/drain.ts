// --drain: what leaves gets no new connections, and goes when its old ones have gone or its time is up.
import type { Ipvs } from '../../client';
import type { AppliedOutcome } from '../../converge';
import type { DrainOptions } from '../../drain';
import { destinationId, serviceId } from '../../id';
import type { DestinationKey, ServiceKey, VirtualServer } from '../../model';
import type { Draining, Plan, PlanOptions } from '../../plan';
import { CLOCK } from '../../reconcile/clock';
import { toFullOptions, type FullOptions } from '../../reconcile/options';
import { Remaining } from '../../reconcile/remaining';
import type { Io } from '../io';
import type { Printer } from '../printer';
import { Status } from './status';

/** Options of commands that drain. */
export interface DrainFlags {
  /** Seconds. */
  readonly drain?: number;
  /** UDP and SCTP, too. */
  readonly drainAll?: true;
  /** In another network namespace, whose settings cannot be looked at from here. */
  readonly isElsewhere?: true;
}

/** Undefined where nobody asked for it. */
export function drainOptions({ drain, drainAll }: DrainFlags): DrainOptions | undefined {
  if (drain === undefined) return undefined;
  return { timeout: drain * 1000, ...(drainAll === true ? { only: () => true } : {}) };
}

/** Destinations told one by one. */
const TOLD = 10;
const TEMPLATES = '/proc/sys/net/ipv4/vs/expire_quiescent_template';

type PlanChoice = Pick<PlanOptions, 'owns' | 'keepWeights'>;

/** Draining as part of one run: a plan begins it, then it is waited for. */
export class Drain {
  readonly #options: DrainOptions;
  #full: FullOptions | undefined;
  #draining: readonly Draining[] = [];
  #leaving: ReadonlySet<string> = new Set();
  readonly #isElsewhere: boolean;
  #isPersistent = false;
  #remaining: Remaining | undefined;

  private constructor(options: DrainOptions, isElsewhere: boolean) {
    this.#options = options;
    this.#isElsewhere = isElsewhere;
  }

  static asked(flags: DrainFlags): Drain | undefined {
    const options = drainOptions(flags);
    return options && new Drain(options, flags.isElsewhere === true);
  }

  /** Those of a plan that begins to drain. */
  planOptions(options: PlanChoice): PlanOptions {
    this.#full = toFullOptions({ ...options, drain: this.#options }, CLOCK);
    return this.#full.plan;
  }

  /** `leaving` are services that go with their last destination. */
  begin(made: Plan, actual: readonly VirtualServer[], leaving: readonly ServiceKey[]): void {
    this.#draining = made.draining;
    this.#leaving = new Set(leaving.map(serviceId));
    this.#full?.drains?.settle(made.draining, () => false);
    const names = new Set<string>(made.draining.map(({ service }) => serviceId(service)));
    this.#isPersistent = actual.some(
      (server) => server.persistence !== undefined && names.has(idOf(server)),
    );
  }

  /** What became of the plan: what did not get weight 0 does not drain. */
  applied(outcomes: readonly AppliedOutcome[]): void {
    const undone = new Set<string>();
    for (const { change, status } of outcomes) {
      if (status !== 'done' && change.op === 'setDestination') {
        undone.add(nameOf(change.service, change.destination));
      }
    }
    this.#draining = this.#draining.filter(
      ({ service, destination }) => !undone.has(nameOf(service, destination)),
    );
  }

  get outcomes(): readonly AppliedOutcome[] {
    return this.#remaining?.outcomes ?? [];
  }
  get draining(): readonly Draining[] {
    return this.#remaining?.draining ?? this.#draining;
  }

  /** What is left behind with weight 0, in words; nothing where nothing is. */
  get rest(): string {
    const { draining } = this;
    if (draining.length === 0) return '';
    const more = draining.length > TOLD ? `, and ${draining.length - TOLD} more` : '';
    const names = draining.slice(0, TOLD).map(named).join(', ');
    const what = `${count(draining.length, 'destination')} at weight 0`;
    return `; still draining: ${what}: ${names}${more}`;
  }

  /** Until nothing drains any more, or the signal says so. */
  async follow(client: Ipvs, printer: Printer, io: Io, signal: AbortSignal): Promise<void> {
    const drains = this.#full?.drains;
    if (drains === undefined || this.#draining.length === 0) return;
    const mayLook = this.#isPersistent && !this.#isElsewhere;
    if (mayLook && io.system().readFile(TEMPLATES)?.trim() === '0') {
      printer.hint(
        'persistent clients keep coming until the time is up, as net.ipv4.vs.expire_quiescent_template is 0: sysctl -w net.ipv4.vs.expire_quiescent_template=1',
      );
    }
    const status = new Status(io, printer, 0);
    const remaining = new Remaining(
      client,
      this.#draining,
      {
        drains,
        leaves: (service) => this.#leaving.has(serviceId(service)),
        signal,
        looked: (now) => {
          if (now.draining.length > 0) status.show(progressOf(now));
        },
      },
      CLOCK,
    );
    this.#remaining = remaining;
    try {
      await remaining.follow();
    } finally {
      status.clear();
      for (const one of remaining.revived) {
        io.stderr.write(
          `ipvs apply: ${named(one)}: another program gave it a weight again, so it stays\n`,
        );
      }
      for (const one of remaining.cut.slice(0, TOLD)) {
        printer.hint(`${named(one)}: deleted, as its time was up`);
      }
    }
  }
}

function progressOf({ draining, left }: Remaining): string {
  const connections = draining.reduce((sum, one) => sum + (one.connections ?? 0), 0);
  const what = [count(draining.length, 'destination'), count(connections, 'connection')].join(', ');
  return `draining: ${what}, ${Math.ceil(left / 1000)} s left`;
}

function named({ service, destination, connections = 0 }: Draining): string {
  return `${nameOf(service, destination)} (${count(connections, 'connection')})`;
}

function count(number: number, what: string): string {
  return number === 1 ? `1 ${what}` : `${number} ${what}s`;
}

function nameOf(service: ServiceKey, destination: DestinationKey): string {
  return `${serviceId(service)} ${destinationId(destination)}`;
}

/** Nothing for what no change could name. */
function idOf(server: VirtualServer): string {
  try {
    return serviceId(server);
  } catch {
    return '';
  }
}
