// The story of the Kubernetes demo, one chapter a method. Every number in it was counted by a client or read from the node.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Node, NodeReport } from 'ipvs/node';
import type { Tally } from '../demo/messages';
import { run } from '../demo/netns';
import { code, heading, print, say, verdict } from '../demo/screen';
import { ADDRESSES, NODE } from './hosts';
import { FILE, programOf, readShop, terminating, without, type Shop } from './shop';
import { askEverywhere, type Clients } from './table';

/** Milliseconds from one request to the next while a pod leaves. */
const EVERY = 30;
/** Longest time that a pod's old connections are waited for, in milliseconds. */
const DRAIN = 20_000;

export class Story {
  readonly #node: Node;
  readonly #clients: Clients;
  readonly #shop: Shop = readShop();
  #before: readonly string[] = [];
  #failures = 0;

  constructor(node: Node, clients: Clients) {
    this.#node = node;
    this.#clients = clients;
  }

  get failures(): number {
    return this.#failures;
  }

  async program(): Promise<void> {
    heading('1. Program the node');
    const { services, slices } = this.#shop;
    say(`${FILE} has ${services.length} services and ${slices.length} endpoint slices, as kubectl prints
      them. Two pure functions make of them all that worker-1 needs, and one call puts it there:`);
    code(
      'const map = serviceMap(services, slices, view);',
      'const program = ipvsProgram(map, view, { clusterCIDRs });',
      'await node.apply(program);',
    );
    this.#before = everything();
    const program = programOf(this.#shop);
    const { lines, problems, runs } = await this.#node.apply(program);
    this.#check(
      problems.length === 0 && program.problems.length === 0,
      `${program.servers.length} virtual services, ${program.addresses.length} addresses, ${program.sets.size}
        ip sets and the rules of two families: ${lines.length} changes, ${runs} programs run.`,
      [...program.problems, ...problems].join('; '),
    );
    const again = await this.#node.apply(program);
    this.#check(
      again.lines.length === 0,
      'Once more: no change at all.',
      `Once more, and it changed: ${again.lines.join(', ')}`,
    );
  }

  async ask(): Promise<void> {
    heading('2. Ask every service, from everywhere');
    say(`Real requests, some from each place to each way in. A column says which address that pod saw;
      a dash, that it was not asked. 10.1.1.1, 10.1.2.1, 192.168.0.1 and 203.0.113.1 are worker-1. What
      comes through it from elsewhere is seen as worker-1, so that answers find their way back.`);
    const { sent, bad } = await askEverywhere(this.#clients);
    this.#check(
      bad === 0,
      `${sent} requests, every row as expected.`,
      `${sent} requests, and ${bad} rows not as expected.`,
    );
  }

  async leave(stopPod: () => void): Promise<void> {
    heading('3. A pod leaves, and no request fails');
    say(`Requests go on, from the pod ash, from the node and from outside, and slow downloads are under way.
      Then ash is deleted: first it terminates, and then its endpoints are gone.`);
    const { outside } = this.#clients;
    const loads = this.#startLoads();
    const downloads = [outside, { ...STOCK, path: '/download', every: 10, total: 6 }] as const;
    const slow = downloads[0].start(downloads[1]);
    await sleep(1500);

    const leaving = terminating(this.#shop, ADDRESSES.ash);
    const report = await this.#apply(leaving, 'ash terminates');
    this.#check(
      report.draining.length > 0,
      `${report.draining.length} destinations have weight 0 now: they keep the connections they have.`,
      'Nothing drains.',
    );
    const after = this.#restart(loads);
    await sleep(2000);
    const gone = without(this.#shop, ADDRESSES.ash);
    const last = await this.#apply(
      gone,
      'the endpoints of ash are gone; waiting until the last connection is',
    );
    const finished = await outside.finish(slow);
    stopPod();
    await sleep(1000);
    const [before, now] = await Promise.all([finish(loads), finish(after)]);

    print(
      `    ${'requests'.padEnd(26)}${'sent'.padEnd(8)}${'failed'.padEnd(8)}${'ash'.padEnd(8)}${'elm'.padEnd(8)}oak`,
      `    ${'until ash terminated'.padEnd(26)}${countsOf(before)}`,
      `    ${'since then'.padEnd(26)}${countsOf(now)}`,
      `    ${'downloads under way'.padEnd(26)}${countsOf(finished)}`,
      '',
    );
    this.#check(
      before.failed + now.failed + finished.failed === 0 && answersOf(now, 'ash') === 0,
      `${before.sent + now.sent + finished.sent} requests, none failed, and none began at ash once it terminated.`,
      `${before.failed + now.failed + finished.failed} failed (${[before, now, finished].map(({ reason }) => reason ?? '').join(' ')}), ${answersOf(now, 'ash')} went to ash.`,
    );
    this.#check(
      last.draining.length === 0,
      `Drained and deleted: ${last.lines.filter((line) => line.startsWith('- tcp')).length} destinations.`,
      `Still draining: ${last.draining.join(', ')}`,
    );
  }

  async takeBack(): Promise<void> {
    heading('4. Take it all back');
    code('await node.cleanup();');
    await this.#node.cleanup();
    const after = everything();
    const left = after.filter((line) => !this.#before.includes(line));
    this.#check(
      after.join('\n') === this.#before.join('\n'),
      'Addresses, services, ip sets, rules and settings are as they were before.',
      `Not as it was; left over: ${left.join('; ') || 'nothing'}.`,
    );
  }

  async #apply(shop: Shop, what: string): Promise<NodeReport> {
    print(`  ${what}`, '');
    return this.#node.apply(programOf(shop), { drain: DRAIN, wait: what.includes('waiting') });
  }

  #startLoads(): Running[] {
    const { pod, node, outside } = this.#clients;
    return [
      [pod, pod.start(CART)],
      [node, node.start(CART)],
      [outside, outside.start(STOCK)],
      [outside, outside.start(WEB)],
    ];
  }

  /** New requests in the place of those that run. */
  #restart(loads: readonly Running[]): Running[] {
    const next = this.#startLoads();
    for (const [traffic, id] of loads) traffic.stop(id);
    return next;
  }

  #check(good: boolean, text: string, otherwise: string): void {
    if (!good) this.#failures += 1;
    verdict(good, good ? text : otherwise);
  }
}

type Running = readonly [Clients['pod'], number];

const load = (address: string, port: number) =>
  ({ protocol: 'tcp', address, port, path: '/', every: EVERY }) as const;
const CART = load('172.30.0.10', 80);
const STOCK = load('192.168.0.1', 30080);
const WEB = load('198.51.100.40', 80);

async function finish(loads: readonly Running[]): Promise<Tally> {
  const tallies = await Promise.all(loads.map(([traffic, id]) => traffic.finish(id)));
  return tallies.reduce((sum, tally) => {
    const answers = { ...sum.answers };
    for (const [name, count] of Object.entries(tally.answers))
      answers[name] = (answers[name] ?? 0) + count;
    const reason = tally.reason ?? sum.reason;
    const [sent, failed] = [sum.sent + tally.sent, sum.failed + tally.failed];
    return { id: 0, sent, failed, answers, ...(reason !== undefined && { reason }) };
  });
}

function answersOf({ answers }: Tally, pod: string): number {
  return Object.entries(answers)
    .filter(([answer]) => answer.startsWith(`${pod} `))
    .reduce((sum, [, count]) => sum + count, 0);
}

function countsOf(tally: Tally): string {
  const pods = ['ash', 'elm', 'oak'].map((pod) => answersOf(tally, pod));
  return [tally.sent, tally.failed, ...pods]
    .map((count) => String(count).padEnd(8))
    .join('')
    .trimEnd();
}

/** What a node has, in the words of the usual programs, without counters and times. */
function everything(): readonly string[] {
  const printed = [
    run(NODE, 'ip', '-o', 'address').replace(/valid_lft.*/g, ''),
    run(NODE, 'ipset', 'save'),
    ...['iptables', 'ip6tables'].flatMap((name) => [
      printedBy(`${name}-legacy-save`),
      printedBy(`${name}-nft-save`),
    ]),
    run(NODE, 'sysctl', '-e', 'net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'),
  ];
  // A table of rules is there from when somebody first looked at it.
  const empty = /^(?:#.*|\*.*|:[A-Z]+ ACCEPT .*|COMMIT|)$/;
  return printed.flatMap((text) => text.split('\n')).filter((line) => !empty.test(line));
}

// A kernel, or a machine, may have one kind of rules alone.
function printedBy(program: string): string {
  try {
    return run(NODE, program);
  } catch {
    return '';
  }
}
