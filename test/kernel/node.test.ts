// A node programmed whole, and left as it was: what ip, ipset, iptables and ipvsadm say of it before and after.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { serviceMap, ipvsProgram, type NodeProgram, type NodeView } from '../../lib/kube';
import { openNode, type Node } from '../../lib/node';
import { balanced, endpoint, slice } from '../kube/objects';
import { Namespace, run } from './helpers';

const view: NodeView = { name: 'here', addresses: ['192.168.0.2'] };

function programOf(endpoints: readonly string[], spec = {}): NodeProgram {
  const map = serviceMap(
    [
      balanced({
        ports: [{ name: 'p80', protocol: 'TCP', port: 80, nodePort: 30080 }],
        externalTrafficPolicy: 'Local',
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
        loadBalancerSourceRanges: ['203.0.113.0/25'],
        healthCheckNodePort: 32000,
        ...spec,
      }),
    ],
    [slice(endpoints.map((address) => endpoint(address, 'here')))],
    view,
  );
  return ipvsProgram(map, view, { clusterCIDRs: ['10.0.0.0/8'] });
}

let namespace: Namespace;
let directory: string;
let node: Node;

beforeAll(() => {
  for (const name of ['ipv6', 'dummy', 'ip6table_nat', 'iptable_nat']) run('modprobe', name);
});
beforeEach(async () => {
  namespace = new Namespace();
  namespace.ip('link', 'add', 'eth0', 'type', 'dummy');
  namespace.ip('address', 'add', '192.168.0.2/24', 'dev', 'eth0');
  namespace.ip('link', 'set', 'eth0', 'up');
  namespace.ipvsadm('-A', '-t', '198.51.100.7:443');
  namespace.run('ipset', 'create', 'FOREIGN', 'hash:ip');
  for (const iptables of ['iptables-legacy', 'ip6tables-legacy'])
    for (const table of ['nat', 'filter', 'mangle'])
      namespace.run(iptables, '-t', table, '-L', '-n');
  namespace.run('iptables-legacy', '-A', 'FORWARD', '-p', 'tcp', '-j', 'ACCEPT');
  directory = mkdtempSync('/tmp/ipvs-node-');
  node = await openNode({ netns: namespace.name, record: path.join(directory, 'node.json') });
});
afterEach(async () => {
  await node.close();
  namespace.delete();
  rmSync(directory, { recursive: true });
});

// Everything that a program touches, as the usual programs print it.
function everything(): Record<string, string> {
  const withoutNoise = (text: string) => text.replace(/^#.*\n/gm, '').replace(/\[\d+:\d+\]/g, '[]');
  return {
    addresses: namespace.ip('-o', 'address').replace(/valid_lft.*/g, ''),
    sets: namespace.run('ipset', 'save'),
    services: namespace.ipvsadm('-S', '-n'),
    ipv4: withoutNoise(namespace.run('iptables-legacy-save')),
    ipv6: withoutNoise(namespace.run('ip6tables-legacy-save')),
    settings: namespace.run(
      'sysctl',
      '-e',
      'net.ipv4.ip_forward',
      'net.ipv4.vs',
      'net.ipv6.conf.all.forwarding',
    ),
  };
}

test('everything of a program gets there: services, addresses, ip sets, rules, settings', async () => {
  const { problems } = await node.apply(programOf(['10.1.0.5']));
  expect(problems).toEqual([]);
  const found = everything();
  expect(found['services']).toContain(
    '-A -t 172.30.0.10:80 -s rr -p 10800\n-a -t 172.30.0.10:80 -r 10.1.0.5:8080 -m -w 1',
  );
  expect(found['services']).toContain('-A -t 192.168.0.2:30080 -s rr -p 10800');
  expect(found['addresses']).toMatch(
    /kube-ipvs0 +inet 172\.30\.0\.10\/32[^]*kube-ipvs0 +inet 1\.2\.3\.4\/32/,
  );
  expect(found['sets']).toContain(
    'add KUBE-LOAD-BALANCER-SOURCE-CIDR 1.2.3.4,tcp:80,203.0.113.0/25',
  );
  expect(found['ipv4']).toContain('-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ');
  expect(found['ipv4']).toMatch(/-A PREROUTING .*-j KUBE-SERVICES/);
  expect(found['ipv6']).toContain(':KUBE-SERVICES');
  expect(found['settings']).toContain('net.ipv4.vs.conntrack = 1');
});

test('doing it twice changes nothing, and reads rules and sets without a program', async () => {
  const program = programOf(['10.1.0.5', '10.1.0.6']);
  await node.apply(program);
  const before = everything();
  const record = readFileSync(path.join(directory, 'node.json'), 'utf8');
  const again = await node.apply(program);
  expect(again.lines).toEqual([]);
  // The one that reads settings, of a namespace that is not ours.
  expect(again.runs).toBe(1);
  expect(everything()).toEqual(before);
  expect(readFileSync(path.join(directory, 'node.json'), 'utf8')).toBe(record);
});

test('marks of outside traffic are set, changed and taken back', async () => {
  const program = programOf(['10.1.0.5']);
  const marked = (entries: readonly string[]): NodeProgram => {
    const set = program.sets.get('KUBE-EXTERNAL-MARK');
    if (set === undefined) throw new Error('no set');
    return {
      ...program,
      sets: new Map([...program.sets, ['KUBE-EXTERNAL-MARK', { ...set, entries }]]),
    };
  };
  const saved = (): string[] =>
    namespace.run('ipset', 'save', 'KUBE-EXTERNAL-MARK').trim().split('\n').slice(1).sort();
  const both = marked(['1.2.3.4,tcp:80 skbmark 0x1', '1.2.3.5,tcp:80 skbmark 0x2']);
  await node.apply(both);
  expect(saved()).toEqual([
    'add KUBE-EXTERNAL-MARK 1.2.3.4,tcp:80 skbmark 0x1',
    'add KUBE-EXTERNAL-MARK 1.2.3.5,tcp:80 skbmark 0x2',
  ]);
  expect((await node.apply(both)).lines).toEqual([]);
  namespace.run('ipset', '-exist', 'add', 'KUBE-EXTERNAL-MARK', '1.2.3.5,tcp:80', 'skbmark', '0x7');
  expect((await node.plan(both)).lines).toEqual(['+ ipset KUBE-EXTERNAL-MARK 1.2.3.5,tcp:80']);
  await node.apply(marked(['1.2.3.5,tcp:80 skbmark 0x3']));
  expect(saved()).toEqual(['add KUBE-EXTERNAL-MARK 1.2.3.5,tcp:80 skbmark 0x3']);
  await node.apply(program);
  expect(saved()).toEqual([]);
});

test('clean-up leaves the node as it was, to the byte; doing it twice is fine', async () => {
  const before = everything();
  await node.apply(programOf(['10.1.0.5']));
  expect(everything()).not.toEqual(before);
  await node.cleanup();
  expect(everything()).toEqual(before);
  expect((await node.cleanup()).lines).toEqual([]);
});

test('a new program changes only what differs', async () => {
  await node.apply(programOf(['10.1.0.5']));
  const { lines } = await node.apply(
    programOf(['10.1.0.5', '10.1.0.6'], { externalIPs: ['203.0.113.9'] }),
  );
  expect(lines.filter((line) => line.includes('172.30.0.10:80 10.1.0.5'))).toEqual([]);
  expect(lines).toContain('+ address 203.0.113.9');
  const back = await node.apply(programOf(['10.1.0.5']));
  expect(back.lines).toContain('- address 203.0.113.9');
  expect((await node.apply(programOf(['10.1.0.5']))).lines).toEqual([]);
});

test('services, sets and rules of others stay, whatever is applied', async () => {
  await node.apply(programOf(['10.1.0.5']));
  await node.apply(programOf([]));
  const found = everything();
  expect(found['services']).toContain('-A -t 198.51.100.7:443');
  expect(found['sets']).toContain('create FOREIGN');
  expect(found['ipv4']).toContain('-A FORWARD -p tcp -j ACCEPT');
});

test("another program's service under a wanted address is a problem and is not touched", async () => {
  namespace.ipvsadm('-A', '-t', '172.30.0.10:80', '-s', 'wrr');
  const { problems } = await node.apply(programOf(['10.1.0.5']));
  expect(problems).toEqual([expect.stringMatching(/^tcp:\/\/172.30.0.10:80 is another program's/)]);
  expect(everything()['services']).toContain('-A -t 172.30.0.10:80 -s wrr\n');
  await node.cleanup();
  expect(everything()['services']).toContain('-A -t 172.30.0.10:80 -s wrr\n');
});

test('an address that another device has is not bound again', async () => {
  namespace.ip('address', 'add', '1.2.3.4/32', 'dev', 'eth0');
  await node.apply(programOf(['10.1.0.5']));
  expect(namespace.ip('-o', 'address', 'show', 'kube-ipvs0')).not.toContain('1.2.3.4');
});

test('what was edited or removed by hand is repaired, and the report says so', async () => {
  const program = programOf(['10.1.0.5']);
  await node.apply(program);
  const good = everything();
  namespace.run('iptables-legacy', '-t', 'nat', '-F', 'KUBE-SERVICES');
  namespace.run('ip6tables-legacy', '-t', 'nat', '-F', 'PREROUTING');
  namespace.run('ipset', 'del', 'KUBE-CLUSTER-IP', '172.30.0.10,tcp:80');
  namespace.ip('address', 'del', '172.30.0.10/32', 'dev', 'kube-ipvs0');
  const { lines } = await node.apply(program);
  expect(lines).toEqual([
    '+ ipset KUBE-CLUSTER-IP 172.30.0.10,tcp:80',
    '~ ipv4 rules (legacy): somebody changed the rules',
    '~ ipv6 rules (legacy): somebody removed the jumps to them',
    '+ address 172.30.0.10',
  ]);
  const repaired = everything();
  expect(repaired['ipv4']).toBe(good['ipv4']);
  expect(repaired['ipv6']).toBe(good['ipv6']);
});

test('a failure in the middle says what was done; the next apply completes it, clean-up takes it back', async () => {
  const before = everything();
  const program = programOf(['10.1.0.5']);
  const broken = {
    ...program,
    rules: { ...program.rules, ipv4: '*nat\n-A NOWHERE -j ACCEPT\nCOMMIT\n' },
  };
  await expect(node.apply(broken)).rejects.toMatchObject({
    name: 'IpvsError',
    failed: 'ipv4 rules',
    done: [
      'record',
      'device kube-ipvs0',
      expect.stringMatching(/kernel settings/),
      expect.stringMatching(/ip sets/),
    ],
    notTried: expect.arrayContaining(['bind 2 addresses']) as unknown,
    message: expect.stringMatching(/^node: ipv4 rules: iptables-legacy-restore: .*2/) as unknown,
  });
  await node.apply(program);
  expect((await node.apply(program)).lines).toEqual([]);
  await node.cleanup();
  expect(everything()).toEqual(before);
});

test('a plan changes nothing, not even the record', async () => {
  const before = everything();
  const { lines } = await node.plan(programOf(['10.1.0.5']));
  expect(lines).toContain('+ address 172.30.0.10');
  expect(everything()).toEqual(before);
  expect((await node.cleanup()).lines).toEqual([]);
});
