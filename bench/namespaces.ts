// Network namespaces, one for every addition. The kernel keeps deleted destinations in a list of their namespace for minutes,
// and each later addition there walks it: in a new namespace that list is empty for everybody. The table of services is one for
// all namespaces in Linux 6.1, so the namespace goes, with all in it, before the next one is filled.
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** Long enough for the kernel to take 60 000 objects apart in the background. */
const SETTLE = 700;

let made = 0;

/** Runs `work` in a new namespace; gives its name to it. */
export async function inNamespace<T>(work: (netns: string) => Promise<T>): Promise<T> {
  const name = `bench-${++made}`;
  execFileSync('ip', ['netns', 'add', name]);
  try {
    // Without any address in it the kernel takes every destination for a broadcast address, and refuses it.
    execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    return await work(name);
  } finally {
    execFileSync('ip', ['netns', 'delete', name]);
    await sleep(SETTLE);
  }
}
