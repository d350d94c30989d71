// What needs a kernel with IPVS: runs as root there, with the options of main.ts as JSON in its one argument.
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { desired } from './desired';
import { Floor } from './floor';
import { holding } from './holding';
import { changing, opening, weights } from './keeping';
import { closeNamespaces } from './namespaces';
import { tableFile } from './places';
import type { Inside } from './results';
import { add, adders, read, readers } from './tasks';
import { additions, servers } from './workload';

/** What main.ts asks for. */
export interface Order {
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly openings: number;
  readonly changes: number;
  readonly only: string | undefined;
  /** Where the results go, as JSON. */
  readonly output: string;
}

async function measure(order: Order): Promise<Inside> {
  const { sizes, rounds } = order;
  const wanted = (name: string): boolean => order.only === undefined || order.only === name;
  const found: Inside = {
    kernel: os.release(),
    cpus: os.cpus().length,
    node: process.version,
    tasks: [],
    holding: [],
    keeping: [],
    weights: [],
    desired: [],
  };
  if (wanted('desired')) {
    for (const size of sizes) found.desired.push(...(await desired(size, rounds)));
  }
  for (const size of order.only === 'desired' ? [] : sizes) {
    const table = servers(size);
    const changes = additions(table);
    const floor = new Floor(tableFile(size));
    if (wanted('add')) found.tasks.push(await add(size, adders(floor, changes, rounds)));
    if (wanted('read')) found.tasks.push(await read(size, floor, readers(floor, rounds)));
    if (size === Math.max(...sizes)) {
      if (wanted('hold')) found.holding.push(...(await holding(size, floor, changes, rounds)));
      if (wanted('memory')) {
        found.keeping.push(await opening(order.openings), await changing(order.changes, table));
      }
    }
    // The small table: ipvsadm takes long to add the big one, and its memory does not depend on it.
    if (size === Math.min(...sizes) && wanted('memory')) {
      found.weights.push(...(await weights(size, floor, changes)));
    }
    await floor.close();
  }
  await closeNamespaces();
  return found;
}

async function main(): Promise<void> {
  const order = JSON.parse(process.argv[2] ?? '') as Order;
  writeFileSync(order.output, JSON.stringify(await measure(order)));
}

void main();
