// A node when things go wrong while it is programmed: locks, calls broken off at every step, very large services, missing
// programs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ipvsProgram, serviceMap, type NodeProgram } from '../../lib/kube';
import { openNode, type Node } from '../../lib/node';
import { systemTools } from '../../lib/node/tools';
import { endpoint, service, slice } from '../kube/objects';
import { Namespace, run } from './helpers';

function programOf(endpoints: readonly string[], clusterIP = '172.30.0.10'): NodeProgram {
  const view = { name: 'here', addresses: [] };
  const slices = [slice(endpoints.map((address) => endpoint(address, 'there')))];
  const map = serviceMap([service({ clusterIP })], slices, view);
  return ipvsProgram(map, view, { families: ['ipv4'] });
}

let namespace: Namespace;
let folder: string;
let node: Node;

beforeAll(() => {
  for (const name of ['dummy', 'iptable_nat']) run('modprobe', name);
});
beforeEach(async () => {
  namespace = new Namespace();
  folder = mkdtempSync('/tmp/ipvs-node-trouble-');
  for (const table of ['nat', 'filter', 'mangle'])
    namespace.run('iptables-legacy', '-t', table, '-L', '-n');
  namespace.run('iptables-legacy', '-A', 'FORWARD', '-p', 'tcp', '-j', 'ACCEPT');
  node = await openNode({ netns: namespace.name, record: path.join(folder, 'node.json') });
});
afterEach(async () => {
  await node.close();
  namespace.delete();
  rmSync(folder, { recursive: true });
});

// One program, as starting one takes long here.
function everything(): string {
  const commands = [
    'ip -o address | sed s/valid_lft.*//',
    'ipset save',
    'ipvsadm -S -n',
    'iptables-legacy-save | grep -v ^#',
    'sysctl -e net.ipv4.ip_forward net.ipv4.vs',
  ];
  return namespace.run('sh', '-c', commands.join(';')).replace(/\[\d+:\d+\]/g, '[]');
}

/** Holds the lock that all of iptables waits for, as another program at work on rules does. */
async function lock(): Promise<() => Promise<void>> {
  const holder = spawn('flock', ['/run/xtables.lock', 'sh', '-c', 'echo held; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  await once(holder.stdout, 'data');
  return async () => {
    const ended = once(holder, 'close');
    process.kill(-(holder.pid ?? 0));
    await ended;
  };
}

test('while another program holds the xtables lock it waits; for too long a time is an error that says so', async () => {
  const program = programOf(['10.1.0.5']);
  const release = await lock();
  try {
    await expect(node.apply(program)).rejects.toMatchObject({
      failed: 'ipv4 rules',
      message: expect.stringMatching(
        /xtables lock.*: another program is at work on the rules: find it/,
      ) as unknown,
    });
  } finally {
    await release();
  }
  const again = await lock();
  const applied = node.apply(program);
  setTimeout(() => void again(), 2500);
  expect((await applied).problems).toEqual([]);
  expect((await node.apply(program)).lines).toEqual([]);
});

test('broken off before any of its steps: the next apply completes it, clean-up takes all of it back', async () => {
  const before = everything();
  const program = programOf(['10.1.0.5']);
  const names = new Set<string>();
  for (let steps = 0; ; steps++) {
    const { signal } = new AbortController();
    let left = steps;
    signal.throwIfAborted = () => {
      if (left-- === 0) throw new Error('broken off');
    };
    const error: unknown = await node.apply(program, { signal }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error === undefined) break;
    expect(error).toMatchObject({ message: expect.stringContaining('broken off') as unknown });
    names.add(
      (error as { failed: string }).failed
        .replace(/^\d+ |\b\d+ (?=addresses)/, '')
        .replace(/: add.*/, ''),
    );
    // Half of what there is, and nothing of it yet: the next apply completes either. It costs seconds each time.
    if (steps === 1 || steps === 5) {
      await node.apply(program);
      expect((await node.apply(program)).lines).toEqual([]);
    }
    await node.cleanup();
    expect(everything()).toBe(before);
  }
  expect([...names]).toEqual([
    'record',
    'device kube-ipvs0',
    'kernel settings',
    'ip sets',
    'ipv4 rules',
    'changes of virtual services',
    'bind addresses',
    'final record',
  ]);
});

test("killed between two steps, it has not made another program's service its own", async () => {
  namespace.ipvsadm('-A', '-t', '172.30.0.10:80', '-s', 'wrr');
  const { signal } = new AbortController();
  let left = 2;
  signal.throwIfAborted = () => {
    if (left-- === 0) throw new Error('broken off');
  };
  await expect(node.apply(programOf(['10.1.0.5']), { signal })).rejects.toThrow('broken off');
  await node.cleanup();
  expect(namespace.ipvsadm('-S', '-n')).toBe('-A -t 172.30.0.10:80 -s wrr\n');
});

test('two calls at once follow each other', async () => {
  const [first, second] = [programOf(['10.1.0.5']), programOf(['10.1.0.6'])];
  await Promise.all([node.apply(first), node.apply(second), node.apply(first)]);
  expect((await node.apply(first)).lines).toEqual([]);
});

// The kernel walks the destinations of a service for each that is added: 100 000 of them would take it two minutes here.
test('a service with 10 000 endpoints gets there, and again is no change', async () => {
  const addresses = Array.from(
    { length: 10_000 },
    (_, i) => `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
  );
  const program = programOf(addresses);
  const { problems, lines } = await node.apply(program);
  expect(problems).toEqual([]);
  expect(lines.length).toBeGreaterThan(10_000);
  expect((await node.apply(program)).lines).toEqual([]);
  using ipvs = namespace.openSync();
  expect(ipvs.destinations('tcp://172.30.0.10:80')).toHaveLength(10_000);
});

test('a program that is missing in the namespace is named, with what brings it', async () => {
  const tools = systemTools({ netns: `/run/netns/${namespace.name}` });
  await expect(tools.run('iptables-none-save', [])).rejects.toThrow(
    'iptables-none-save: not installed: install it: apt-get install iptables (1.8 or later)',
  );
});
