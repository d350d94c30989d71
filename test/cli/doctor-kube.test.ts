// ipvs doctor --kube, on machines made up: whether a node can be served by IPVS instead of kube-proxy.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Check } from '../../lib/doctor';
import { empty, machine } from './machine';
import { Shell } from './shell';

const PROGRAMS = {
  'iptables --version': 'iptables v1.8.9 (nf_tables)\n',
  'ip6tables --version': 'ip6tables v1.8.9 (nf_tables)\n',
  'ipset version': 'ipset v7.17, protocol version: 7\n',
  'ipset list -name': '',
  'iptables-nft-save': '*filter\n-A INPUT -j ACCEPT\nCOMMIT\n',
  'iptables-legacy-save': '',
};
const ALL = [
  ...[
    'dummy',
    'nf_conntrack',
    'nf_nat',
    'xt_set',
    'xt_addrtype',
    'xt_comment',
    'ip_set_bitmap_port',
  ],
  ...['ip_set_hash_ip', 'ip_set_hash_ipport', 'ip_set_hash_ipportip', 'ip_set_hash_ipportnet'],
];
type Files = Readonly<Record<string, string | undefined>>;

/** What the checks of `--kube` say of a machine, by their names. */
async function kube(
  files: Files = {},
  { release = '6.1.0', programs = {}, words = [] as string[] } = {},
): Promise<Map<string, Check> & { status?: number }> {
  const shell = new Shell(empty);
  shell.system = machine(files, { release, programs: { ...PROGRAMS, ...programs } });
  const { status, stdout } = await shell.words(['doctor', '--kube', '--output', 'json', ...words]);
  const checks = JSON.parse(stdout) as Check[];
  const found = checks.filter(({ id }) => id.startsWith('kube'));
  return Object.assign(new Map(found.map((check) => [check.id, check])), { status });
}

test('a node that is ready, and the steps that try it', async () => {
  const checks = await kube();
  expect([...checks.values()].map(({ id, status }) => [id, status])).toEqual([
    ['kube.kernel', 'ok'],
    ['kube.modules', 'ok'],
    ['kube.scheduler', 'ok'],
    ['kube.iptables', 'ok'],
    ['kube.rules', 'ok'],
    ['kube.ipset', 'ok'],
    ['kube.kube-proxy', 'ok'],
    ['kube.sysctls', 'ok'],
    ['kube.next', 'ok'],
  ]);
  expect(checks.status).toBe(0);
  expect(checks.get('kube.next')?.fix).toMatch(/kube map .* kube diff .* kube apply .* --dry-run$/);
  expect(checks.get('kube.sysctls')?.what).toContain('will set net.ipv4.vs.conntrack = 1');
});

test('without --kube nothing of it is looked at', async () => {
  const shell = new Shell(empty);
  shell.system = machine();
  expect(await shell.ok('doctor --output json')).not.toContain('kube.');
});

test.each<[string, Check['status'], Files, { release?: string; programs?: Files }, RegExp]>([
  ['kube.kernel', 'warn', {}, { release: '5.4.0' }, /conn_reuse_mode/],
  ['kube.iptables', 'fail', {}, { programs: { 'iptables --version': undefined } }, /not here/],
  ['kube.iptables', 'fail', {}, { programs: { 'iptables --version': 'iptables v1.6.1' } }, /1\.8/],
  ['kube.iptables', 'warn', {}, { programs: { 'ip6tables --version': undefined } }, /ip6tables/],
  ['kube.ipset', 'fail', {}, { programs: { 'ipset version': undefined } }, /not here/],
  ['kube.ipset', 'fail', {}, { programs: { 'ipset version': 'ipset v4.5' } }, /6\.0/],
  ['kube.ipset', 'fail', {}, { programs: { 'ipset list -name': undefined } }, /modprobe ip_set/],
  [
    'kube.rules',
    'warn',
    {},
    { programs: { 'iptables-legacy-save': '-A INPUT -j DROP\n-A INPUT -j DROP\n' } },
    /1 nft, 2 legacy.*more of them, legacy.*iptables-nft-save/s,
  ],
  ['kube.kube-proxy', 'warn', { '/proc/77/comm': 'kube-proxy\n' }, {}, /kube-proxy runs here"/],
  [
    'kube.kube-proxy',
    'warn',
    { '/proc/77/comm': 'kube-proxy\n' },
    { programs: { 'iptables-nft-save': ':KUBE-SVC-A - [0:0]\n:KUBE-SVC-B - [0:0]\n' } },
    /its iptables mode \(2 chains of services\)/,
  ],
  [
    'kube.kube-proxy',
    'warn',
    { '/sys/class/net/kube-ipvs0/mtu': '1500' },
    {},
    /does not run.*kube-ipvs0/,
  ],
  [
    'kube.kube-proxy',
    'warn',
    {},
    {
      programs: {
        'iptables-nft-save':
          '-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\n',
      },
    },
    /rules that ask sets/,
  ],
  [
    'kube.conntrack',
    'warn',
    {
      '/proc/sys/net/netfilter/nf_conntrack_max': '1000\n',
      '/proc/sys/net/netfilter/nf_conntrack_count': '900\n',
    },
    {},
    /900 of 1000.*nf_conntrack_max=2000/s,
  ],
  [
    'kube.modules',
    'fail',
    { '/lib/modules/6.1.0/modules.dep': 'kernel/net/dummy.ko: \nkernel/xt_set.ko.zst:\n' },
    {},
    /not in this kernel: nf_conntrack, .*ip_set_hash_ip,/,
  ],
  [
    'kube.modules',
    'ok',
    {
      '/lib/modules/6.1.0/modules.dep': ALL.map(
        (name) => `kernel/${name}.ko.xz:
`,
      ).join(''),
    },
    {},
    /are there/,
  ],
])('%s: %s', async (id, status, files, machineOf, words) => {
  const checks = await kube(files, machineOf);
  expect(checks.get(id)).toMatchObject({ id, status });
  expect(JSON.stringify(checks.get(id))).toMatch(words);
  if (status !== 'ok') expect(checks.get(id)?.fix).toBeTruthy();
  expect(checks.status).toBe(status === 'fail' ? 1 : 0);
});

test('a configuration: its scheduler, and the fields that make no difference', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ipvs-doctor-'));
  try {
    const file = join(folder, 'config.yaml');
    writeFileSync(
      file,
      'kind: KubeProxyConfiguration\nmode: ipvs\nipvs: { scheduler: sed, syncPeriod: 30s }\n',
    );
    const modules = { '/lib/modules/6.1.0/modules.dep': 'kernel/net/dummy.ko:\n' };
    const checks = await kube(modules, { words: ['--config', file] });
    expect(checks.get('kube.scheduler')).toMatchObject({
      status: 'fail',
      what: 'the kernel has no scheduler sed',
      why: `${file} asks for it, and every service needs one`,
    });
    expect(checks.get('kube.config')).toMatchObject({ status: 'warn' });
    expect(checks.get('kube.config')?.what).toContain('ipvs.syncPeriod');
    expect(checks.get('kube.next')?.fix).toContain(`--config ${file} --dry-run`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('wrong use', async () => {
  const shell = new Shell(empty);
  shell.system = machine();
  const alone = await shell.type('doctor --config x');
  expect(alone).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('give both') as string,
  });
  const missing = await shell.type('doctor --kube --config /nowhere.yaml');
  expect(missing).toMatchObject({ status: 2 });
  expect(missing.stderr).toContain('/nowhere.yaml');
});

test('of another namespace, what programs and files show is not taken for its own', async () => {
  const shell = new Shell(empty);
  shell.system = machine();
  const checks = JSON.parse(await shell.ok('doctor --kube --netns red --output json')) as Check[];
  const [only, ...others] = checks.filter(({ id }) => id.startsWith('kube'));
  expect(others).toEqual([]);
  expect(only?.fix).toBe('ip netns exec red ipvs doctor --kube');
});
