// What stays behind: memory and descriptors while the same thing is done again and again, and what a table weighs.
import { readdirSync } from 'node:fs';
import { open, openSync, type Change, type VirtualServer } from 'ipvs';
import type { Floor } from './floor';
import { collectGarbage } from './measure';
import { inNamespace } from './namespaces';
import { tableFile } from './places';
import type { Keeping, Usage, Weight } from './results';
import { additions, edits } from './workload';

const LOOKS = 5;

function usage(): Usage {
  collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { descriptors: readdirSync('/proc/self/fd').length, rss, heap: heapUsed + external };
}

/** Opens and closes as many clients, every other one synchronous. */
export async function opening(count: number): Promise<Keeping> {
  const once = async (): Promise<void> => {
    await (await open()).close();
    openSync().close();
  };
  const found = await repeat(count / 2, once);
  return { name: 'open and close', count, usage: found };
}

/** Changes the weight of every destination until so many changes are made. */
export async function changing(count: number, table: readonly VirtualServer[]): Promise<Keeping> {
  return inNamespace(async (netns) => {
    await using ipvs = await open({ netns });
    await ipvs.apply(additions(table));
    const rounds = [edits(table, 1), edits(table, 2)];
    const size = rounds[0]?.length ?? 1;
    let made = 0;
    const once = async (): Promise<void> => {
      await ipvs.apply(rounds[made++ % 2] as Change[]);
    };
    const found = await repeat(Math.ceil(count / size), once);
    return { name: 'changes of weight', count: Math.ceil(count / size) * size, usage: found };
  });
}

// The first look comes after as much again as lies between two others: by then pools and heaps have their size.
async function repeat(count: number, once: () => Promise<void>): Promise<Usage[]> {
  const stretch = Math.ceil(count / LOOKS);
  const found: Usage[] = [];
  for (let look = 0; look <= LOOKS; look++) {
    for (let i = 0; i < stretch; i++) await once();
    found.push(usage());
  }
  return found;
}

/** What results weigh while they are held, and what ipvsadm takes for the same table. */
export async function weights(
  services: number,
  floor: Floor,
  changes: readonly Change[],
): Promise<Weight[]> {
  return inNamespace(async (netns) => {
    using ipvs = openSync({ netns });
    // A first time, so that code, caches and pools are there already.
    ipvs.apply(changes);
    ipvs.snapshot();
    ipvs.flush();
    const before = usage().heap;
    const outcomes = ipvs.apply(changes);
    const between = usage().heap;
    const rows = ipvs.snapshot();
    const after = usage().heap;
    const list = await floor.spawn(netns, '/dev/null', ['ipvsadm', '-Ln']);
    return await inNamespace(async (other) => {
      const restore = await floor.spawn(other, tableFile(services), ['ipvsadm', '-R']);
      return [
        { name: `outcomes of ${outcomes.length} changes`, bytes: between - before },
        { name: `snapshot of ${rows.length} services`, bytes: after - between },
        { name: 'ipvsadm -R, the whole process', bytes: restore.count * 1024 },
        { name: 'ipvsadm -Ln, the whole process', bytes: list.count * 1024 },
      ];
    });
  });
}
