import { IpvsError } from '../../lib';
import { ipsetRestore, ipvsProgram, serviceMap, setNames } from '../../lib/kube';
import type {
  IpvsProgramOptions,
  KubeEndpointSlice,
  KubeService,
  NodeProgram,
  NodeView,
} from '../../lib/kube';
import { balanced, endpoint, LOCAL, node, REMOTE, service, slice } from './objects';

const view: NodeView = {
  name: 'here',
  addresses: ['127.0.0.1', '192.168.0.2', '192.168.9.2', '::1', 'fe80::2', 'fd00::2'],
};

function programOf(
  services: KubeService | readonly KubeService[],
  slices: readonly KubeEndpointSlice[] = [slice([LOCAL, REMOTE])],
  options: IpvsProgramOptions = {},
  where = view,
): NodeProgram {
  return ipvsProgram(serviceMap([services].flat(), slices, where), where, options);
}

/** `address:port` or mark of each server, with its destinations. */
function served(program: NodeProgram): Record<string, string[]> {
  return Object.fromEntries(
    program.servers.map((server) => [
      'fwmark' in server ? 'mark' : `${server.address}:${server.port}`,
      server.destinations.map((each) => `${each.address}:${each.port}`),
    ]),
  );
}

function entries(program: NodeProgram, set: string): readonly string[] | undefined {
  return program.sets.get(set)?.entries;
}

/** The rules of a chain, without comments. */
function chain(program: NodeProgram, name: string, family: 'ipv4' | 'ipv6' = 'ipv4'): string[] {
  return (program.rules[family] ?? '')
    .split('\n')
    .filter((line) => line.startsWith(`-A ${name} `))
    .map((line) => line.slice(name.length + 4).replace(/-m comment --comment "[^"]*" /g, ''));
}

const BOTH = ['10.1.0.5:8080', '10.1.9.9:8080'];
const nodePort = { type: 'NodePort', ports: [{ name: 'p80', port: 80, nodePort: 30080 }] };
const local = { externalTrafficPolicy: 'Local' };

describe('node ports', () => {
  test('are open on every address of the node but loopback and link-local ones', () => {
    expect(served(programOf(service(nodePort)))).toEqual({
      '172.30.0.10:80': BOTH,
      '192.168.0.2:30080': BOTH,
      '192.168.9.2:30080': BOTH,
    });
    const six = service({ ...nodePort, clusterIP: 'fd00:30::1' });
    expect(Object.keys(served(programOf(six)))).toEqual(['fd00:30::1:80', 'fd00::2:30080']);
  });
  test('are open on addresses in nodePortAddresses; CIDRs of one family do not limit the other', () => {
    const where = { ...view, nodePortAddresses: ['192.168.9.0/24'] };
    expect(Object.keys(served(programOf(service(nodePort), [], {}, where)))).toEqual([
      '172.30.0.10:80',
      '192.168.9.2:30080',
    ]);
    const six = service({ ...nodePort, clusterIP: 'fd00:30::1' });
    expect(Object.keys(served(programOf(six, [], {}, where)))).toContain('fd00::2:30080');
    const every = { ...view, nodePortAddresses: ['192.168.9.0/24', '0.0.0.0/0'] };
    expect(Object.keys(served(programOf(service(nodePort), [], {}, every)))).toHaveLength(3);
  });
  test("are open on the node's own address alone with 'primary'", () => {
    const where = { ...view, nodePortAddresses: ['primary'] };
    expect(Object.keys(served(programOf(service(nodePort), [], {}, where)))).toEqual([
      '172.30.0.10:80',
      '192.168.0.2:30080',
    ]);
    const other = { ...where, primary: ['192.168.9.2'] };
    expect(Object.keys(served(programOf(service(nodePort), [], {}, other)))).toEqual([
      '172.30.0.10:80',
      '192.168.9.2:30080',
    ]);
  });
  test('are masqueraded by protocol, and not where the policy is Local', () => {
    const ports = ['TCP', 'UDP', 'SCTP'].map((protocol, i) => ({
      name: `p${i}`,
      protocol,
      port: 80,
      nodePort: 30080,
    }));
    const program = programOf(service({ type: 'NodePort', ports }));
    expect(entries(program, 'KUBE-NODE-PORT-TCP')).toEqual(['30080']);
    expect(entries(program, 'KUBE-NODE-PORT-UDP')).toEqual(['30080']);
    expect(entries(program, 'KUBE-NODE-PORT-SCTP-HASH')).toEqual([
      '192.168.0.2,sctp:30080',
      '192.168.9.2,sctp:30080',
    ]);
    expect(chain(program, 'KUBE-NODE-PORT').slice(0, 3)).toEqual([
      '-p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ',
      '-p udp -m set --match-set KUBE-NODE-PORT-UDP dst -j KUBE-MARK-MASQ',
      '-p sctp -m set --match-set KUBE-NODE-PORT-SCTP-HASH dst,dst -j KUBE-MARK-MASQ',
    ]);
    const kept = programOf(service({ type: 'NodePort', ports, ...local }));
    expect(entries(kept, 'KUBE-NODE-PORT-LOCAL-SCTP-HASH')).toHaveLength(2);
    expect(chain(kept, 'KUBE-NODE-PORT')[4]).toBe(
      '-p sctp -m set --match-set KUBE-NODE-PORT-LOCAL-SCTP-HASH dst,dst -j RETURN',
    );
  });
  test('a health check port is let in even where no address has node ports', () => {
    const program = programOf(
      balanced({ ...nodePort, type: 'LoadBalancer', ...local, healthCheckNodePort: 32000 }),
      [],
      {},
      { name: 'here', addresses: [] },
    );
    expect(entries(program, 'KUBE-HEALTH-CHECK-NODE-PORT')).toEqual(['32000']);
  });
});

describe('policy Local', () => {
  test('leads to endpoints of this node; without one, to all (as kube-proxy does)', () => {
    const spec = { ...nodePort, ...local, externalIPs: ['192.0.2.1'] };
    expect(served(programOf(service(spec)))['192.0.2.1:80']).toEqual(['10.1.0.5:8080']);
    expect(served(programOf(service(spec), [slice([REMOTE])]))['192.0.2.1:80']).toEqual([
      '10.1.9.9:8080',
    ]);
  });
  test('inside, without an endpoint of this node, leads nowhere', () => {
    const inside = service({ internalTrafficPolicy: 'Local' });
    expect(served(programOf(inside))).toEqual({ '172.30.0.10:80': ['10.1.0.5:8080'] });
    expect(served(programOf(inside, [slice([REMOTE])]))).toEqual({ '172.30.0.10:80': [] });
  });
  test('external addresses keep the client address, others are masqueraded', () => {
    const kept = programOf(service({ ...local, externalIPs: ['192.0.2.1'] }));
    expect(entries(kept, 'KUBE-EXTERNAL-IP-LOCAL')).toEqual(['192.0.2.1,tcp:80']);
    expect(entries(kept, 'KUBE-EXTERNAL-IP')).toEqual([]);
    expect(chain(kept, 'KUBE-SERVICES').join()).not.toMatch(
      /EXTERNAL-IP-LOCAL dst,dst -j KUBE-MARK-MASQ/,
    );
    const masqueraded = programOf(service({ externalIPs: ['192.0.2.1'] }));
    expect(chain(masqueraded, 'KUBE-SERVICES')).toEqual(
      expect.arrayContaining([
        '-m set --match-set KUBE-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ',
        '-m set --match-set KUBE-EXTERNAL-IP dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT',
        '-m set --match-set KUBE-EXTERNAL-IP dst,dst -m addrtype --dst-type LOCAL -j ACCEPT',
      ]),
    );
  });
});

describe("externalLocal: 'separate'", () => {
  const options = { externalLocal: 'separate', clusterCIDRs: ['10.0.0.0/8'] } as const;
  const spec = {
    ...local,
    type: 'LoadBalancer',
    ports: nodePort.ports,
    healthCheckNodePort: 32000,
  };

  test('inside traffic has every endpoint, outside traffic those of this node, by mark', () => {
    const program = programOf(balanced(spec), undefined, options);
    expect(served(program)).toEqual({
      '172.30.0.10:80': BOTH,
      '1.2.3.4:80': BOTH,
      mark: ['10.1.0.5:8080'],
      '192.168.0.2:30080': BOTH,
      '192.168.9.2:30080': BOTH,
    });
    const marked = program.servers.find((server) => 'fwmark' in server);
    const mark = marked !== undefined && 'fwmark' in marked ? marked.fwmark : 0;
    expect(entries(program, 'KUBE-EXTERNAL-MARK')).toEqual(
      ['1.2.3.4,tcp:80', '192.168.0.2,tcp:30080', '192.168.9.2,tcp:30080'].map(
        (e) => `${e} skbmark 0x${mark.toString(16)}`,
      ),
    );
    expect(mark & 0x4000).toBe(0);
    expect(chain(program, 'KUBE-EXTERNAL-MARK')).toEqual([
      '! -s 10.0.0.0/8 -j SET --map-set KUBE-EXTERNAL-MARK dst,dst --map-mark',
    ]);
    expect(program.jumps).toContainEqual(
      expect.objectContaining({ table: 'mangle', from: 'PREROUTING', to: 'KUBE-EXTERNAL-MARK' }),
    );
  });
  test('the node itself is masqueraded, as others could not answer it', () => {
    const program = programOf(balanced(spec), undefined, options);
    expect(chain(program, 'KUBE-LOAD-BALANCER')[0]).toBe(
      '-m set --match-set KUBE-LOAD-BALANCER-LOCAL dst,dst -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ',
    );
    expect(chain(program, 'KUBE-NODE-PORT')[0]).toMatch(
      /^-p tcp .*-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ$/,
    );
  });
  test('without an endpoint on this node outside traffic is dropped, so that the load balancer tries another', () => {
    const program = programOf(balanced(spec), [slice([REMOTE])], options);
    expect(served(program)).toMatchObject({ '1.2.3.4:80': ['10.1.9.9:8080'], mark: [] });
    expect(entries(program, 'KUBE-NO-LOCAL-ENDPOINTS')).toContain('1.2.3.4,tcp:80');
    expect(chain(program, 'KUBE-PROXY-FIREWALL').at(-1)).toBe(
      '-m set --match-set KUBE-NO-LOCAL-ENDPOINTS dst,dst ! -s 10.0.0.0/8 -m conntrack --ctstate NEW -j DROP',
    );
  });
  test('without a way to tell pods apart it stays shared, and says so', () => {
    const program = programOf(balanced(spec), undefined, {
      externalLocal: 'separate',
      families: ['ipv4'],
    });
    expect(served(program)).not.toHaveProperty('mark');
    expect(program.problems).toEqual([
      expect.stringMatching(/^externalLocal: nothing tells outside from inside for ipv4/),
    ]);
  });
  test('marks stay the same as other services come and go, and never carry the bit of masquerading', () => {
    const many = Array.from({ length: 500 }, (_, i) =>
      service(
        {
          ...local,
          clusterIP: `172.30.${i >> 8}.${i & 255}`,
          externalIPs: [`192.0.${i >> 8}.${i & 255}`],
        },
        { metadata: { name: `s${i}` } },
      ),
    );
    const marks = (services: readonly KubeService[]): Map<string, string> =>
      new Map(
        entries(programOf(services, [], options), 'KUBE-EXTERNAL-MARK')?.map(
          (e) => e.split(' skbmark ') as [string, string],
        ),
      );
    const all = marks(many);
    expect(new Set(all.values()).size).toBe(500);
    for (const mark of all.values()) expect(Number(mark) & 0x4000).toBe(0);
    for (const [address, mark] of marks(many.slice(100, 200))) expect(all.get(address)).toBe(mark);
  });
});

describe('addresses', () => {
  test('that the node has on an interface are never bound, but still served', () => {
    const program = programOf(service({ externalIPs: ['192.168.9.2', '192.0.2.1'] }));
    expect(program.addresses).toEqual(['172.30.0.10', '192.0.2.1']);
    expect(entries(program, 'KUBE-IPVS-IPS')).toEqual(program.addresses);
    expect(served(program)).toHaveProperty(['192.168.9.2:80']);
  });
  test('of several ports and services are bound once', () => {
    const ports = [
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ];
    expect(programOf(service({ ports, externalIPs: ['192.0.2.1'] })).addresses).toEqual([
      '172.30.0.10',
      '192.0.2.1',
    ]);
  });
  test('external and load balancer’s at once: one virtual service, and the source ranges hold', () => {
    const program = programOf(
      balanced({ externalIPs: ['1.2.3.4'], loadBalancerSourceRanges: ['203.0.113.0/24'] }),
    );
    expect(program.servers).toHaveLength(2);
    expect(entries(program, 'KUBE-LOAD-BALANCER-FW')).toEqual(['1.2.3.4,tcp:80']);
  });
});

describe('source ranges', () => {
  test('a node in range may use the address, from the address', () => {
    const program = programOf(balanced({ loadBalancerSourceRanges: ['192.168.0.0/24'] }));
    expect(entries(program, 'KUBE-LOAD-BALANCER-SOURCE-IP')).toEqual(['1.2.3.4,tcp:80,1.2.3.4']);
    expect(chain(program, 'KUBE-IPVS-OUT-FILTER')).toEqual([]);
  });
  test('ranges of which none could be read admit nobody', () => {
    const program = programOf(balanced({ loadBalancerSourceRanges: ['office'] }));
    expect(entries(program, 'KUBE-LOAD-BALANCER-FW')).toEqual(['1.2.3.4,tcp:80']);
    expect(entries(program, 'KUBE-LOAD-BALANCER-SOURCE-CIDR')).toEqual([]);
    expect(chain(program, 'KUBE-SOURCE-RANGES-FIREWALL')).toEqual(['-j DROP']);
    expect(chain(program, 'KUBE-IPVS-OUT-FILTER')).toHaveLength(1);
  });
});

describe('what is masqueraded on the way to cluster IPs', () => {
  const rule = (
    options: IpvsProgramOptions,
    family: 'ipv4' | 'ipv6' = 'ipv4',
  ): string | undefined =>
    chain(
      programOf(
        [service(), service({ clusterIP: 'fd00:30::1' }, { metadata: { name: 'six' } })],
        [],
        options,
      ),
      'KUBE-SERVICES',
      family,
    ).find((line) => line.endsWith('-j KUBE-MARK-MASQ'));
  const match = '-m set --match-set KUBE-CLUSTER-IP';

  test('without a detector, only what comes from a service address: the node itself', () => {
    expect(rule({})).toBe(`${match} src,dst -j KUBE-MARK-MASQ`);
  });
  test('with masqueradeAll, everything', () => {
    expect(rule({ masqueradeAll: true, clusterCIDRs: ['10.0.0.0/8'] })).toBe(
      `${match} dst,dst -j KUBE-MARK-MASQ`,
    );
  });
  test('with masqueradeAll and no detector, everything too', () => {
    expect(rule({ masqueradeAll: true })).toBe(`${match} dst,dst -j KUBE-MARK-MASQ`);
  });
  test('with ranges, what is not from the first of the family', () => {
    const options = { clusterCIDRs: ['10.0.0.0/8', '11.0.0.0/8', 'fd00:10::/56'] };
    expect(rule(options)).toBe(`${match} dst,dst ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ`);
    expect(rule(options, 'ipv6')).toBe(
      '-m set --match-set KUBE-6-CLUSTER-IP dst,dst ! -s fd00:10::/56 -j KUBE-MARK-MASQ',
    );
    expect(rule({ clusterCIDRs: ['10.0.0.0/8'] }, 'ipv6')).toBe(
      '-m set --match-set KUBE-6-CLUSTER-IP src,dst -j KUBE-MARK-MASQ',
    );
  });
  test('with a bridge or a prefix of interfaces, what does not come in there', () => {
    expect(rule({ detectLocal: { bridgeInterface: 'cbr0' } })).toBe(
      `${match} dst,dst ! -i cbr0 -j KUBE-MARK-MASQ`,
    );
    expect(rule({ detectLocal: { interfaceNamePrefix: 'cali' } })).toBe(
      `${match} dst,dst ! -i cali+ -j KUBE-MARK-MASQ`,
    );
  });
});

test('ports without endpoints anywhere refuse new connections at once; reject: false leaves them', () => {
  const program = programOf(service({ ...nodePort }), []);
  expect(entries(program, 'KUBE-NO-ENDPOINTS')).toEqual([
    '172.30.0.10,tcp:80',
    '192.168.0.2,tcp:30080',
    '192.168.9.2,tcp:30080',
  ]);
  expect(chain(program, 'KUBE-PROXY-FIREWALL')).toEqual([
    '-p tcp -m set --match-set KUBE-NO-ENDPOINTS dst,dst -m conntrack --ctstate NEW -j REJECT --reject-with tcp-reset',
    '-m set --match-set KUBE-NO-ENDPOINTS dst,dst -m conntrack --ctstate NEW -j REJECT',
  ]);
  expect(served(program)['172.30.0.10:80']).toEqual([]);
  expect(entries(programOf(service(nodePort), [], { reject: false }), 'KUBE-NO-ENDPOINTS')).toEqual(
    [],
  );
  expect(entries(programOf(service(nodePort), [slice([REMOTE])]), 'KUBE-NO-ENDPOINTS')).toEqual([]);
});

test('service addresses answer a ping only when asked to', () => {
  const rules = (icmpEcho: boolean, family: 'ipv4' | 'ipv6'): string | undefined =>
    chain(programOf(service(), [], { icmpEcho }), 'KUBE-IPVS-FILTER', family)[0];
  expect(rules(true, 'ipv4')).toBe('-p icmp -m icmp --icmp-type 8 -j RETURN');
  expect(rules(true, 'ipv6')).toBe('-p ipv6-icmp -m icmp6 --icmpv6-type 128 -j RETURN');
  expect(rules(false, 'ipv4')).toMatch(/KUBE-LOAD-BALANCER/);
});

describe('annotations', () => {
  const annotated = (
    annotations: Readonly<Record<string, unknown>>,
    spec: Readonly<Record<string, unknown>> = {},
  ): KubeService => service(spec, { metadata: { annotations } });
  const first = (program: NodeProgram): unknown => program.servers[0];

  test('choose scheduler and flags of a service', () => {
    expect(
      first(
        programOf(annotated({ 'ipvs/scheduler': 'sh', 'ipvs/scheduler-flags': 'port, fallback' })),
      ),
    ).toMatchObject({ scheduler: 'sh', schedulerFlags: ['fallback', 'port'] });
    expect(first(programOf(service(), [], { scheduler: 'lc' }))).toMatchObject({ scheduler: 'lc' });
  });
  test('mh takes the port into account, as with kube-proxy, unless flags are given', () => {
    expect(first(programOf(service(), [], { scheduler: 'mh' }))).toMatchObject({
      schedulerFlags: ['port'],
    });
    expect(first(programOf(annotated({ 'ipvs/scheduler': 'mh' })))).toMatchObject({
      schedulerFlags: ['port'],
    });
    expect(
      first(programOf(annotated({ 'ipvs/scheduler': 'mh', 'ipvs/scheduler-flags': '' }))),
    ).not.toHaveProperty('schedulerFlags');
  });
  test('give weights by address, node, zone: the first that fits counts', () => {
    const zoned = [
      slice([LOCAL, REMOTE, endpoint('10.1.0.7', 'x', { zone: 'b' }), endpoint('10.1.0.8', 'x')]),
    ];
    const program = programOf(
      annotated({ 'ipvs/weights': 'address/10.1.9.9=0, node/here=5, zone/b=3, default=2' }),
      zoned,
    );
    expect(
      program.servers[0]?.destinations.map(({ address, weight }) => `${address}=${weight}`),
    ).toEqual(['10.1.0.5=5', '10.1.0.7=3', '10.1.0.8=2', '10.1.9.9=0']);
  });
  test('forward by route or tunnel where the port stays: external and balanced addresses, without masquerading', () => {
    const same = [slice([LOCAL], { ports: [{ name: 'p80', port: 80 }] })];
    const program = programOf(
      annotated({ 'ipvs/forward': 'tunnel' }, { externalIPs: ['192.0.2.1'] }),
      same,
    );
    expect(program.servers[0]?.destinations[0]).toEqual({
      address: '10.1.0.5',
      port: 80,
      weight: 1,
    });
    expect(program.servers[1]?.destinations[0]).toEqual({
      address: '10.1.0.5',
      port: 80,
      forward: 'tunnel',
      weight: 1,
    });
    expect(entries(program, 'KUBE-EXTERNAL-IP')).toEqual([]);
    expect(entries(program, 'KUBE-EXTERNAL-IP-LOCAL')).toEqual(['192.0.2.1,tcp:80']);
  });
  test('forward that would have to change the port is a problem, and masquerades', () => {
    const program = programOf(
      annotated({ 'ipvs/forward': 'route' }, { externalIPs: ['192.0.2.1'] }),
    );
    expect(program.problems).toEqual([
      'Service ns1/web: annotation ipvs/forward: route does not change the port, and 10.1.0.5:8080 is not at 80; masq for externalIP 192.0.2.1:80',
    ]);
    expect(program.servers[1]?.destinations[0]).not.toHaveProperty('forward');
  });
  test.each([
    ['ipvs/scheduler', 'rrr', /ipvs\/scheduler: "rrr" is no scheduler: use one of rr, wrr/],
    ['ipvs/scheduler', 7, /ipvs\/scheduler: 7 is not text; the default applies/],
    ['ipvs/scheduler-flags', 'port', /ipvs\/scheduler-flags: needs ipvs\/scheduler beside it/],
    [
      'ipvs/forward',
      'nat',
      /ipvs\/forward: "nat" is no forward method: use masq, route or tunnel; the default applies/,
    ],
    ['ipvs/weights', 'node/a', /ipvs\/weights: "node\/a" is no weight/],
    ['ipvs/weights', 'default=65536', /ipvs\/weights: "default=65536" is no weight/],
    ['ipvs/weights', 'address/x=1', /ipvs\/weights: "x" is no address/],
    ['ipvs/weight', '3', /annotation "ipvs\/weight": there are ipvs\/scheduler, /],
  ])('%s: %j is a problem, and the default applies', (name, value, problem) => {
    const program = programOf(annotated({ [name]: value }));
    expect(program.problems).toEqual([expect.stringMatching(problem)]);
    expect(program.servers).toEqual(programOf(service()).servers);
  });
});

test('every set of both families is there, by names the kernel takes', () => {
  const { sets } = programOf([]);
  expect([...sets.keys()]).toEqual(setNames());
  expect(Math.max(...setNames().map((name) => name.length))).toBe(31);
  expect(setNames()).toEqual(
    expect.arrayContaining(['KUBE-6-LOAD-BALANCER-SOURCE-CID', 'KUBE-6-NODE-PORT-LOCAL-SCTP-HAS']),
  );
  expect(new Set(setNames()).size).toBe(40);
});

test('sets with more entries than the usual most are made large enough', () => {
  const endpoints = Array.from({ length: 65537 }, (_, i) =>
    endpoint(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 'here'),
  );
  const program = programOf(service(), [slice(endpoints)], { families: ['ipv4'] });
  expect(program.sets.get('KUBE-LOOP-BACK')?.create).toBe(
    'family inet hashsize 1024 maxelem 131072',
  );
  expect(program.sets.get('KUBE-CLUSTER-IP')?.create).toBe(
    'family inet hashsize 1024 maxelem 65536',
  );
});

test('sets go out as input of ipset restore: all made before any is filled', () => {
  const lines = ipsetRestore(programOf(service(), [], { families: ['ipv4'] }).sets)
    .trimEnd()
    .split('\n');
  expect(lines[0]).toBe(
    'create KUBE-LOOP-BACK hash:ip,port,ip family inet hashsize 1024 maxelem 65536',
  );
  expect(lines).toContain('create KUBE-NODE-PORT-TCP bitmap:port range 0-65535');
  expect(lines.slice(20)).toEqual([
    'add KUBE-CLUSTER-IP 172.30.0.10,tcp:80',
    'add KUBE-IPVS-IPS 172.30.0.10',
    'add KUBE-NO-ENDPOINTS 172.30.0.10,tcp:80',
  ]);
});

test('the mark is any of 32 bits', () => {
  const mark = (masqueradeBit: number): string | undefined =>
    chain(programOf([], [], { masqueradeBit }), 'KUBE-MARK-MASQ')[0];
  expect(mark(0)).toBe('-j MARK --or-mark 0x00000001');
  expect(mark(31)).toBe('-j MARK --or-mark 0x80000000');
});

test.each<[unknown, RegExp]>([
  [null, /options: null is not an object/],
  [{ schedular: 'rr' }, /schedular: no such setting of a program: did you mean scheduler/],
  [{ scheduler: 'r r' }, /scheduler: "r r" is no scheduler/],
  [{ clusterCIDRs: ['10.0.0.0'] }, /clusterCIDRs: "10.0.0.0" is no range/],
  [{ clusterCIDRs: [], detectLocal: { cidrs: [] } }, /leave one of them out/],
  [{ detectLocal: {} }, /detectLocal: give one of/],
  [
    { detectLocal: { bridgeInterface: 'a\n-j' } },
    /detectLocal.bridgeInterface: "a\\n-j" is no interface name/,
  ],
  [{ masqueradeBit: 32 }, /masqueradeBit: 32 is not from 0 to 31/],
  [{ families: ['ipv5'] }, /families: use/],
  [{ reject: 'yes' }, /reject: "yes" is not a boolean/],
  [{ externalLocal: 'both' }, /externalLocal: "both" is neither/],
  [{ excludeCIDRs: 'x' }, /excludeCIDRs: "x" is not a list/],
])('options that make no sense are an error: %j', (options, message) => {
  const call = (): unknown =>
    ipvsProgram(serviceMap([], [], node), node, options as IpvsProgramOptions);
  expect(call).toThrow(IpvsError);
  expect(call).toThrow(message);
});
