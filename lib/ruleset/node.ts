// A program of iptables mode put on a host whole, and taken back: chains, the ways into them, and the one kernel setting
// that loopback node ports need.
import { IpvsError } from '../errors';
import { explainFailure } from '../explain';
import type { IptablesProgram } from '../iptables/types';
import type { Family } from '../model';
import type { Tools } from '../node/tools';
import { rulesOf } from '../iptables/program';
import { onlyNames } from '../settings';
import { inTurns, type Work as Turns } from '../turns';
import {
  Host,
  mustBeOwner,
  ownerChain,
  ownerOf,
  reportOf,
  type FamilyChange,
  type IptablesReport,
} from './host';
import { RULES_OPTIONS, toPlace, type RulesOptions } from './options';
import { wantedOf } from './servers';

/** Whose the chains are. */
export const OWNER = 'a Kubernetes node';
const SETTING = 'net/ipv4/conf/all/route_localnet';
const FORWARDING: Readonly<Record<Family, string>> = {
  ipv4: 'net/ipv4/ip_forward',
  ipv6: 'net/ipv6/conf/all/forwarding',
};
const BEFORE = /, route_localnet was ([0-9])$/;

interface Work {
  readonly changes: readonly FamilyChange[];
  /** What the setting must become; undefined: it stays. */
  readonly setting: { readonly before: string; readonly after: string } | undefined;
  readonly problems: readonly string[];
}

/**
 * Puts what `iptablesProgram` made on a host. The prefix of the program and that of these options must be the same. Each
 * call rejects with an IpvsError.
 * @public
 */
export class IptablesNode {
  readonly #host: Host;

  /** Throws IpvsError `ERR_IPVS_INVALID` for options that make no sense. */
  constructor(options: RulesOptions = {}) {
    try {
      onlyNames('iptables node', { ...options }, RULES_OPTIONS);
      this.#host = new Host(toPlace(options));
    } catch (error) {
      throw explainFailure(error, { operation: 'IptablesNode' });
    }
  }

  /** What `apply` would do. Changes nothing. */
  async plan(program: IptablesProgram): Promise<IptablesReport> {
    return inTurns(reportOn(await this.#work(program, this.#host.tools())));
  }

  /**
   * Makes the rules those of the program; doing it twice changes nothing. Only chains that differ are written, in one
   * restore a family, each table at once or not at all.
   */
  async apply(
    program: IptablesProgram,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<IptablesReport> {
    const tools = this.#host.tools(signal);
    const work = await this.#work(program, tools, signal);
    const changes: FamilyChange[] = [];
    for (const change of work.changes) changes.push(await this.#host.write(tools, change));
    // The guard against what comes in from outside is in place now.
    if (work.setting) {
      await this.#host.sysctls(tools).write([{ path: SETTING, value: work.setting.after }]);
    }
    return inTurns(reportOn({ ...work, changes }));
  }

  /** Takes back all of it, in both variants unless one was named, and puts the setting back. Doing it twice is fine. */
  async cleanup(): Promise<IptablesReport> {
    const tools = this.#host.tools();
    const { prefix } = this.#host.place;
    const changes = await this.#host.removals(tools);
    const before = changes.flatMap(
      ({ found }) => BEFORE.exec(ownerOf(found, prefix) ?? '')?.[1] ?? [],
    );
    const sysctls = this.#host.sysctls(tools);
    const now = (await sysctls.read([SETTING])).get(SETTING);
    const [old] = before.filter((value) => value !== now);
    if (old !== undefined) await sysctls.write([{ path: SETTING, value: old }]);
    for (const change of changes) await this.#host.write(tools, change);
    const settings = old === undefined ? [] : [settingLine({ before: now ?? '', after: old })];
    return inTurns(reportOf(changes, [], settings));
  }

  async #work(program: IptablesProgram, tools: Tools, signal?: AbortSignal): Promise<Work> {
    // What is asked of the program below is then there.
    await inTurns(rulesOf(program), signal);
    const { prefix, families } = this.#host.place;
    mustHavePrefix(program, prefix);
    const { found, unread, warnings } = await this.#host.read(tools);
    mustBeOwner(found, prefix, OWNER);
    for (const family of families) {
      const error = unread.get(family);
      if (error !== undefined && program.rules[family] !== undefined) throw error;
    }
    const paths = [SETTING, ...families.map((family) => FORWARDING[family])];
    const settings = await this.#host.sysctls(tools).read(paths);
    const now = settings.get(SETTING) ?? '';
    const [known] = found.flatMap((one) => BEFORE.exec(ownerOf(one, prefix) ?? '')?.[1] ?? []);
    const changes: FamilyChange[] = [];
    for (const one of found) {
      if (program.rules[one.family] === undefined) continue;
      // What it was before the first time.
      const said =
        one.family === 'ipv4' && program.routeLocalnet
          ? `${OWNER}, route_localnet was ${known ?? now}`
          : OWNER;
      const more = new Map([ownerChain(prefix, said)]);
      const wanted = await inTurns(wantedOf(program, one.family, more), signal);
      changes.push(await inTurns(this.#host.change(one, wanted), signal));
    }
    // Loopback addresses are routed to where node ports are to answer there; once they no longer do, as it was.
    const after = program.routeLocalnet && program.rules.ipv4 !== undefined ? '1' : known;
    const problems = [...warnings, ...program.problems];
    for (const { found: one } of changes) {
      const path = FORWARDING[one.family];
      if (!program.chains(one.family).nat.some((chain) => chain.includes('-SEP-'))) continue;
      if (settings.get(path) !== '0') continue;
      problems.push(
        `${path.replaceAll('/', '.')} is 0: what comes from outside gets no further: sysctl -w ${path.replaceAll('/', '.')}=1`,
      );
    }
    return {
      changes: changes.filter(({ differences }) => differences.length > 0),
      setting: after !== undefined && after !== now ? { before: now, after } : undefined,
      problems,
    };
  }
}

function mustHavePrefix(program: IptablesProgram, prefix: string): void {
  const families = Object.keys(program.rules) as Family[];
  const own = families.flatMap((family) => program.chains(family).nat);
  if (own.every((chain) => chain.startsWith(`${prefix}-`))) return;
  throw new IpvsError(
    `iptables: the program's chains do not begin with ${prefix}-: give iptablesProgram the same prefix`,
    { code: 'ERR_IPVS_INVALID', operation: 'iptables' },
  );
}

function settingLine({ before, after }: NonNullable<Work['setting']>): string {
  return `~ ${SETTING.replaceAll('/', '.')} ${before} -> ${after}`;
}

function reportOn({ changes, setting, problems }: Work): Turns<IptablesReport> {
  return reportOf(changes, problems, setting === undefined ? [] : [settingLine(setting)]);
}
