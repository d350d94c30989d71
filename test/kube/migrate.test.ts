// ipvs kube diff and kube import: what kube-proxy has on a node, from files.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { compare, waysOfMap } from '../../lib/cli/kube/compare';
import { iptablesProgram, parseIptables } from '../../lib/iptables';
import { ipvsProgram, type ServiceMap } from '../../lib/kube';
import { parseState, printIpvsadm } from '../../lib/state';
import { Shell, type Result } from '../cli/shell';
import { anyMap, view } from '../iptables/clusters';
import { printed } from '../iptables/printed';
import { balanced, endpoint, LOCAL, mapOf, node, REMOTE, service, slice } from './objects';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ipvs-migrate-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function manifests(...objects: readonly object[]): string {
  const items = objects.map((each) => ({
    kind: 'addressType' in each ? 'EndpointSlice' : 'Service',
    ...each,
  }));
  return file('cluster.json', JSON.stringify({ kind: 'List', items }));
}

/** What iptables-save prints where kube-proxy serves these objects. */
function served(...objects: readonly object[]): string {
  const { rules } = iptablesProgram(mapOf(...objects), node, { families: ['ipv4'] });
  return file('rules.txt', printed(rules.ipv4 ?? '', 'ipv4'));
}

function diff(cluster: string, ...words: readonly string[]): Promise<Result> {
  const fixed = ['--node', 'here', '--node-address', '192.168.0.2', '--family', 'ipv4'];
  return new Shell().words(['kube', 'diff', '-f', cluster, ...fixed, ...words]);
}

const shop = [balanced({ sessionAffinity: 'ClientIP' }), slice([LOCAL, REMOTE])] as const;

test('a node that is as the manifests say', async () => {
  const result = await diff(manifests(...shop), '--iptables-save', served(...shop));
  expect(result).toEqual({ status: 0, stdout: '', stderr: '' });
});

test('services and endpoints that are missing, extra and different', async () => {
  const other = [service({ clusterIP: '172.30.0.9' }, { metadata: { name: 'new' } })];
  const old = service({ clusterIP: '172.30.0.8' }, { metadata: { name: 'old' } });
  const oldSlice = slice([LOCAL], {
    metadata: { name: 'old-1', labels: { 'kubernetes.io/service-name': 'old' } },
  });
  const rules = served(...shop, old, oldSlice);
  const moved = slice([LOCAL, endpoint('10.1.9.10', 'there')]);
  const wanted = balanced({ loadBalancerSourceRanges: ['203.0.113.0/24'] });
  const cluster = manifests(wanted, moved, ...other);
  expect(await diff(cluster, '--iptables-save', rules)).toEqual({
    status: 1,
    stderr: '',
    stdout: `+ ns1/new:p80 tcp://172.30.0.9:80 clusterIP: not on the node
- ns1/old:p80 tcp://172.30.0.8:80 clusterIP: on the node, not in the manifests
    - 10.1.0.5:8080
~ ns1/web:p80 tcp://1.2.3.4:80 loadBalancer: different
    affinity: 10800 s → none
    sourceRanges: everybody → 203.0.113.0/24
    + 10.1.9.10:8080
    - 10.1.9.9:8080
~ ns1/web:p80 tcp://172.30.0.10:80 clusterIP: different
    affinity: 10800 s → none
    + 10.1.9.10:8080
    - 10.1.9.9:8080
`,
  });
  const json = await diff(cluster, '--iptables-save', rules, '--output', 'json');
  expect(json).toMatchObject({ status: 1, stderr: '' });
  expect(JSON.parse(json.stdout)).toMatchObject({
    mode: 'iptables',
    problems: [],
    differences: [
      { change: 'missing', service: 'ns1/new:p80', frontend: 'tcp://172.30.0.9:80', endpoints: [] },
      {
        change: 'extra',
        service: 'ns1/old:p80',
        endpoints: [{ endpoint: '10.1.0.5:8080', change: 'extra', now: 1 }],
      },
      { change: 'different', kind: 'loadBalancer' },
      {
        change: 'different',
        settings: [{ name: 'affinity', now: '10800 s', wanted: 'none' }],
        endpoints: [
          { endpoint: '10.1.9.10:8080', change: 'missing', wanted: 1 },
          { endpoint: '10.1.9.9:8080', change: 'extra', now: 1 },
        ],
      },
    ],
  });
});

test('policies, node ports, and a port whose last endpoint went', async () => {
  const ports = { ports: [{ name: 'p80', port: 80, nodePort: 30080 }], type: 'NodePort' };
  const rules = served(service(ports), slice([LOCAL, REMOTE]));
  const local = service({ ...ports, externalTrafficPolicy: 'Local' });
  const { stdout } = await diff(manifests(local, slice([LOCAL, REMOTE])), '--iptables-save', rules);
  expect(stdout).toBe(`~ ns1/web:p80 tcp node port 30080 (ipv4): different
    policy: cluster → local
    - 10.1.9.9:8080
`);
  const gone = served(local, slice([]));
  const back = await diff(manifests(local, slice([REMOTE])), '--iptables-save', gone);
  expect(back.stdout).toBe(`~ ns1/web:p80 tcp://172.30.0.10:80 clusterIP: different
    + 10.1.9.9:8080
`);
});

test("kube-proxy in IPVS mode, by ipvsadm's lines", async () => {
  const program = ipvsProgram(mapOf(...shop), node, { families: ['ipv4'] });
  const cluster = manifests(...shop);
  const lines = printIpvsadm(program.servers);
  const same = await diff(cluster, '--ipvsadm-save', file('a', lines));
  expect(same).toEqual({ status: 0, stdout: '', stderr: '' });
  const changed = lines
    .replace('-t 1.2.3.4:80 -s rr -p 10800', '-t 1.2.3.4:80 -s wrr')
    .replace('-a -t 172.30.0.10:80 -r 10.1.9.9:8080 -m -w 1\n', '')
    .replace(/$/, '-a -t 172.30.0.10:80 -r 10.1.7.7:8080 -m -w 0\n-A -t 10.9.9.9:53 -s rr\n');
  const cut = await diff(cluster, '--ipvsadm-save', file('b', changed));
  expect(cut).toEqual({
    status: 1,
    stderr: '1 of the destinations have weight 0: not compared\n',
    stdout: `- tcp://10.9.9.9:53: on the node, not in the manifests
~ ns1/web:p80 tcp://1.2.3.4:80 loadBalancer: different
    scheduler: wrr → rr
    affinity: none → 10800 s
~ ns1/web:p80 tcp://172.30.0.10:80 clusterIP: different
    + 10.1.9.9:8080
`,
  });
});

test('trouble is 2, and says what to do', async () => {
  const cluster = manifests(...shop);
  const none = await diff(cluster, '--iptables-save', file('x', 'root:x:0:0\n'));
  expect(none).toEqual({
    status: 2,
    stdout: '',
    stderr: `ipvs kube diff: ${join(folder, 'x')}: there is no chain KUBE-SERVICES: nothing here is of kube-proxy's iptables mode (${join(folder, 'x')}:1: "root:x:0:0" is no line of iptables-save; passed over)\n`,
  });
  expect(await diff(cluster, '--iptables-save', join(folder, 'nowhere'))).toMatchObject({
    status: 2,
  });
  expect(await diff(cluster, '--ipvsadm-save', file('y', 'nonsense\n'))).toMatchObject({
    status: 2,
  });
  expect(await diff('-', '--iptables-save', '-')).toMatchObject({ status: 2, stdout: '' });
  const bad = await diff(cluster, '--iptables-save', served(...shop), '--prefix', 'kube');
  expect(bad).toMatchObject({ status: 2 });
});

test('lines that make no sense are named, and the rest is compared', async () => {
  const rules = served(...shop);
  const { status, stdout, stderr } = await diff(
    manifests(...shop),
    ...['--iptables-save', rules, '--iptables-save', file('more', 'nonsense\n')],
  );
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  expect(stderr).toBe(
    `${join(folder, 'more')}:1: "nonsense" is no line of iptables-save; passed over\n`,
  );
});

test('a family whose rules nobody gave is not compared, and that is said', async () => {
  const words = ['kube', 'diff', '-f', manifests(...shop), '--node', 'here', '--iptables-save'];
  const six = service({ clusterIP: 'fd00:30::1' }, { metadata: { name: 'six' } });
  const result = await new Shell().words([...words, served(...shop)]);
  expect(result).toEqual({ status: 0, stdout: '', stderr: '' });
  const both = ['kube', 'diff', '-f', manifests(...shop, six), ...words.slice(4)];
  expect(await new Shell().words([...both, served(...shop)])).toEqual({
    status: 0,
    stdout: '',
    stderr: 'ipv6: there are no rules of it; not compared\n',
  });
});

test('what rules were written for a cluster is the same as that cluster, whatever it is', () => {
  fc.assert(
    fc.property(anyMap, (map: ServiceMap) => {
      const { rules } = iptablesProgram(map, view, {});
      const now = parseIptables(`${rules.ipv4 ?? ''}${rules.ipv6 ?? ''}`);
      expect(compare(waysOfMap(now), waysOfMap(map))).toEqual([]);
    }),
  );
});

function importing(...words: readonly string[]): Promise<Result> {
  return new Shell().words(['kube', 'import', ...words]);
}
const ALONE =
  'addresses and masquerading: a state has virtual services alone: bind their addresses to a device, and masquerade what the rules mark (MARK-MASQ); ipvs kube apply does both\n';

test('import: rules of a node as a state file', async () => {
  const rules = served(service(), slice([LOCAL, REMOTE]));
  const { status, stdout, stderr } = await importing('--iptables-save', rules);
  expect({ status, stderr }).toEqual({ status: 0, stderr: ALONE });
  expect(stdout).toBe(`services:
  - service: tcp://172.30.0.10:80
    scheduler: rr
    destinations:
      - 10.1.0.5:8080
      - 10.1.9.9:8080
`);
  expect(
    JSON.parse((await importing('--iptables-save', rules, '--output', 'json')).stdout),
  ).toEqual({
    services: parseState(stdout).services.map((each) => ({
      service: 'tcp://172.30.0.10:80',
      scheduler: each.scheduler,
      destinations: ['10.1.0.5:8080', '10.1.9.9:8080'],
    })),
  });
  const saved = await importing('--iptables-save', rules, '--output', 'save', '--scheduler', 'wlc');
  expect(saved.stdout).toContain('-A -t 172.30.0.10:80 -s wlc\n');
});

test('import: what no state can say is named', async () => {
  const ports = { ports: [{ name: 'p80', port: 80, nodePort: 30080 }] };
  const spec = {
    ...{ externalTrafficPolicy: 'Local', healthCheckNodePort: 32000, ...ports },
    loadBalancerSourceRanges: ['203.0.113.0/24'],
  };
  const rules = served(balanced(spec), slice([LOCAL, REMOTE]));
  const none = await importing('--iptables-save', rules);
  const topics = (text: string): string[] =>
    text.split('\n').map((line) => line.split(':')[0] ?? '');
  expect(topics(none.stderr)).toEqual([
    ...['source ranges', 'policy Local', 'node ports', 'health check node ports'],
    ...['addresses and masquerading', ''],
  ]);
  expect(none.stderr).toContain(
    'source ranges: ns1/web:p80 at tcp://1.2.3.4:80: the rules let certain sources in alone',
  );
  expect(none.stdout).not.toContain('30080');
  const empty = served(balanced(spec), slice([]));
  expect(topics((await importing('--iptables-save', empty)).stderr)).toContain('no endpoints');
  const away = served(balanced(spec), slice([REMOTE]));
  expect(topics((await importing('--iptables-save', away)).stderr)).toContain(
    'policy Local without an endpoint here',
  );
  const given = await importing('--iptables-save', rules, '--node-address', '192.168.0.2');
  expect(given.stdout).toContain('service: tcp://192.168.0.2:30080');
  expect(given.stderr).not.toContain('--node-address');
});

test('import: shares become weights, and a scheduler that looks at them', async () => {
  const rules = served(service(), slice([LOCAL, REMOTE]));
  const skewed = new Shell();
  skewed.stdin = readFileSync(rules, 'utf8').replace('0.50000000000', '0.75000000000');
  const { stdout } = await skewed.words(['kube', 'import', '--iptables-save', '-']);
  expect(stdout).toContain('scheduler: wrr');
  expect(parseState(stdout).services[0]?.destinations).toMatchObject([
    { address: '10.1.0.5', weight: 3 },
    { address: '10.1.9.9' },
  ]);
});

test('import: the state of any cluster is one that can be read', async () => {
  await fc.assert(
    fc.asyncProperty(anyMap, async (map) => {
      const { rules } = iptablesProgram(map, view, {});
      const shell = new Shell();
      shell.stdin = `${rules.ipv4 ?? ''}${rules.ipv6 ?? ''}`;
      const words = ['--iptables-save', '-', '--node-address', '192.168.0.2,fd00::2'];
      const { status, stdout } = await shell.words(['kube', 'import', ...words]);
      expect(status).toBe(0);
      const applied = new Shell();
      applied.stdin = stdout;
      await applied.words(['apply', '-f', '-']);
      const again = new Shell(() => Promise.resolve(applied.kernel.open()));
      again.stdin = stdout;
      expect(await again.words(['diff', '-f', '-'])).toEqual({ status: 0, stdout: '', stderr: '' });
    }),
    { numRuns: 10 },
  );
}, 30_000);

test('import: nothing to import is a failure', async () => {
  const result = await importing('--iptables-save', file('x', '*nat\nCOMMIT\n'));
  expect(result).toMatchObject({ status: 1, stdout: '' });
  expect(result.stderr).toContain('there is no chain KUBE-SERVICES');
});
