// Network namespaces, one for every addition. The kernel keeps deleted destinations in a list of their namespace for minutes,
// and each later addition there walks it: in a new namespace that list is empty for everybody. The table of services is one for
// all namespaces in Linux 6.1, so the namespace goes, with all in it, before the next one is filled.
//
// A shell of its own makes and deletes them. A process that starts others forks, and pays for each page that it writes to
// afterwards: this one is measured, and would pay in the middle of it.
import { setTimeout as sleep } from 'node:timers/promises';
import { Answering } from './answering';

/** Long enough for the kernel to take 60 000 objects apart in the background. */
const SETTLE = 700;

let shell: Answering | undefined;
let made = 0;

async function run(command: string): Promise<void> {
  shell ??= new Answering('sh');
  const answer = await shell.order(`${command} </dev/null >&2 && echo done || echo failed`);
  if (answer !== 'done') throw new Error(`it failed: ${command}`);
}

/** Runs `work` in a new namespace; gives its name to it. */
export async function inNamespace<T>(work: (netns: string) => Promise<T>): Promise<T> {
  const name = `bench-${++made}`;
  await run(`ip netns add ${name}`);
  try {
    // Without any address in it the kernel takes every destination for a broadcast address, and refuses it.
    await run(`ip -n ${name} link set lo up`);
    return await work(name);
  } finally {
    await run(`ip netns delete ${name}`);
    await sleep(SETTLE);
  }
}

/** After the last of them. */
export async function closeNamespaces(): Promise<void> {
  await shell?.close();
  shell = undefined;
}
