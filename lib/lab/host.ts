import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

import { type LabOptions, type LabResult, runInLab } from './run';

const capNetAdmin = 12n;

/**
 * Whether this machine's own kernel has IPVS and we may program it: CAP_NET_ADMIN in the first user
 * namespace (IPVS looks there, so root in a rootless container is not enough), and ip_vs loaded or
 * there to be loaded.
 * @internal
 */
export function hostHasIpvs(): boolean {
  const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'));
  const may = ((BigInt(`0x${capabilities?.[1] ?? '0'}`) >> capNetAdmin) & 1n) === 1n;
  const first = /^\s*0\s+0\s+4294967295$/m.test(fs.readFileSync('/proc/self/uid_map', 'utf8'));
  if (!may || !first) return false;
  if (fs.existsSync('/proc/net/ip_vs')) return true;
  return spawnSync('modprobe', ['-n', '-q', 'ip_vs'], { stdio: 'ignore' }).status === 0;
}

// Nothing of the host's is touched: a network namespace of its own, and one for mounts so that the
// names `ip netns` makes vanish with it.
const isolated = [
  'unshare',
  '--net',
  '--mount',
  '--',
  '/bin/sh',
  '-c',
  'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && ip link set lo up && exec "$@"',
  'sh',
];

/**
 * Runs a command where there is IPVS: on this machine's own kernel when that has it, in a fresh
 * network namespace, else in the lab. `IPVS_LAB=uml` in the environment asks for the lab anyway.
 * @internal
 */
export async function runOnIpvs(options: Omit<LabOptions, 'stdio' | 'signal'>): Promise<LabResult> {
  const env = options.env ?? process.env;
  if (env['IPVS_LAB'] === 'uml' || !hostHasIpvs()) return runInLab(options);

  const [program = '', ...args] = [...isolated, ...options.command];
  const child = spawn(program, args, { cwd: options.cwd, env, stdio: 'inherit' });
  // A terminal's signals reach the command without us; we wait for what it makes of them.
  const names = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const;
  const handlers = names.map((name) => {
    const handler = (): void => {
      if (name === 'SIGTERM' || name === 'SIGHUP') child.kill(name);
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => {
        resolve({ status, signal });
      });
    });
  } finally {
    for (const [name, handler] of handlers) process.off(name, handler);
  }
}
