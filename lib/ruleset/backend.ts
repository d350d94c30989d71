// Virtual servers kept by iptables instead of IPVS: what `reconcile` and `applyPlan` need of a kernel, for hosts that have none.
import { ApplyError, type ApplyOptions, type Outcome } from '../apply';
import type { Backend } from '../backend';
import { InvalidInput, IpvsError, show } from '../errors';
import { explainFailure, ipvsError } from '../explain';
import { familyOf, serviceId } from '../id';
import type { Change, Family, VirtualServer } from '../model';
import type { Tools } from '../node/tools';
import { eachOf, eachQuick, inTurns, type Work as Turns } from '../turns';
import { withConnections } from './conntrack';
import {
  Host,
  isSame,
  mustBeOwner,
  reportOf,
  type FamilyChange,
  type FoundRules,
  type IptablesReport,
} from './host';
import type { FoundFamily } from './family';
import { toBackendSettings, type BackendSettings, type IptablesBackendOptions } from './options';
import { damageOf, OWNER, ServerRules, type ReadServers } from './servers';
import { recordedServers, type Records } from './state';
import { changeList, checkedChanges, Outcomes, requestOf, ServerTable } from './table';

export type { IptablesBackendOptions, RulesOptions } from './options';

/** What the rules of a host say at one moment. */
interface Reading {
  readonly changes: readonly FamilyChange[];
  readonly unread: ReadonlyMap<Family, IpvsError>;
  readonly servers: readonly VirtualServer[];
  readonly records: readonly Records[];
  readonly isDamaged: (id: string) => boolean;
  readonly problems: readonly string[];
}

/** What is to become of a host's rules. */
interface Work {
  readonly outcomes: Outcomes;
  readonly changes: readonly FamilyChange[];
  readonly problems: readonly string[];
}

/**
 * Serves virtual servers by iptables, for `reconcile`, `plan` and `applyPlan`, where the kernel has no IPVS. New connections
 * are spread by chance, see `fromServers` of `ipvs/iptables`; what rules cannot do fails with `EOPNOTSUPP`, or is
 * approximated as `unsupported` says. What was asked for is kept in comments of rules, so any process that opens the same
 * place goes on where another ended. It reads with `iptables-save` and writes with one `iptables-restore` a family, which
 * need `CAP_NET_ADMIN`.
 *
 * A server whose rules somebody has changed or removed is not in the snapshot, so that it is added again, and `problems`
 * says what was found. Other chains and rules of the host are left alone. Each call rejects with an IpvsError.
 * @public
 */
export class IptablesBackend implements Backend {
  readonly #settings: BackendSettings;
  readonly #host: Host;
  /** As it is to be for those who ask; and for what is there, which somebody allowed, whatever this backend would allow. */
  readonly #asked: ServerRules;
  readonly #kept: ServerRules;
  #problems: readonly string[] = [];
  #known: { readonly rules: FoundRules; readonly reading: Reading } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** Throws IpvsError `ERR_IPVS_INVALID` for options that make no sense. */
  constructor(options: IptablesBackendOptions = {}) {
    try {
      this.#settings = toBackendSettings(options);
      // What the program does not take is found here, not in the middle of the work.
      this.#asked = new ServerRules(this.#settings);
      this.#kept = new ServerRules({ ...this.#settings, unsupported: 'approximate' });
    } catch (error) {
      throw explainFailure(error, { operation: 'IptablesBackend' });
    }
    this.#host = new Host(this.#settings);
  }

  /**
   * What the last call found: servers that are left out or approximated, rules that somebody had changed, and both variants
   * of iptables in use. A line each.
   */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /**
   * The servers that are served as they were asked for. Connections of destinations of weight 0 are counted, where the
   * kernel has `/proc/net/nf_conntrack`.
   */
  snapshot(): Promise<VirtualServer[]> {
    return this.#inTurn(async () => {
      const tools = this.#host.tools();
      const { servers, isDamaged, problems } = await this.#read(tools);
      this.#problems = problems;
      const whole: VirtualServer[] = [];
      await inTurns(
        eachQuick(servers, (server) => {
          if (!isDamaged(serviceId(server))) whole.push(server);
        }),
      );
      return withConnections(whole, tools);
    });
  }

  /**
   * Does the changes in order, all those of a family in one restore: each table changes at once or not at all. Where a
   * restore is refused, every change of its family fails with the line that was. Repairs what somebody has changed in
   * our chains. Bad input rejects before anything is done.
   */
  apply(changes: Iterable<Change>, options: ApplyOptions = {}): Promise<Outcome[]> {
    return this.#inTurn(() => this.#apply(changes, options));
  }

  /** What `apply` would do to rules. Changes nothing. */
  preview(changes: Iterable<Change>): Promise<IptablesReport> {
    return this.#inTurn(async () => {
      const checked = await inTurns(checkedChanges(changeList(changes)));
      const reading = await this.#read(this.#host.tools());
      const work = await inTurns(this.#work(checked, 'continue', reading));
      this.#problems = work.problems;
      return inTurns(reportOf(work.changes, work.problems));
    });
  }

  /**
   * Takes away all chains of ours and every way into them, in both variants unless one was named. The tables stay, which
   * the kernel makes when they are first used. Doing it twice is fine.
   */
  cleanup(): Promise<IptablesReport> {
    return this.#inTurn(async () => {
      const tools = this.#host.tools();
      const changes = await this.#host.removals(tools);
      for (const change of changes) await this.#host.write(tools, change);
      this.#problems = [];
      return inTurns(reportOf(changes, []));
    });
  }

  // One at a time, as each reads what the one before wrote.
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #read(tools: Tools, signal?: AbortSignal): Promise<Reading> {
    const rules = await this.#host.read(tools);
    const known = this.#known;
    // Most of the time nothing has changed, and a pass that changes something reads twice.
    if (known !== undefined && (await inTurns(isSame(known.rules, rules), signal))) {
      return known.reading;
    }
    mustBeOwner(rules.found, this.#settings.prefix, OWNER);
    const reading = await inTurns(this.#reading(rules, known?.reading.records ?? []), signal);
    this.#known = { rules, reading };
    return reading;
  }

  *#reading({ found, unread, warnings }: FoundRules, before: readonly Records[]): Turns<Reading> {
    const { prefix } = this.#settings;
    const known: Records = new Map(before.flatMap((each) => [...each]));
    const records: Records[] = [];
    const recorded: (readonly VirtualServer[])[] = [];
    for (const { family, tables } of found) {
      const own = yield* recordedServers(prefix, tables.get('nat') ?? new Map(), known);
      records.push(own);
      recorded.push(
        [...own.values()].flatMap(({ server }) => (familyOf(server) === family ? [server] : [])),
      );
    }
    const servers = recorded.flat();
    const made = yield* this.#kept.read(servers);
    const changes = yield* this.#changes(found, made);
    const lines: string[][] = [];
    const damaged = new Set<string>();
    for (const [i, change] of changes.entries()) {
      const own = recorded[i] ?? [];
      const damage = yield* damageOf(change, own, prefix);
      lines.push([...damage.lines]);
      yield* eachQuick(own, (server) => {
        const id = serviceId(server);
        if (damage.isDamaged(id)) damaged.add(id);
      });
    }
    return {
      changes,
      unread,
      servers,
      records,
      isDamaged: (id) => damaged.has(id),
      problems: [...warnings, ...lines.flat(), ...made.problems],
    };
  }

  /** What makes of what was found what the servers need. */
  *#changes(found: readonly FoundFamily[], made: ReadServers): Turns<FamilyChange[]> {
    const changes: FamilyChange[] = [];
    for (const one of found) {
      changes.push(yield* this.#host.change(one, yield* this.#kept.wanted(made, one.family)));
    }
    return changes;
  }

  async #apply(
    given: Iterable<Change>,
    { onError = 'continue', signal, progress }: ApplyOptions,
  ): Promise<Outcome[]> {
    if (!['continue', 'stop'].includes(onError)) {
      throw explainFailure(
        new InvalidInput(`onError: ${show(onError)} is neither 'continue' nor 'stop'`),
        { operation: 'apply' },
      );
    }
    const list = changeList(given);
    const checked = await inTurns(checkedChanges(list));
    if (isAborted(signal)) throw aborted(signal, new Outcomes(checked), list);
    const tools = this.#host.tools(signal);
    const { outcomes, changes, problems } = await this.#read(tools, signal)
      .then((reading) => inTurns(this.#work(checked, onError, reading), signal))
      .catch((error: unknown) => {
        throw isAborted(signal) ? aborted(signal, new Outcomes(checked), list) : error;
      });
    this.#problems = problems;
    for (const [i, change] of changes.entries()) {
      try {
        await this.#host.write(tools, change);
      } catch (error) {
        if (isAborted(signal)) {
          const undone = changes.slice(i).map(({ found }) => found.family);
          throw aborted(signal, outcomes, list, undone);
        }
        await inTurns(failFamily(outcomes, change.found.family, error));
      }
    }
    progress?.({ done: list.length, total: list.length });
    return outcomes.list(list);
  }

  /** Why servers that are changed cannot be served, by their id. */
  *#refused(
    servers: readonly VirtualServer[],
    changes: readonly Change[],
  ): Turns<ReadonlyMap<string, string>> {
    const changed = new Set<string>();
    yield* eachQuick(changes, ({ service }) => changed.add(serviceId(service)));
    const those: VirtualServer[] = [];
    yield* eachQuick(servers, (server) => {
      if (changed.has(serviceId(server))) those.push(server);
    });
    return (yield* this.#asked.read(those)).leftOut;
  }

  #unusable(change: Change, unread: ReadonlyMap<Family, IpvsError>): IpvsError | undefined {
    const family = familyOf(change.service);
    const error = unread.get(family);
    if (error !== undefined) return failure(change, error);
    if (this.#settings.families.includes(family)) return undefined;
    const words = `this backend has no ${family}: name it in families`;
    return ipvsError('EAFNOSUPPORT', words, requestOf(change));
  }

  /** What the changes make of what was read. */
  *#work(checked: readonly Change[], onError: 'continue' | 'stop', reading: Reading): Turns<Work> {
    const outcomes = new Outcomes(checked);
    // A server that rules cannot do is found when all of its changes are done: then it goes back to what it was.
    for (let isWhole = false; ; isWhole = true) {
      const next = yield* this.#done(outcomes, onError, reading);
      const refused = isWhole ? undefined : yield* this.#refused(next, outcomes.tried);
      if (refused !== undefined && refused.size > 0) {
        yield* refuse(outcomes, refused, onError);
        continue;
      }
      const made = yield* this.#kept.read(next);
      const found = reading.changes.map((change) => change.found);
      const changes = yield* this.#changes(found, made);
      return { outcomes, changes, problems: problemsOf(reading, made, outcomes) };
    }
  }

  /** The servers that those changes leave that have not failed; says which fail. */
  *#done(
    outcomes: Outcomes,
    onError: 'continue' | 'stop',
    { servers, isDamaged, unread }: Reading,
  ): Turns<VirtualServer[]> {
    const table = yield* ServerTable.of(servers, isDamaged);
    for (const [i, change] of outcomes.tried.entries()) {
      yield;
      if (outcomes.hasFailed(i)) continue;
      const error = this.#unusable(change, unread) ?? table.do(change);
      if (error === undefined) continue;
      outcomes.fail(i, error);
      if (onError === 'continue') continue;
      outcomes.stopAfter(i);
      break;
    }
    return yield* table.servers();
  }
}

function* refuse(
  outcomes: Outcomes,
  leftOut: ReadonlyMap<string, string>,
  onError: 'continue' | 'stop',
): Turns<void> {
  for (const [i, change] of outcomes.tried.entries()) {
    yield;
    const reason = leftOut.get(serviceId(change.service));
    if (reason === undefined || outcomes.hasFailed(i)) continue;
    outcomes.fail(i, ipvsError('EOPNOTSUPP', `iptables cannot: ${reason}`, requestOf(change)));
    if (onError === 'continue') continue;
    outcomes.stopAfter(i);
    break;
  }
}

function problemsOf(reading: Reading, made: ReadServers, outcomes: Outcomes): string[] {
  const refused = outcomes
    .list(outcomes.changes)
    .flatMap(({ error }) => (error?.code === 'EOPNOTSUPP' ? [error.message] : []));
  const before = reading.problems.filter((line) => !/: (?:left out|approximated): /.test(line));
  return [...new Set([...before, ...made.problems, ...refused])];
}

function* failFamily(outcomes: Outcomes, family: Family, cause: unknown): Turns<void> {
  yield* eachOf(outcomes.tried, (change, i) => {
    if (familyOf(change.service) === family) outcomes.fail(i, failure(change, cause));
  });
}

function failure(change: Change, cause: unknown): IpvsError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof IpvsError ? cause.code : 'EIO';
  return ipvsError(code, message, requestOf(change), undefined, cause);
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function aborted(
  signal: AbortSignal | undefined,
  outcomes: Outcomes,
  list: readonly Change[],
  families: readonly Family[] = ['ipv4', 'ipv6'],
): ApplyError {
  const isUndone = (change: Change): boolean => families.includes(familyOf(change.service));
  const known = outcomes
    .list(list)
    .map((outcome, i): Outcome =>
      isUndone(outcomes.changes[i] as Change)
        ? { change: outcome.change, status: 'not tried' }
        : outcome,
    );
  const done = known.filter(({ status }) => status === 'done').length;
  return new ApplyError(
    `apply: aborted by its signal (${done} of ${list.length} changes were done)`,
    { code: 'ABORT_ERR', operation: 'apply', cause: signal?.reason },
    known,
  );
}
