// What the iptables backend costs, and how long it holds the event loop: on programs that are made up and keep rules in
// files, each a process of its own, so that all that is measured is ours. Runs anywhere:
//
//   npm run build && node build/programs/bench/ruleset.js [SERVICES]
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { IptablesBackend } from '../lib/ruleset/backend';
import type { Change, Destination, ServiceKey, VirtualServer } from '../lib/model';

const DESTINATIONS = 5;
const ROUNDS = 3;

async function main(args: readonly string[]): Promise<void> {
  const [what = '10000', file = ''] = args;
  if (what === '--restore') restore(file);
  else await measureAll(Number(what));
}

async function measureAll(services: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ipvs-bench-'));
  try {
    install(folder);
    process.stdout.write(`${services} services x ${DESTINATIONS}, milliseconds\n`);
    for (let round = 0; round < ROUNDS; round++) await measure(services, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(services: number, folder: string): Promise<void> {
  for (const family of FAMILIES) rmSync(join(folder, family), { force: true });
  const changes = changesFor(services);
  const first = new IptablesBackend();
  await report('apply of everything', async () => {
    const outcomes = await first.apply(changes);
    if (outcomes.some(({ status }) => status !== 'done')) throw new Error('not all done');
  });
  const backend = new IptablesBackend();
  const read = async (): Promise<void> => {
    const { length } = await backend.snapshot();
    if (length !== services) throw new Error(`${length} services`);
  };
  await report('first snapshot', read);
  await report('snapshot, nothing changed', read);
  const [{ service, destination } = { service: undefined, destination: undefined }] =
    changes.flatMap((change) => (change.op === 'addDestination' ? [change] : []));
  if (service === undefined) throw new Error('nothing to change');
  const one: Change = {
    op: 'setDestination',
    service,
    destination: { ...destination, weight: 7 },
  };
  await report('apply of one weight', async () => {
    const [outcome] = await backend.apply([one]);
    if (outcome?.status !== 'done') throw new Error('not done');
  });
  await report('snapshot after it', read);
}

async function report(what: string, work: () => Promise<void>): Promise<void> {
  globalThis.gc?.();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await sleep(20);
  delay.reset();
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  await work();
  const took = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  await sleep(5);
  delay.disable();
  const [held, usual] = [delay.max / 1e6, delay.percentile(99) / 1e6];
  process.stdout.write(
    `  ${what}: took ${took.toFixed(0)}, CPU ${((user + system) / 1000).toFixed(0)}, loop held ${held.toFixed(1)} at most (99%: ${usual.toFixed(1)})\n`,
  );
}

function changesFor(services: number): Change[] {
  return Array.from({ length: services }, (_, i): Change[] => {
    const server = serverOf(i);
    const { destinations, ...service } = server;
    const key = service as ServiceKey;
    return [
      { op: 'addService', service },
      ...destinations.map((destination): Change => ({
        op: 'addDestination',
        service: key,
        destination,
      })),
    ];
  }).flat();
}

function serverOf(i: number): VirtualServer {
  const low = `${(i >> 8) & 255}.${i & 255}`;
  const destinations = Array.from({ length: DESTINATIONS }, (_, j): Destination => ({
    address: `10.${100 + j}.${low}`,
    port: 8080,
    weight: 1 + j,
  }));
  return { protocol: 'tcp', address: `10.0.${low}`, port: 80, scheduler: 'wrr', destinations };
}

const FAMILIES = ['iptables', 'ip6tables'];

/** Puts the programs where they are found first. */
function install(folder: string): void {
  const program = (name: string, script: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  for (const family of FAMILIES) {
    const file = join(folder, family);
    program(`${family}-nft-save`, `[ ! -e ${file} ] || exec cat ${file}`);
    program(`${family}-legacy-save`, ':');
    program(`${family}-nft-restore`, `exec ${process.execPath} ${__filename} --restore ${file}`);
  }
  process.env['PATH'] = `${folder}:${process.env['PATH'] ?? ''}`;
}

/** As `iptables-restore --noflush` does, for what the backend writes. */
function restore(file: string): void {
  const tables = new Map<string, Map<string, string[]>>();
  for (const text of [
    existsSync(file) ? readFileSync(file, 'utf8') : '',
    readFileSync(0, 'utf8'),
  ]) {
    let chains = new Map<string, string[]>();
    for (const line of text.split('\n')) {
      const [word = '', chain = ''] = line.split(' ', 2);
      if (word.startsWith('*')) {
        chains = tables.get(word.slice(1)) ?? builtIn();
        tables.set(word.slice(1), chains);
      } else if (word.startsWith(':')) chains.set(word.slice(1), []);
      else if (word === '-A') chains.get(chain)?.push(line);
      else if (word === '-I') chains.get(chain)?.unshift(line.replace(/^-I (\S+) 1/, '-A $1'));
      else if (word === '-X') chains.delete(chain);
    }
  }
  let text = '';
  for (const [table, chains] of tables) {
    const names = [...chains.keys()].map((name) => `:${name} - [0:0]`);
    text += `${[`*${table}`, ...names, ...[...chains.values()].flat(), 'COMMIT'].join('\n')}\n`;
  }
  writeFileSync(file, text);
}

function builtIn(): Map<string, string[]> {
  const names = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];
  return new Map(names.map((name) => [name, []]));
}

void main(process.argv.slice(2));
