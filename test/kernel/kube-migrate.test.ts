// A node that iptables serves, moved to IPVS: its rules read back from the kernel by kube diff and kube import, and the state
// that comes of them answers real connections as the rules did.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { iptablesProgram, parseIptables } from '../../lib/iptables';
import { open } from '../../lib/client';
import type { Check } from '../../lib/doctor';
import type { Family } from '../../lib/model';
import { Shell, type Result } from '../cli/shell';
import { carried } from '../iptables/carried';
import { printed } from '../iptables/printed';
import { balanced, endpoint, LOCAL, mapOf, REMOTE, service, slice } from '../kube/objects';
import { Namespace, run } from './helpers';

const view = { name: 'here', addresses: ['192.168.0.2'] };
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

let node: Namespace;
let pods: Namespace;
let client: Namespace;
let folder: string;
let servers: ChildProcess | undefined;

beforeAll(() => {
  for (const name of ['dummy', 'iptable_nat', 'ip6table_nat']) run('modprobe', name);
});
beforeEach(() => {
  [node, pods, client] = [new Namespace(), new Namespace(), new Namespace()];
  folder = mkdtempSync('/tmp/ipvs-migrate-');
});
afterEach(() => {
  servers?.kill();
  servers = undefined;
  for (const each of [node, pods, client]) each.delete();
  rmSync(folder, { recursive: true });
});

function feed(rules: string, family: Family = 'ipv4'): void {
  const tool = family === 'ipv4' ? 'iptables-legacy-restore' : 'ip6tables-legacy-restore';
  const args = ['netns', 'exec', node.name, tool, '--noflush'];
  execFileSync('ip', args, { input: rules, stdio: ['pipe', 'pipe', 'pipe'] });
}

function manifests(...objects: readonly object[]): string {
  const items = objects.map((each) => ({
    kind: 'addressType' in each ? 'EndpointSlice' : 'Service',
    ...each,
  }));
  const file = path.join(folder, 'cluster.json');
  writeFileSync(file, JSON.stringify({ kind: 'List', items }));
  return file;
}

function ipvs(...words: readonly string[]): Promise<Result> {
  return new Shell(open).words(words);
}

const WAYS = [
  ['Cluster', { clusterCIDRs: ['10.0.0.0/8', 'fd00:10::/32'] }],
  [
    'Local',
    { detectLocal: { interfaceNamePrefix: 'cali' }, masqueradeAll: true, largeCluster: true },
  ],
] as const;
const rich = (externalTrafficPolicy: string): readonly object[] => [
  balanced({
    ...{ externalTrafficPolicy, sessionAffinity: 'ClientIP', externalIPs: ['192.0.2.1'] },
    loadBalancerSourceRanges: ['203.0.113.0/24', '192.168.0.0/16'],
    healthCheckNodePort: 32000,
    ports: [{ name: 'p80', port: 80, nodePort: 30080 }],
  }),
  slice([LOCAL, REMOTE, endpoint('10.1.9.10', 'there')]),
  service({ clusterIP: '172.30.0.11' }, { metadata: { name: 'none' } }),
  service({ clusterIP: 'fd00:30::1' }, { metadata: { name: 'six' } }),
  slice([endpoint('fd00:10::5', 'here'), endpoint('fd00:10::6', 'there')], {
    metadata: { name: 'six', labels: { 'kubernetes.io/service-name': 'six' } },
    addressType: 'IPv6',
  }),
];

/** Rules, but for the chains that are always there: their targets have words of their own. */
function ruleLines(text: string): string[] {
  const fixed = /^-A KUBE-(?:POSTROUTING|MARK-MASQ|FORWARD|FIREWALL) /;
  return (text.match(/^-A KUBE-.*$/gm) ?? []).filter((line) => !fixed.test(line)).sort();
}

test.each(WAYS)(
  'rules for policy %s are printed as the tests have it, and read back',
  (policy, options) => {
    const map = mapOf(...rich(policy));
    const { rules } = iptablesProgram(map, view, options);
    let saved = '';
    for (const family of FAMILIES) {
      feed(rules[family] ?? '', family);
      const found = node.run(`ip${family === 'ipv4' ? '' : '6'}tables-legacy-save`, '-c');
      expect(ruleLines(found.replace(/^\[\d+:\d+\] /gm, ''))).toEqual(
        ruleLines(printed(rules[family] ?? '', family)),
      );
      saved += found;
    }
    const { ports, healthChecks, problems } = parseIptables(saved);
    expect({ ports, healthChecks, problems }).toEqual({ ...carried(map), problems: [] });
  },
);

test('kube diff of the live node: the same, then an endpoint that went, then nothing there', async () => {
  const file = manifests(...rich('Local'));
  const { rules } = iptablesProgram(mapOf(...rich('Local')), view, {});
  for (const family of FAMILIES) feed(rules[family] ?? '', family);
  const diff = ['kube', 'diff', '--netns', node.name, '-f', file, '--node', 'here'];
  expect(await ipvs(...diff)).toEqual({ status: 0, stdout: '', stderr: '' });
  manifests(...rich('Local').filter((each) => !JSON.stringify(each).includes('fd00:10::5')));
  expect(await ipvs(...diff)).toEqual({
    status: 1,
    stderr: '',
    stdout: `~ ns1/six:p80 tcp://[fd00:30::1]:80 clusterIP: different
    - [fd00:10::5]:8080
    - [fd00:10::6]:8080
`,
  });
  const nowhere = await ipvs('kube', 'diff', '--netns', pods.name, '-f', file, '--node', 'here');
  expect(nowhere).toMatchObject({ status: 2, stdout: '' });
  expect(nowhere.stderr).toContain('kube-proxy has nothing here');
});

test('kube diff of a live node whose services are in IPVS', async () => {
  const file = manifests(service(), slice([LOCAL, REMOTE]));
  const saved = path.join(folder, 'saved');
  writeFileSync(
    saved,
    '-A -t 172.30.0.10:80 -s rr\n-a -t 172.30.0.10:80 -r 10.1.0.5:8080 -m -w 1\n',
  );
  expect(await ipvs('restore', '--netns', node.name, saved)).toMatchObject({ status: 0 });
  // The chain has the same name as in iptables mode.
  node.run('ipset', 'create', 'KUBE-CLUSTER-IP', 'hash:ip,port');
  const rule = '-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT';
  feed(`*nat\n:KUBE-SERVICES - [0:0]\n${rule}\nCOMMIT\n`);
  const diff = ['kube', 'diff', '--netns', node.name, '-f', file, '--node', 'here'];
  const { status, stdout } = await ipvs(...diff, '--output', 'json');
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    mode: 'ipvs',
    differences: [{ endpoints: [{ endpoint: '10.1.9.9:8080', change: 'missing' }] }],
  });
});

// Two pods behind the node, a client before it.
function wire(): void {
  const link = (other: Namespace, name: string, here: string): void => {
    node.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other.name);
    node.ip('addr', 'add', here, 'dev', name);
    node.ip('link', 'set', name, 'up');
    other.ip('link', 'set', 'eth0', 'up');
  };
  link(pods, 'pod', '10.1.0.1/16');
  link(client, 'out', '192.168.0.2/24');
  for (const address of ['10.1.0.5/16', '10.1.9.9/16'])
    pods.ip('addr', 'add', address, 'dev', 'eth0');
  pods.ip('route', 'add', 'default', 'via', '10.1.0.1');
  client.ip('addr', 'add', '192.168.0.9/24', 'dev', 'eth0');
  client.ip('route', 'add', 'default', 'via', '192.168.0.2');
  node.openSync().close();
  for (const setting of ['net.ipv4.ip_forward=1', 'net.ipv4.vs.conntrack=1'])
    node.run('sysctl', '-qw', setting);
}

const SERVER = `require('net').createServer((socket) => socket.end(socket.localAddress))
  .listen(8080, '0.0.0.0', () => process.stdout.write('ready'))`;
const CLIENT = `const ask = (host, port) => new Promise((resolve) => {
  let text = '';
  const socket = require('net').connect({ host, port, timeout: 3000 });
  socket.on('data', (data) => { text += data; });
  socket.on('timeout', () => { resolve('silence'); socket.destroy(); });
  socket.on('error', (error) => { resolve(error.code); });
  socket.on('end', () => { resolve(text); });
});
(async () => {
  const seen = {};
  for (const at of process.argv.slice(1)) {
    const [host, port] = at.split(':');
    const answers = await Promise.all(Array.from({ length: 24 }, () => ask(host, Number(port))));
    seen[at] = [...new Set(answers)].sort();
  }
  process.stdout.write(JSON.stringify(seen));
})();`;
const ASKED = ['172.30.0.10:80', '192.168.0.2:30080', '172.30.0.11:80', '192.0.2.1:80'];

/** Who answers the client, by where it asked. */
function answers(): Record<string, string[]> {
  return JSON.parse(client.run(process.execPath, '-e', CLIENT, ...ASKED)) as Record<
    string,
    string[]
  >;
}

test('a state imported from the live rules answers real connections as the rules did', async () => {
  wire();
  servers = spawn('ip', ['netns', 'exec', pods.name, process.execPath, '-e', SERVER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (servers.stdout !== null) await once(servers.stdout, 'data');
  const ports = [{ name: 'p80', port: 80, nodePort: 30080 }];
  const one = { metadata: { name: 'one' } };
  const map = mapOf(
    service({ type: 'NodePort', ports, externalIPs: ['192.0.2.1'] }),
    slice([LOCAL, REMOTE]),
    service({ clusterIP: '172.30.0.11' }, one),
    slice([REMOTE], { metadata: { name: 'one', labels: { 'kubernetes.io/service-name': 'one' } } }),
  );
  const { rules, jumps } = iptablesProgram(map, view, { families: ['ipv4'] });
  feed(rules.ipv4 ?? '');
  for (const { table, from, to, match } of jumps.ipv4 ?? [])
    node.run(
      'iptables-legacy',
      '-t',
      table,
      '-I',
      from,
      ...match.split(' ').filter(Boolean),
      '-j',
      to,
    );
  const before = answers();
  expect(before).toEqual({
    '172.30.0.10:80': ['10.1.0.5', '10.1.9.9'],
    '192.168.0.2:30080': ['10.1.0.5', '10.1.9.9'],
    '172.30.0.11:80': ['10.1.9.9'],
    '192.0.2.1:80': ['10.1.0.5', '10.1.9.9'],
  });

  const imported = await ipvs('kube', 'import', '--netns', node.name);
  expect(imported).toMatchObject({ status: 0 });
  const file = path.join(folder, 'state.yaml');
  writeFileSync(file, imported.stdout);
  feed('*nat\n-F\n-X\nCOMMIT\n*filter\n-F\n-X\nCOMMIT\n');
  node.ip('link', 'add', 'services', 'type', 'dummy');
  for (const address of ['172.30.0.10', '172.30.0.11', '192.0.2.1'])
    node.ip('addr', 'add', `${address}/32`, 'dev', 'services');
  expect(await ipvs('apply', '--netns', node.name, '-f', file)).toMatchObject({ status: 0 });
  expect(await ipvs('diff', '--netns', node.name, '-f', file)).toMatchObject({ status: 0 });
  expect(answers()).toEqual(before);
});

test('doctor --kube sees the rules of kube-proxy on a real node', () => {
  const doctor = (): Map<string, Check> => {
    const words = ['dist/cli/main.js', 'doctor', '--kube', '--output', 'json'];
    const printed = node.run(process.execPath, ...words);
    return new Map((JSON.parse(printed) as Check[]).map((check) => [check.id, check]));
  };
  const clean = doctor();
  expect(clean.get('kube.kube-proxy')).toMatchObject({ status: 'ok' });
  for (const id of ['kube.iptables', 'kube.ipset', 'kube.kernel'])
    expect(clean.get(id)).toMatchObject({ status: 'ok' });
  feed(iptablesProgram(mapOf(...rich('Local')), view, {}).rules.ipv4 ?? '');
  expect(doctor().get('kube.kube-proxy')).toMatchObject({
    status: 'warn',
    what: 'kube-proxy does not run here, but there is its iptables mode (1 chains of services)',
  });
});
