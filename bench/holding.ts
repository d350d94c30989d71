// How long the event loop is held. The lab has one processor, and its kernel does not take it away from a system call that
// works through hundreds of changes; so a loop is held up by work that is not its own. The control shows by how much: the
// floor does the same work in a process of its own, beside a loop that does nothing.
import { open, type Change } from 'ipvs';
import type { Floor } from './floor';
import { watched, type Held } from './measure';
import { inNamespace } from './namespaces';
import type { Holding } from './results';

export async function holding(
  services: number,
  floor: Floor,
  changes: readonly Change[],
  rounds: number,
): Promise<Holding[]> {
  const library = { add: [] as Held[], read: [] as Held[] };
  const control = { add: [] as Held[], read: [] as Held[] };
  for (let round = 0; round < rounds; round++) {
    await inNamespace(async (netns) => {
      await using ipvs = await open({ netns });
      library.add.push(await watched(() => ipvs.apply(changes)));
      library.read.push(await watched(() => ipvs.snapshot()));
    });
    await inNamespace(async (netns) => {
      control.add.push(await watched(() => floor.fence(netns)));
      control.read.push(await watched(() => floor.read(netns)));
    });
  }
  return (['add', 'read'] as const).map((task) => ({
    task,
    services,
    library: library[task],
    control: control[task],
  }));
}
