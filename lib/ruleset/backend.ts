// Virtual servers kept by iptables instead of IPVS: what `reconcile` and `applyPlan` need of a kernel, for hosts that have none.
import { ApplyError, type ApplyOptions, type Outcome } from '../apply';
import type { Backend } from '../backend';
import { InvalidInput, IpvsError, show } from '../errors';
import { explainFailure, ipvsError } from '../explain';
import { familyOf, serviceId } from '../id';
import type { Change, Family, VirtualServer } from '../model';
import type { Tools } from '../node/tools';
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
import { toBackendSettings, type BackendSettings, type IptablesBackendOptions } from './options';
import { damageOf, OWNER, ServerRules } from './servers';
import { recordedServers } from './state';
import { changeList, checkedChanges, Outcomes, requestOf, ServerTable } from './table';

export type { IptablesBackendOptions, RulesOptions } from './options';

/** What the rules of a host say at one moment. */
interface Reading {
  readonly changes: readonly FamilyChange[];
  readonly unread: ReadonlyMap<Family, IpvsError>;
  readonly servers: readonly VirtualServer[];
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
  #problems: readonly string[] = [];
  #known: { readonly rules: FoundRules; readonly reading: Reading } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** Throws IpvsError `ERR_IPVS_INVALID` for options that make no sense. */
  constructor(options: IptablesBackendOptions = {}) {
    try {
      this.#settings = toBackendSettings(options);
      // What the program does not take is found here, not in the middle of the work.
      new ServerRules([], this.#settings);
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
      const whole = servers.filter((server) => !isDamaged(serviceId(server)));
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
      const checked = checkedChanges(changeList(changes));
      const reading = await this.#read(this.#host.tools());
      const work = this.#work(checked, 'continue', reading);
      this.#problems = work.problems;
      return reportOf(work.changes, work.problems);
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
      return reportOf(changes, []);
    });
  }

  // One at a time, as each reads what the one before wrote.
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #read(tools: Tools): Promise<Reading> {
    const { prefix } = this.#settings;
    const rules = await this.#host.read(tools);
    const { found, unread, warnings } = rules;
    // Most of the time nothing has changed, and a pass that changes something reads twice.
    if (this.#known !== undefined && isSame(this.#known.rules, rules)) return this.#known.reading;
    mustBeOwner(found, prefix, OWNER);
    const recorded = found.map(({ family, tables }) =>
      recordedServers(prefix, tables.get('nat') ?? new Map()).filter(
        (server) => familyOf(server) === family,
      ),
    );
    const servers = recorded.flat();
    const made = this.#rulesOf(servers);
    const changes = found.map((one) => this.#host.change(one, made.wanted(one.family)));
    const damages = changes.map((change, i) => damageOf(change, recorded[i] ?? [], prefix));
    const families = found.map(({ family }) => family);
    const damaged = new Set<string>(
      servers.flatMap((server) => {
        const id = serviceId(server);
        return damages[families.indexOf(familyOf(server))]?.isDamaged(id) === true ? [id] : [];
      }),
    );
    const reading: Reading = {
      changes,
      unread,
      servers,
      isDamaged: (id) => damaged.has(id),
      problems: [...warnings, ...damages.flatMap(({ lines }) => lines), ...made.problems],
    };
    this.#known = { rules, reading };
    return reading;
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
    const checked = checkedChanges(list);
    if (isAborted(signal)) throw aborted(signal, new Outcomes(checked), list);
    const tools = this.#host.tools(signal);
    const reading = await this.#read(tools);
    const { outcomes, changes, problems } = this.#work(checked, onError, reading);
    this.#problems = problems;
    for (const [i, change] of changes.entries()) {
      try {
        await this.#host.write(tools, change);
      } catch (error) {
        if (isAborted(signal)) {
          const undone = changes.slice(i).map(({ found }) => found.family);
          throw aborted(signal, outcomes, list, undone);
        }
        failFamily(outcomes, change.found.family, error);
      }
    }
    progress?.({ done: list.length, total: list.length });
    return outcomes.list(list);
  }

  // What is there was allowed by whoever asked for it, whatever this backend would allow.
  #rulesOf(servers: readonly VirtualServer[]): ServerRules {
    return new ServerRules(servers, { ...this.#settings, unsupported: 'approximate' });
  }

  /** Why servers that are changed cannot be served, by their id. */
  #refused(
    servers: readonly VirtualServer[],
    changes: readonly Change[],
  ): ReadonlyMap<string, string> {
    const changed = new Set<string>(changes.map(({ service }) => serviceId(service)));
    const those = servers.filter((server) => changed.has(serviceId(server)));
    return new ServerRules(those, this.#settings).leftOut;
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
  #work(checked: readonly Change[], onError: 'continue' | 'stop', reading: Reading): Work {
    const { servers, isDamaged, unread, changes: found } = reading;
    const outcomes = new Outcomes(checked);
    // A server that rules cannot do is found when all of its changes are done: then it goes back to what it was.
    for (let isWhole = false; ; isWhole = true) {
      const table = new ServerTable(servers, isDamaged);
      for (const [i, change] of outcomes.tried.entries()) {
        if (outcomes.hasFailed(i)) continue;
        const error = this.#unusable(change, unread) ?? table.do(change);
        if (error === undefined) continue;
        outcomes.fail(i, error);
        if (onError === 'continue') continue;
        outcomes.stopAfter(i);
        break;
      }
      const next = table.servers();
      const refused = isWhole ? undefined : this.#refused(next, outcomes.tried);
      if (refused !== undefined && refused.size > 0) {
        refuse(outcomes, refused, onError);
        continue;
      }
      const rules = this.#rulesOf(next);
      const changes = found.map(({ found: one }) =>
        this.#host.change(one, rules.wanted(one.family)),
      );
      return { outcomes, changes, problems: problemsOf(reading, rules, outcomes) };
    }
  }
}

function refuse(
  outcomes: Outcomes,
  leftOut: ReadonlyMap<string, string>,
  onError: 'continue' | 'stop',
): void {
  for (const [i, change] of outcomes.tried.entries()) {
    const reason = leftOut.get(serviceId(change.service));
    if (reason === undefined || outcomes.hasFailed(i)) continue;
    outcomes.fail(i, ipvsError('EOPNOTSUPP', `iptables cannot: ${reason}`, requestOf(change)));
    if (onError === 'continue') continue;
    outcomes.stopAfter(i);
    break;
  }
}

function problemsOf(reading: Reading, rules: ServerRules, outcomes: Outcomes): string[] {
  const refused = outcomes
    .list(outcomes.changes)
    .flatMap(({ error }) => (error?.code === 'EOPNOTSUPP' ? [error.message] : []));
  const before = reading.problems.filter((line) => !/: (?:left out|approximated): /.test(line));
  return [...new Set([...before, ...rules.problems, ...refused])];
}

function failFamily(outcomes: Outcomes, family: Family, cause: unknown): void {
  for (const [i, change] of outcomes.tried.entries()) {
    if (familyOf(change.service) !== family) continue;
    outcomes.fail(i, failure(change, cause));
  }
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
