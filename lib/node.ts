// Programs a node, and leaves it as it was: virtual services, a dummy device and its addresses, ip sets, rules and kernel
// settings together (subpath `ipvs/node`).
import { release } from 'node:os';
import { open, type Ipvs } from './client';
import { parseVersion } from './doctor/check';
import { InvalidInput, show } from './errors';
import { destinationId, serviceId } from './id';
import { parseCidr, type Cidr } from './kube/cidr';
import type { NodeProgram } from './kube/types';
import type { Family } from './model';
import { toNamespacePath } from './namespace';
import { runSteps, stepsOf } from './node/apply';
import { cleanupSteps } from './node/cleanup';
import { Drainage } from './node/drainage';
import { uptime, type Drain } from './node/drains';
import { openLinks, type Links } from './node/links';
import { observe, systemSysctls, type NodeSystem } from './node/observe';
import { planningNode, type NodePlan } from './node/plan';
import { openRules, type RulesReader } from './node/rules-reader';
import { openSets, type SetReader } from './node/set-reader';
import { readRecord, type NodeRecord } from './node/record';
import { describePlan } from './node/report';
import { wantedSysctls } from './node/sysctls';
import { checkIpset, systemTools } from './node/tools';
import { onlyNames } from './settings';
import { inTurns } from './turns';

export { NodeError } from './node/apply';
export { IptablesBackend, type IptablesBackendOptions, type RulesOptions } from './ruleset/backend';
export { openBackend, type OpenBackendOptions, type OpenedBackend } from './ruleset/choose';
export type { IptablesReport } from './ruleset/host';
export { IptablesNode } from './ruleset/node';
export type { NodeProgram } from './kube/types';

/** How to open a node. @public */
export interface NodeOptions {
  /** A name under /run/netns, or a path. @defaultValue the caller's */
  readonly netns?: string;
  /** The dummy device that addresses are bound to; made where it does not exist. @defaultValue `'kube-ipvs0'` */
  readonly device?: string;
  /**
   * Where to keep what was done: it says what is ours to change and delete, and what clean-up puts back. Give each
   * namespace its own.
   * @defaultValue `/run/ipvs/node.json`
   */
  readonly record?: string;
  /** Ranges of virtual addresses (CIDRs) in which every service is ours, whoever made it. @defaultValue none */
  readonly managed?: readonly string[];
  /** Answer ARP for addresses of the device itself alone (`arp_ignore`, `arp_announce`). @defaultValue `false` */
  readonly strictArp?: boolean;
}

/** What is to be done to a node, or was done. @public */
export interface NodeReport {
  /** One line each: `+` what is added, `~` what is edited, `-` what goes. Empty when the node is as the program says. */
  readonly lines: readonly string[];
  /** What of the program cannot be done, or needs a look. */
  readonly problems: readonly string[];
  /** Destinations that leave and wait for their connections to go, such as `tcp://10.0.0.1:80 10.1.0.5:8080`. */
  readonly draining: readonly string[];
  /** How many programs (iptables, ipset) were run. */
  readonly runs: number;
}

/** How to plan for a node. @public */
export interface NodePlanOptions {
  /**
   * Longest time in milliseconds that a destination which leaves keeps its connections: it has weight 0 so long, and is
   * deleted by the first apply that finds it without connections or out of time. Kept across processes by the record. 0
   * deletes it at once. Of UDP and SCTP services, and of services that leave themselves, destinations always go at once.
   * @defaultValue `900_000`, 15 minutes
   */
  readonly drain?: number;
}

/** How to apply to a node. @public */
export interface NodeApplyOptions extends NodePlanOptions {
  /** Breaks off between two steps, and ends waiting. */
  readonly signal?: AbortSignal;
  /**
   * Told what will be done before anything is; what it rejects with, the call rejects with, and nothing is changed. Just
   * what it was told is done: where another apply was made to this node meanwhile, the call rejects with `EAGAIN`.
   */
  readonly approve?: (planned: NodeReport) => Promise<void>;
  /** Resolve only when nothing drains any more. @defaultValue `false` */
  readonly wait?: boolean;
}

/** A node that programs can be put on. Every call rejects with an IpvsError. @public */
export interface Node extends AsyncDisposable {
  /** What {@link Node.apply} would do. Changes nothing. */
  plan(program: NodeProgram, options?: NodePlanOptions): Promise<NodeReport>;
  /**
   * Makes the node as the program says. Doing it twice changes nothing. Rejects with a {@link NodeError} that says what
   * was done; doing it again completes it. Calls wait for those before them.
   */
  apply(program: NodeProgram, options?: NodeApplyOptions): Promise<NodeReport>;
  /** Takes back everything that was done, and puts settings back. Doing it twice is fine. */
  cleanup(): Promise<NodeReport>;
  close(): Promise<void>;
}

/** Opens a node: IPVS and rtnetlink in one namespace. @public */
export async function openNode(options: NodeOptions = {}): Promise<Node> {
  const full = toFullOptions(options);
  const opened: { close(): Promise<void> }[] = [];
  const opening = async <T extends { close(): Promise<void> }>(part: Promise<T>): Promise<T> => {
    opened.push(await part);
    return part;
  };
  try {
    const links = await opening(openLinks(full.netns));
    const sets = await opening(openSets(full.netns));
    const rules = await opening(openRules(full.netns));
    const ipvs = await opening(open(full.netns === '' ? {} : { netns: full.netns }));
    return new LocalNode(full, { ipvs, links, sets, rules });
  } catch (error) {
    for (const part of opened) await part.close();
    throw error;
  }
}

interface FullOptions {
  readonly netns: string;
  readonly device: string;
  readonly record: string;
  readonly managed: readonly Cidr[];
  readonly strictArp: boolean;
}

function toFullOptions(options: NodeOptions): FullOptions {
  onlyNames('node', { ...options }, ['netns', 'device', 'record', 'managed', 'strictArp']);
  const { netns, device = 'kube-ipvs0', record = '/run/ipvs/node.json', managed = [] } = options;
  if (!/^[^\s/:]{1,15}$/.test(device) || device === '.' || device === '..')
    throw new InvalidInput(
      `device: ${show(device)} is no name of a network device: use 1 to 15 characters, no space, slash or colon`,
    );
  return {
    netns: toNamespacePath(netns),
    device,
    record,
    managed: managed.map((range) => toCidr('managed', range)),
    strictArp: options.strictArp === true,
  };
}

function toCidr(name: string, text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return cidr;
  throw new InvalidInput(`${name}: ${show(text)} is no range: write it as 10.96.0.0/12`);
}

/** Open handles to the parts of the kernel. */
interface NodeParts {
  readonly ipvs: Ipvs;
  readonly links: Links;
  readonly sets: SetReader;
  readonly rules: RulesReader;
}

class LocalNode implements Node {
  readonly #options: FullOptions;
  readonly #parts: NodeParts;
  /** Settled when the calls so far that change something are over. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: FullOptions, parts: NodeParts) {
    this.#options = options;
    this.#parts = parts;
  }

  async plan(program: NodeProgram, options: NodePlanOptions = {}): Promise<NodeReport> {
    onlyNames('node.plan', { ...options }, ['drain']);
    const system = this.#system();
    const { record } = await readRecord(this.#options.record);
    const plan = await this.#plan(program, system, record, toDrain(options));
    return reportOf(plan, system, plan.drains);
  }

  apply(program: NodeProgram, options: NodeApplyOptions = {}): Promise<NodeReport> {
    return this.#inTurn(() => this.#apply(program, options));
  }

  async #apply(program: NodeProgram, options: NodeApplyOptions): Promise<NodeReport> {
    onlyNames('node.apply', { ...options }, ['signal', 'drain', 'approve', 'wait']);
    const { signal, approve, wait = false } = options;
    const limit = toDrain(options);
    const system = this.#system(signal);
    const { device, record: file } = this.#options;
    const kept = await readRecord(file);
    const plan = await this.#plan(program, system, kept.record, limit);
    await approve?.(reportOf(plan, system, plan.drains));
    const { drains } = plan;
    const drainage = new Drainage(this.#parts.ipvs, { drains, limit, wait, signal });
    await runSteps(stepsOf({ plan, program, system, device, kept, drainage }), signal);
    const { lines, ...report } = reportOf(plan, system, drainage.left);
    return { lines: [...lines, ...drainage.lines], ...report };
  }

  cleanup(): Promise<NodeReport> {
    return this.#inTurn(() => this.#cleanup());
  }

  async #cleanup(): Promise<NodeReport> {
    const system = this.#system();
    const kept = await readRecord(this.#options.record);
    const families = Object.keys(kept.record.rules) as Family[];
    const { sets } = kept.record;
    const observed = await observe(system, { families, sets, settings: [] }, kept.record);
    const steps = cleanupSteps(system, observed, kept);
    await runSteps(steps);
    return {
      lines: steps.slice(0, -1).map(({ name }) => `- ${name}`),
      problems: [],
      draining: [],
      runs: system.tools.runs,
    };
  }

  // Two at once would each take what the other has not written yet for somebody else's.
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    const { ipvs, links, sets, rules } = this.#parts;
    await Promise.all([ipvs, links, sets, rules].map((part) => part.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #system(signal?: AbortSignal): NodeSystem {
    const { netns } = this.#options;
    const tools = systemTools({ netns, signal });
    return { ...this.#parts, tools, sysctls: systemSysctls(netns, tools) };
  }

  async #plan(
    program: NodeProgram,
    system: NodeSystem,
    record: NodeRecord,
    drain: number,
  ): Promise<NodePlan> {
    const { device, managed, strictArp } = this.#options;
    const families = Object.keys(program.rules) as Family[];
    const settings = wantedSysctls({
      strictArp,
      ipv6: families.includes('ipv6'),
      kernel: parseVersion(release()),
    });
    if (record.revision === 0) await checkIpset(system.tools);
    const scope = {
      families,
      sets: [...program.sets.keys()],
      settings: settings.map(({ path }) => path),
    };
    const observed = await observe(system, scope, record);
    const excluded = program.excludeCIDRs.map((range) => toCidr('excludeCIDRs', range));
    const now = uptime();
    const input = { program, observed, record, device, settings, managed, excluded, drain, now };
    return inTurns(planningNode(input));
  }
}

const DRAIN = 900_000;

function toDrain({ drain = DRAIN }: NodePlanOptions): number {
  if (typeof drain === 'number' && drain >= 0) return drain;
  throw new InvalidInput(`drain: ${show(drain)} is no time: give milliseconds, 0 for not at all`);
}

function reportOf(
  plan: NodePlan,
  { tools }: NodeSystem,
  draining: readonly Pick<Drain, 'service' | 'destination'>[],
): NodeReport {
  return {
    lines: describePlan(plan),
    problems: plan.problems,
    draining: draining.map(
      ({ service, destination }) => `${serviceId(service)} ${destinationId(destination)}`,
    ),
    runs: tools.runs,
  };
}
