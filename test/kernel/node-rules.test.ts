// Rules that somebody edits by hand are found, though programs read them only when something has changed.
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ipvsProgram, serviceMap } from '../../lib/kube';
import { openNode, type Node, type NodeReport } from '../../lib/node';
import { endpoint, service, slice } from '../kube/objects';
import { Namespace, run } from './helpers';

const view = { name: 'here', addresses: [] };
const map = serviceMap(
  [service({ clusterIP: '172.30.0.10' })],
  [slice([endpoint('10.1.0.5', 'here')])],
  view,
);
const program = ipvsProgram(map, view, { clusterCIDRs: ['10.0.0.0/8', 'fd00::/8'] });

let namespace: Namespace;
let folder: string;
let node: Node;

beforeAll(() => {
  for (const name of ['ipv6', 'dummy', 'ip6table_nat', 'iptable_nat']) run('modprobe', name);
});
beforeEach(async () => {
  namespace = new Namespace();
  for (const iptables of ['iptables-legacy', 'ip6tables-legacy'])
    namespace.run(iptables, '-A', 'FORWARD', '-p', 'tcp', '-j', 'ACCEPT');
  folder = mkdtempSync('/tmp/ipvs-node-rules-');
  node = await openNode({ netns: namespace.name, record: path.join(folder, 'node.json') });
  await node.apply(program);
});
afterEach(async () => {
  await node.close();
  namespace.delete();
  rmSync(folder, { recursive: true });
});

// The settings of another namespace are read by a program, too.
const programs = ({ runs }: NodeReport): number => runs - 1;

test('what traffic changes makes nobody read them again', async () => {
  const counted = (): string => namespace.run('iptables-legacy-save', '-c', '-t', 'filter');
  const before = counted();
  namespace.run('bash', '-c', 'echo hello >/dev/udp/127.0.0.1/9');
  expect(counted()).not.toBe(before);
  const report = await node.apply(program);
  expect(report.lines).toEqual([]);
  expect(programs(report)).toBe(0);
});

const CHANGED = 'somebody changed the rules';
const JUMPS = 'somebody removed the jumps to them';

describe.each([
  ['ipv4', 'iptables-legacy'],
  ['ipv6', 'ip6tables-legacy'],
])('%s', (family, iptables) => {
  test.each<[string, readonly string[], string]>([
    ['a rule more', ['-t', 'nat', '-A', 'KUBE-SERVICES', '-j', 'RETURN'], CHANGED],
    ['a rule less', ['-t', 'nat', '-D', 'KUBE-POSTROUTING', '1'], CHANGED],
    ['a chain that was emptied', ['-t', 'filter', '-F', 'KUBE-FORWARD'], CHANGED],
    ['a jump less', ['-t', 'nat', '-D', 'PREROUTING', '1'], JUMPS],
    ['everything gone', ['-t', 'nat', '-F', 'OUTPUT'], JUMPS],
  ])('%s is found and made good', async (_, edit, reason) => {
    const before = namespace.run(`${iptables}-save`).replace(/^#.*\n|\[\d+:\d+\]/gm, '');
    namespace.run(iptables, ...edit);
    expect((await node.plan(program)).lines).toEqual([`~ ${family} rules (legacy): ${reason}`]);
    await node.apply(program);
    expect(namespace.run(`${iptables}-save`).replace(/^#.*\n|\[\d+:\d+\]/gm, '')).toBe(before);
    const again = await node.apply(program);
    expect(again.lines).toEqual([]);
    expect(programs(again)).toBe(0);
  });

  test.each<[string, readonly string[]]>([
    ['a rule', ['-A', 'FORWARD', '-p', 'udp', '-j', 'ACCEPT']],
    ['a policy', ['-P', 'FORWARD', 'DROP']],
    ['a table', ['-t', 'raw', '-A', 'OUTPUT', '-j', 'ACCEPT']],
  ])('%s of others is looked at, left alone, and known the next time', async (_, edit) => {
    namespace.run(iptables, ...edit);
    const looked = await node.apply(program);
    expect(looked.lines).toEqual([]);
    expect(programs(looked)).toBe(1);
    expect(programs(await node.apply(program))).toBe(0);
  });
});
