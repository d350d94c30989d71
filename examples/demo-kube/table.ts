// Real requests from everywhere to every way in, and the table of what became of them.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Tally } from '../demo/messages';
import { colour, print } from '../demo/screen';
import { openRequests, type Traffic } from '../demo/traffic';
import {
  facesOf,
  FRONTENDS,
  ORIGINS,
  type Expected,
  type Frontend,
  type Origin,
} from './frontends';
import { ADDRESSES, NODE_FACES, PODS } from './hosts';

/** Who sends the requests of each origin. */
export type Clients = Readonly<Record<Origin, Traffic>>;

type From = Origin | 'stranger';
/** What one origin got from one frontend. */
export interface Row {
  readonly from: From;
  readonly tally: Tally;
  readonly good: boolean;
}

const REQUESTS = 6;
const COLUMNS = PODS.map(({ name }) => name);
const NAMES: Readonly<Record<From, string>> = {
  pod: 'pod ash',
  node: 'the node',
  outside: 'outside',
  stranger: 'a stranger',
};

/** Asks every frontend from everywhere, and prints what came of it; gives how many requests and unexpected rows. */
export async function askEverywhere(clients: Clients): Promise<{ sent: number; bad: number }> {
  // Frontends at a time, as each has destinations of its own; one origin after the other, so that each gets them in turn.
  const all = await Promise.all(FRONTENDS.map((frontend) => askAll(frontend, clients)));
  printHead();
  for (const [i, frontend] of FRONTENDS.entries()) printRows(frontend, all[i] ?? []);
  const rows = all.flat();
  return {
    sent: rows.reduce((sum, { tally }) => sum + tally.sent, 0),
    bad: rows.filter(({ good }) => !good).length,
  };
}

async function askAll(frontend: Frontend, clients: Clients): Promise<Row[]> {
  const rows: Row[] = [];
  for (const from of [...ORIGINS, 'stranger'] as const) {
    const expected = frontend.expected[from];
    if (expected === undefined) continue;
    const tally = await ask(frontend, from, expected, clients);
    rows.push({ from, tally, good: isGood(from, tally, expected) });
  }
  return rows;
}

async function ask(
  { protocol, address, port }: Frontend,
  from: From,
  expected: Expected,
  clients: Clients,
): Promise<Tally> {
  const traffic = clients[from === 'stranger' ? 'outside' : from];
  const silent = 'answer' in expected;
  const id = traffic.start({
    ...{ protocol, address, port, path: '/', every: 40 },
    total: silent ? 2 : REQUESTS,
    // Where nothing is to come, two seconds show it.
    ...(silent && { patience: 2000 }),
    ...(from === 'stranger' && { from: ADDRESSES.stranger[0] ?? '' }),
  });
  const total = silent ? 2 : REQUESTS;
  for (;;) {
    await sleep(100);
    const tally = traffic.tally(id);
    if (tally.sent === total && openRequests(tally) === 0) return tally;
  }
}

/** Answers are a name and the address that was seen: by pod, the addresses it saw. */
function seenOf({ answers }: Tally): Map<string, string[]> {
  const seen = new Map<string, string[]>();
  for (const answer of Object.keys(answers).sort()) {
    const [pod = '', address = ''] = answer.split(' ');
    seen.set(pod, [...(seen.get(pod) ?? []), address]);
  }
  return seen;
}

function isGood(from: From, tally: Tally, expected: Expected): boolean {
  if ('answer' in expected) {
    return tally.failed === tally.sent && outcomeOf(tally) === expected.answer;
  }
  const seen = seenOf(tally);
  const reached =
    'one' in expected ? seen.size === 1 : [...seen.keys()].join() === expected.pods.join();
  return (
    tally.failed === 0 &&
    reached &&
    [...seen].every(([pod, addresses]) => {
      // A pod that reaches itself is seen as the node: it would not answer itself otherwise.
      const faces = from === 'pod' && pod === 'ash' ? NODE_FACES : facesOf(from, expected.seen);
      return addresses.every((address) => faces.includes(address));
    })
  );
}

function outcomeOf({ reason = '' }: Tally): 'refused' | 'dropped' | undefined {
  if (reason.includes('ECONNREFUSED')) return 'refused';
  return reason.includes('no answer') ? 'dropped' : undefined;
}

function printRows({ title, protocol, address, port }: Frontend, rows: readonly Row[]): void {
  const host = address.includes(':') ? `[${address}]` : address;
  print(`  ${colour('bold', title.padEnd(42))}${protocol}://${host}:${port}`);
  for (const { from, tally, good } of rows) {
    const mark = good ? colour('green', '✓') : colour('red', '✗ not as expected');
    print(`    ${NAMES[from].padEnd(13)}${wordsOf(tally).padEnd(50)}${mark}`);
  }
  print('');
}

/** A column a pod: the address that it saw. */
function wordsOf(tally: Tally): string {
  if (tally.failed === tally.sent) {
    const outcome = outcomeOf(tally);
    return outcome === 'dropped' ? 'no answer' : (outcome ?? tally.reason ?? '');
  }
  const seen = seenOf(tally);
  const columns = COLUMNS.map((pod) => (seen.get(pod)?.join(' ') ?? '-').padEnd(16)).join('');
  return tally.failed > 0 ? `${columns}${tally.failed} failed` : columns.trimEnd();
}

function printHead(): void {
  const columns = COLUMNS.map((pod) => `${pod} saw`.padEnd(16)).join('');
  print(colour('dim', `    ${'from'.padEnd(13)}${columns.padEnd(50)}`.trimEnd()), '');
}
