// One test a rule of the documents: what is written when, and in which order.
import { serviceMap, type NodeView } from '../../lib/kube';
import { iptablesProgram } from '../../lib/iptables';
import { balanced, endpoint, LOCAL, mapOf, node, REMOTE, service, slice } from '../kube/objects';
import { chain, restore, rulesFor, rulesOf } from './rules';

const H = 'PPBSTXGMF4OXFMWK';
const SVC = `KUBE-SVC-${H}`;
const X = '-m comment --comment ns1/web:p80';
const said = (text: string): string => `-m comment --comment "${text}"`;
const VIP = '-m tcp -p tcp -d 172.30.0.10 --dport 80';
const external = { externalIPs: ['192.0.2.1'] };
const local = { externalTrafficPolicy: 'Local' };

test('a cluster IP: a portal, masquerading from outside, a share for each endpoint', () => {
  const { filter = {}, nat = {} } = rulesFor(service(), slice([LOCAL, REMOTE]));
  expect(nat['KUBE-SERVICES']?.[0]).toBe(`${said('ns1/web:p80 cluster IP')} ${VIP} -j ${SVC}`);
  const [first, second] = Object.keys(nat).filter((name) => name.startsWith('KUBE-SEP'));
  expect(nat[SVC]).toEqual([
    `${said('ns1/web:p80 cluster IP')} ${VIP} ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ`,
    `${said('ns1/web:p80 -> 10.1.0.5:8080')} -m statistic --mode random --probability 0.5000000000 -j ${first}`,
    `${said('ns1/web:p80 -> 10.1.9.9:8080')} -j ${second}`,
  ]);
  expect(nat[first ?? '']).toEqual([
    `${X} -s 10.1.0.5 -j KUBE-MARK-MASQ`,
    `${X} -m tcp -p tcp -j DNAT --to-destination 10.1.0.5:8080`,
  ]);
  expect(Object.values({ ...filter, 'KUBE-FORWARD': [], 'KUBE-FIREWALL': [] }).flat()).toEqual([]);
});

test('masquerading to a cluster IP: everything, by detector, or nothing', () => {
  const map = mapOf(service(), slice([LOCAL]));
  const first = (options: object): string => rulesOf(map, options)['nat']?.[SVC]?.[0] ?? '';
  const rule = `${said('ns1/web:p80 cluster IP')} ${VIP}`;
  expect(first({ masqueradeAll: true, clusterCIDRs: ['10.0.0.0/8'] })).toBe(
    `${rule} -j KUBE-MARK-MASQ`,
  );
  expect(first({ detectLocal: { bridgeInterface: 'cbr0' } })).toBe(
    `${rule} ! -i cbr0 -j KUBE-MARK-MASQ`,
  );
  expect(first({ detectLocal: { interfaceNamePrefix: 'veth' } })).toBe(
    `${rule} ! -i veth+ -j KUBE-MARK-MASQ`,
  );
  expect(first({})).toMatch(/-> 10\.1\.0\.5:8080" -j KUBE-SEP/);
});

test('affinity: who was there before goes there again', () => {
  const rules = rulesFor(service({ sessionAffinity: 'ClientIP' }), slice([LOCAL, REMOTE]));
  const { nat = {} } = rules;
  const [one, two] = Object.keys(nat).filter((name) => name.startsWith('KUBE-SEP'));
  expect(nat[SVC]?.slice(1)).toEqual([
    `${said('ns1/web:p80 -> 10.1.0.5:8080')} -m recent --name ${one} --rcheck --seconds 10800 --reap -j ${one}`,
    `${said('ns1/web:p80 -> 10.1.9.9:8080')} -m recent --name ${two} --rcheck --seconds 10800 --reap -j ${two}`,
    `${said('ns1/web:p80 -> 10.1.0.5:8080')} -m statistic --mode random --probability 0.5000000000 -j ${one}`,
    `${said('ns1/web:p80 -> 10.1.9.9:8080')} -j ${two}`,
  ]);
  expect(nat[one ?? '']?.[1]).toBe(
    `${X} -m recent --name ${one} --set -m tcp -p tcp -j DNAT --to-destination 10.1.0.5:8080`,
  );
});

test('an external IP with policy Cluster: masqueraded, then as from inside', () => {
  const { nat = {} } = rulesFor(service(external), slice([LOCAL]));
  expect(nat['KUBE-SERVICES']?.[1]).toBe(
    `${said('ns1/web:p80 external IP')} -m tcp -p tcp -d 192.0.2.1 --dport 80 -j KUBE-EXT-${H}`,
  );
  expect(nat[`KUBE-EXT-${H}`]).toEqual([
    `${said('masquerade traffic for ns1/web:p80 external destinations')} -j KUBE-MARK-MASQ`,
    `-j ${SVC}`,
  ]);
  expect(chain({ nat }, 'SVL')).toBeUndefined();
});

test('policy Local: pods and the node go everywhere, the rest to endpoints of this node', () => {
  const rules = rulesFor(
    service({ ...external, ...local, type: 'NodePort' }),
    slice([LOCAL, REMOTE]),
  );
  expect(chain(rules, 'EXT')).toEqual([
    `${said('pod traffic for ns1/web:p80 external destinations')} -s 10.0.0.0/8 -j ${SVC}`,
    `${said('masquerade LOCAL traffic for ns1/web:p80 external destinations')} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
    `${said('route LOCAL traffic for ns1/web:p80 external destinations')} -m addrtype --src-type LOCAL -j ${SVC}`,
    `-j KUBE-SVL-${H}`,
  ]);
  expect(chain(rules, 'SVL')).toEqual([expect.stringMatching(/-> 10\.1\.0\.5:8080" -j KUBE-SEP/)]);
  const map = mapOf(service({ ...external, ...local }), slice([LOCAL]));
  expect(chain(rulesOf(map, {}), 'EXT')?.[0]).toMatch(/masquerade LOCAL traffic/);
});

test('policy Local without an endpoint here: dropped from outside, short circuits stay', () => {
  const rules = rulesFor(service({ ...external, ...local }), slice([REMOTE]));
  expect(chain(rules, 'EXT')).toHaveLength(3);
  expect(chain(rules, 'SVL')).toBeUndefined();
  expect(rules['filter']?.['KUBE-EXTERNAL-SERVICES']).toEqual([
    `${said('ns1/web:p80 has no local endpoints')} -m tcp -p tcp -d 192.0.2.1 --dport 80 -j DROP`,
  ]);
  expect(rules['filter']?.['KUBE-SERVICES']).toEqual([]);
});

test('internal policy Local: its own chain, or dropped', () => {
  const inside = { internalTrafficPolicy: 'Local' };
  const rules = rulesFor(service(inside), slice([LOCAL, REMOTE]));
  expect(rules['nat']?.['KUBE-SERVICES']?.[0]).toMatch(`-j KUBE-SVL-${H}`);
  expect(chain(rules, 'SVL')?.[0]).toMatch(/! -s 10\.0\.0\.0\/8 -j KUBE-MARK-MASQ$/);
  expect(chain(rules, 'SVC')).toBeUndefined();
  expect(chain(rules, 'SEP')?.[0]).toMatch('10.1.0.5');
  expect(rulesFor(service(inside), slice([REMOTE]))['filter']?.['KUBE-SERVICES']).toEqual([
    `${said('ns1/web:p80 has no local endpoints')} ${VIP} -j DROP`,
  ]);
});

test('no endpoints: every way in refuses, and there is nothing to forward to', () => {
  const spec = { ports: [{ name: 'p80', port: 80, nodePort: 30080 }], ...external };
  const { filter = {}, nat = {} } = rulesFor(balanced(spec));
  const none = said('ns1/web:p80 has no endpoints');
  expect(filter['KUBE-SERVICES']).toEqual([`${none} ${VIP} -j REJECT`]);
  expect(filter['KUBE-EXTERNAL-SERVICES']).toEqual([
    `${none} -m tcp -p tcp -d 192.0.2.1 --dport 80 -j REJECT`,
    `${none} -m tcp -p tcp -d 1.2.3.4 --dport 80 -j REJECT`,
    `${none} -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 30080 -j REJECT`,
  ]);
  expect(nat['KUBE-SERVICES']).toHaveLength(1);
  expect(nat['KUBE-NODEPORTS']).toEqual([]);
  expect(Object.keys(nat)).toHaveLength(4);
});

test('a load balancer with source ranges: a guard in nat, a drop in filter', () => {
  const ranges = { loadBalancerSourceRanges: ['203.0.113.0/25', '192.168.0.0/16'] };
  const rules = rulesFor(balanced(ranges), slice([LOCAL]));
  const vip = '-m tcp -p tcp -d 1.2.3.4 --dport 80';
  expect(rules['nat']?.['KUBE-SERVICES']?.[1]).toBe(
    `${said('ns1/web:p80 loadbalancer IP')} ${vip} -j KUBE-FW-${H}`,
  );
  const admit = said('ns1/web:p80 loadbalancer IP');
  expect(chain(rules, 'FW')).toEqual([
    `${admit} -s 192.168.0.0/16 -j KUBE-EXT-${H}`,
    `${admit} -s 203.0.113.0/25 -j KUBE-EXT-${H}`,
    `${admit} -s 1.2.3.4 -j KUBE-EXT-${H}`,
    said('other traffic to ns1/web:p80 will be dropped by KUBE-PROXY-FIREWALL'),
  ]);
  expect(rules['filter']?.['KUBE-PROXY-FIREWALL']).toEqual([
    `${said(`ns1/web:p80 traffic not accepted by KUBE-FW-${H}`)} ${vip} -j DROP`,
  ]);
  const other = rulesFor(
    balanced({ loadBalancerSourceRanges: ['203.0.113.0/25'] }),
    slice([LOCAL]),
  );
  expect(chain(other, 'FW')).toHaveLength(2);
  const bad = rulesFor(balanced({ loadBalancerSourceRanges: ['nonsense'] }), slice([LOCAL]));
  expect(chain(bad, 'FW')).toHaveLength(1);
  const open = rulesFor(balanced(), slice([LOCAL]));
  expect(chain(open, 'FW')).toBeUndefined();
  expect(open['nat']?.['KUBE-SERVICES']?.[1]).toMatch(`-j KUBE-EXT-${H}`);
});

const nodePort = service({
  type: 'NodePort',
  ports: [{ name: 'p80', port: 80, nodePort: 30080 }],
});

test('a node port, and its count of what came by loopback', () => {
  const map = mapOf(nodePort, slice([LOCAL]));
  const rule = `${X} -m tcp -p tcp --dport 30080`;
  expect(rulesOf(map)['nat']?.['KUBE-NODEPORTS']).toEqual([`${rule} -j KUBE-EXT-${H}`]);
  const counted = { nfacct: true };
  expect(rulesOf(map, counted)['nat']?.['KUBE-NODEPORTS']).toEqual([
    `${rule} -d 127.0.0.0/8 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-${H}`,
    `${rule} -j KUBE-EXT-${H}`,
  ]);
  const off = { nfacct: true, localhostNodePorts: false };
  expect(rulesOf(map, off)['nat']?.['KUBE-NODEPORTS']).toHaveLength(1);
});

test('where node ports are open: the last rules of all portals', () => {
  const last = (options: object, view: Partial<NodeView> = {}, family = 'ipv4'): unknown => {
    const { rules, routeLocalnet } = iptablesProgram(mapOf(), { ...node, ...view }, options);
    const text = rules[family as 'ipv4'] ?? '';
    const tail = restore(text)['nat']?.['KUBE-SERVICES']?.map((rule) =>
      rule.replace(
        /^-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" /,
        '',
      ),
    );
    return [routeLocalnet, ...(tail ?? [])];
  };
  const to = '-j KUBE-NODEPORTS';
  const any = '-m addrtype --dst-type LOCAL';
  const addresses = ['127.0.0.1', '192.168.0.2', '10.9.9.9', '::1', 'fd00::2'];
  expect(last({})).toEqual([true, `${any} ${to}`]);
  expect(last({ localhostNodePorts: false })).toEqual([false, `${any} ! -d 127.0.0.0/8 ${to}`]);
  expect(last({}, {}, 'ipv6')).toEqual([true, `${any} ! -d ::1/128 ${to}`]);
  const ranges = { addresses, nodePortAddresses: ['127.0.0.0/8', '192.168.0.0/24', 'fd00::/8'] };
  expect(last({}, ranges)).toEqual([true, `-d 127.0.0.1 ${to}`, `-d 192.168.0.2 ${to}`]);
  expect(last({ localhostNodePorts: false }, ranges)).toEqual([false, `-d 192.168.0.2 ${to}`]);
  expect(last({}, ranges, 'ipv6')).toEqual([true, `-d fd00::2 ${to}`]);
  const primary = { addresses, nodePortAddresses: ['primary'] };
  expect(last({}, primary)).toEqual([false, `-d 192.168.0.2 ${to}`]);
});

test('a health check node port', () => {
  const rules = rulesFor(balanced({ ...local, healthCheckNodePort: 32000 }), slice([LOCAL]));
  expect(rules['filter']?.['KUBE-NODEPORTS']).toEqual([
    `${said('ns1/web:p80 health check node port')} -m tcp -p tcp --dport 32000 -j ACCEPT`,
  ]);
});

test('the chains that are always there', () => {
  const { filter = {}, nat = {} } = rulesOf(mapOf(), {});
  expect(Object.keys(filter)).toEqual([
    'KUBE-SERVICES',
    'KUBE-EXTERNAL-SERVICES',
    'KUBE-FORWARD',
    'KUBE-NODEPORTS',
    'KUBE-PROXY-FIREWALL',
    'KUBE-FIREWALL',
  ]);
  expect(Object.keys(nat)).toEqual([
    'KUBE-SERVICES',
    'KUBE-NODEPORTS',
    'KUBE-POSTROUTING',
    'KUBE-MARK-MASQ',
  ]);
  expect(filter['KUBE-FORWARD']).toEqual([
    '-m conntrack --ctstate INVALID -j DROP',
    `${said('kubernetes forwarding rules')} -m mark --mark 0x00004000/0x00004000 -j ACCEPT`,
    `${said('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  ]);
  expect(filter['KUBE-FIREWALL']).toEqual([
    `${said('block incoming localnet connections')} -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`,
  ]);
  expect(nat['KUBE-POSTROUTING']).toEqual([
    '-m mark ! --mark 0x00004000/0x00004000 -j RETURN',
    '-j MARK --xor-mark 0x00004000',
    `${said('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully`,
  ]);
  expect(nat['KUBE-MARK-MASQ']).toEqual(['-j MARK --or-mark 0x00004000']);
});

test('options of the chains that are always there', () => {
  const { filter = {}, nat = {} } = rulesOf(mapOf(), {
    conntrackLiberal: true,
    localhostNodePorts: false,
    randomFully: false,
    masqueradeBit: 31,
  });
  expect(filter['KUBE-FORWARD']).toHaveLength(2);
  expect(filter['KUBE-FIREWALL']).toBeUndefined();
  expect(nat['KUBE-POSTROUTING']?.[2]).toMatch(/-j MASQUERADE$/);
  expect(nat['KUBE-MARK-MASQ']).toEqual(['-j MARK --or-mark 0x80000000']);
  expect(rulesOf(mapOf(), { nfacct: true })['filter']?.['KUBE-FORWARD']?.[0]).toBe(
    '-m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP',
  );
});

test('from 1001 endpoints on, endpoints go without comments', () => {
  const many = (count: number): unknown[] =>
    Array.from({ length: count }, (_, i) => endpoint(`10.1.${i >> 8}.${i & 255}`, 'there'));
  const few = rulesFor(service(), slice(many(1000)));
  expect(few['nat']?.[SVC]?.[1]).toMatch(/-> /);
  const { nat = {} } = rulesFor(service(), slice(many(1001)));
  expect(nat[SVC]?.[0]).toMatch(/cluster IP/);
  expect(nat[SVC]?.[1]).toMatch(
    /^-m statistic --mode random --probability 0\.0009990010 -j KUBE-SEP-\w{16}$/,
  );
  const name = Object.keys(nat).find((each) => each.startsWith('KUBE-SEP'));
  expect(nat[name ?? '']).toEqual([
    '-s 10.1.0.0 -j KUBE-MARK-MASQ',
    '-m tcp -p tcp -j DNAT --to-destination 10.1.0.0:8080',
  ]);
});

test('IPv6, in rules of its own', () => {
  const six = service({ clusterIP: 'fd00:30::10' });
  const map = serviceMap(
    [six],
    [slice([endpoint('fd00:10:180::1', 'here')], { addressType: 'IPv6' })],
    node,
  );
  const { rules, jumps } = iptablesProgram(map, node, { clusterCIDRs: ['fd00:10::/32'] });
  const { nat = {}, filter = {} } = restore(rules.ipv6 ?? '');
  expect(nat['KUBE-SERVICES']?.[0]).toMatch('-d fd00:30::10 --dport 80');
  expect(chain({ nat }, 'SEP')?.[1]).toMatch('--to-destination [fd00:10:180::1]:8080');
  expect(chain({ nat }, 'SVC')?.[0]).toMatch('! -s fd00:10::/32');
  expect(filter['KUBE-FIREWALL']).toBeUndefined();
  expect(rules.ipv4).not.toMatch('web');
  expect(jumps.ipv4).toHaveLength(14);
  expect(jumps.ipv6).toHaveLength(12);
});

test('the ways in lead to chains that are there', () => {
  const { rules, jumps } = iptablesProgram(mapOf(), node, { prefix: 'OURS' });
  for (const family of ['ipv4', 'ipv6'] as const) {
    const chains = restore(rules[family] ?? '');
    for (const { table, to } of jumps[family] ?? []) expect(chains[table]).toHaveProperty(to);
  }
  expect(Object.values(rules).join('')).not.toMatch('KUBE');
});

test('bad input names what is wrong', () => {
  const map = mapOf(service(), slice([LOCAL]));
  const program = (options: unknown) => () => iptablesProgram(map, node, options as object);
  expect(program({ nfacct: 1 })).toThrow('nfacct: 1 is not a boolean: use true or false');
  expect(program({ scheduler: 'rr' })).toThrow(/scheduler/);
  expect(program({ prefix: 'kube' })).toThrow(/^prefix: /);
  expect(program(7)).toThrow('options: 7 is not an object');
  expect(() => iptablesProgram({} as never, node)).toThrow(/is no service map/);
  const [port] = map.ports;
  const evil = { ...map, ports: [{ ...port, name: 'a/b"\n-A INPUT -j ACCEPT' }] } as never;
  expect(() => iptablesProgram(evil, node)).toThrow(/cannot stand in a rule/);
});
