// Rules read back: what was written comes back as far as rules tell it, however a kernel prints them.
import fc from 'fast-check';
import { fromServers, iptablesProgram, parseIptables, type IptablesMap } from '../../lib/iptables';
import type { Endpoint, ServiceMap } from '../../lib/kube';
import type { Destination, Family, VirtualServer } from '../../lib/model';
import { balanced, endpoint, LOCAL, mapOf, node, REMOTE, service, slice } from '../kube/objects';
import { carried } from './carried';
import { anyMap, view } from './clusters';
import { printed } from './printed';

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const OPTIONS = [
  {},
  { clusterCIDRs: ['10.0.0.0/8', 'fd00:10::/32'] },
  { detectLocal: { bridgeInterface: 'cbr0' }, nfacct: true, localhostNodePorts: true },
  { detectLocal: { interfaceNamePrefix: 'cali' }, masqueradeAll: true, largeCluster: true },
  { conntrackLiberal: true, prefix: 'LAB', localhostNodePorts: false },
];

function written(map: ServiceMap, options: object): string {
  const { rules } = iptablesProgram(map, view, options);
  return FAMILIES.map((family) => rules[family]).join('');
}

function told({ ports, healthChecks, problems }: IptablesMap): object {
  return { ports, healthChecks, problems };
}

test('what was written is read back, as far as rules tell it', () => {
  fc.assert(
    fc.property(anyMap, fc.constantFrom(...OPTIONS), (map, options) => {
      const { prefix = 'KUBE' } = options as { prefix?: string };
      const read = parseIptables(written(map, options), { prefix });
      expect(told(read)).toEqual({ ...carried(map), problems: [] });
      expect(read.families).toEqual(FAMILIES);
    }),
    { numRuns: 300 },
  );
});

test('what a kernel prints of it is read the same', () => {
  fc.assert(
    fc.property(anyMap, fc.constantFrom(...OPTIONS), fc.boolean(), (map, options, counters) => {
      const { prefix = 'KUBE' } = options as { prefix?: string };
      const { rules } = iptablesProgram(map, view, options);
      const text = FAMILIES.map((family) => printed(rules[family] ?? '', family, counters)).join(
        '',
      );
      expect(told(parseIptables(text, { prefix }))).toEqual({ ...carried(map), problems: [] });
    }),
    { numRuns: 100 },
  );
});

test('the text that is read back writes the same rules again', () => {
  fc.assert(
    fc.property(anyMap, (map) => {
      const once = parseIptables(written(map, {}));
      expect(parseIptables(written(once, {}))).toEqual(once);
    }),
    { numRuns: 50 },
  );
});

const shop = mapOf(balanced({ sessionAffinity: 'ClientIP' }), slice([LOCAL, REMOTE]));
const whole = written(shop, {});
const lineOf = (pattern: RegExp, text = whole): number =>
  text.split('\n').findIndex((line) => pattern.test(line)) + 1;
/** Problems with a text in which something is another. */
function spoilt(pattern: RegExp, by: string, text = whole): readonly string[] {
  expect(text).toMatch(pattern);
  return parseIptables(text.replace(pattern, by)).problems;
}

test('text that breaks off anywhere, or is garbled, is read as far as it goes', () => {
  const junk = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom('"', '\\', '\n', '\n"', ' -j ACCEPT', '*nat\n', 'COMMIT\n', ' ! ', ':', '-A '),
  );
  const change = fc.tuple(fc.nat(whole.length), fc.nat(40), junk);
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      let text = whole;
      for (const [at, gone, added] of changes) {
        text = text.slice(0, at) + added + text.slice(at + gone);
      }
      const { ports, problems } = parseIptables(text);
      // Whatever is lost, nothing is made up.
      for (const port of ports) expect(port.name).toMatch(/^[-\w./:[\]]+$/);
      for (const problem of problems) expect(problem).not.toMatch(/[\n\0]/);
    }),
    { numRuns: 1000 },
  );
  for (let end = 0; end < whole.length; end += 7) {
    const { problems } = parseIptables(whole.slice(0, end));
    if (end < whole.length - 8) expect(problems).not.toEqual([]);
  }
});

test('each line that is none is a problem that names it, and spoils no other', () => {
  const lines = whole.trimEnd().split('\n');
  const at = fc.uniqueArray(fc.nat(lines.length), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(at, (places) => {
      const bad = lines.toSpliced(lines.length, 0);
      for (const place of [...places].sort((a, b) => b - a)) bad.splice(place, 0, 'nonsense');
      const { ports, problems } = parseIptables(bad.join('\n'));
      expect(ports).toEqual(carried(shop).ports);
      expect(problems).toHaveLength(places.length);
      const numbers = bad.flatMap((line, i) => (line === 'nonsense' ? [i + 1] : []));
      expect(problems).toEqual(
        numbers.map((n) => `line ${n}: "nonsense" is no line of iptables-save; passed over`),
      );
    }),
  );
});

test('rules of ours that say something unknown are passed over', () => {
  const portal = lineOf(/web:p80 cluster IP" -m tcp .* -j KUBE-SVC/);
  const cluster = /(web:p80 cluster IP" -m tcp .*) -j KUBE-SVC.*/;
  expect(spoilt(cluster, '$1 -m time --timestart 08:00 -j KUBE-SVC-X')).toEqual([
    `line ${portal}: chain KUBE-SERVICES: --timestart is not known here; passed over`,
  ]);
  expect(spoilt(cluster, '$1 -j KUBE-SVC-AAAAAAAAAAAAAAAA')).toEqual([
    `line ${portal}: chain KUBE-SERVICES: KUBE-SVC-AAAAAAAAAAAAAAAA is no chain of ns1/web:p80, which its comment names; passed over`,
  ]);
  expect(spoilt(cluster, '$1')).toHaveLength(1);
  expect(spoilt(cluster, '$1 -j')).toEqual([
    `line ${portal}: chain KUBE-SERVICES: -j has nothing after it; passed over`,
  ]);
  // What no option and no chain holds is shown so that it stays in its line.
  expect(spoilt(cluster, '$1 --\0')).toEqual([
    `line ${portal}: chain KUBE-SERVICES: "--\\u0000" is not known here; passed over`,
  ]);
  expect(spoilt(cluster, '$1 -j KUBE-\0')).toEqual([
    `line ${portal}: chain KUBE-SERVICES: "KUBE-\\u0000" is no chain of ns1/web:p80, which its comment names; passed over`,
  ]);
  expect(spoilt(/(-j KUBE-SVC-)/, '! $1')).toHaveLength(1);
  expect(spoilt(/-d 172\.30\.0\.10/, '! $&')).toHaveLength(1);
  expect(spoilt(/-d 172\.30\.0\.10/, '-d 172.30.0.0/24')).toHaveLength(1);
  expect(spoilt(/--dport 80/, '--dport 80:90')).toHaveLength(1);
  expect(spoilt(/-m comment --comment "ns1\/web:p80 cluster IP" /, '')).toEqual([
    `line ${portal}: chain KUBE-SERVICES: no comment says which service it is for; passed over`,
  ]);
  expect(
    spoilt(/--to-destination 10\.1\.0\.5:8080/, '--to-destination 10.1.0.5-10.1.0.9'),
  ).toContain(
    `line ${lineOf(/-j DNAT/)}: chain ${chainAt(/-j DNAT/)}: "DNAT" is not known here; passed over`,
  );
});

function chainAt(pattern: RegExp): string {
  return /-A (\S+)/.exec(whole.split('\n')[lineOf(pattern) - 1] ?? '')?.[1] ?? '';
}

test.each([
  ['a line end and a rule', 'x\n-A KUBE-SERVICES -j ACCEPT'],
  ['a name of somebody else', 'kube-system/dns cluster IP'],
  ['quotes', 'a\\" -j DROP -m comment --comment \\"b'],
  ['options', '-j'],
  ['nothing', ''],
  ['what no name has', '$(reboot)/x cluster IP'],
])('a comment with %s makes no service', (_what, comment) => {
  const rule = `-A KUBE-SERVICES -d 10.9.9.9/32 -p tcp -m comment --comment "${comment}" -m tcp --dport 53 -j KUBE-SVC-AAAAAAAAAAAAAAAA\n`;
  const foreign = `-A OUTPUT -m comment --comment "${comment}" -j RETURN\n`;
  const text = whole.replace(/^-A KUBE-SERVICES .*cluster IP.*\n/m, `$&${rule}${foreign}`);
  const { ports, problems } = parseIptables(text);
  expect(ports).toEqual(carried(shop).ports);
  expect(problems).toEqual([
    expect.stringMatching(/^line \d+: chain KUBE-SERVICES: .*; passed over$/),
  ]);
});

test('text that ends before a table does is not whole', () => {
  expect(parseIptables(whole.replace(/COMMIT\n$/, '')).problems).toEqual([
    'table nat has no COMMIT: the text is not whole, so rules may be missing',
  ]);
  const file = { file: 'node7.txt' };
  expect(parseIptables('*nat\n*filter\nCOMMIT\n', file).problems[0]).toBe(
    'node7.txt: table nat has no COMMIT: the text is not whole, so rules may be missing',
  );
  const lost = whole.replaceAll(/^(:|-A )KUBE-SVC.*\n/gm, '');
  expect(parseIptables(lost).problems).toEqual([
    expect.stringMatching(/^line \d+: it leads to KUBE-SVC-\w+, which is not in the text$/),
  ]);
});

test('text without any of it', () => {
  const none = ["there is no chain KUBE-SERVICES: nothing here is of kube-proxy's iptables mode"];
  for (const text of ['', '*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n', whole.replaceAll('KUBE-', 'X-')])
    expect(told(parseIptables(text))).toEqual({ ports: [], healthChecks: [], problems: none });
  expect(parseIptables(whole, { prefix: 'LAB' }).problems).toHaveLength(1);
});

test('the rules beside IPVS are known for what they are', () => {
  const set = '-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\n';
  const { ports, problems } = parseIptables(`*nat\n:KUBE-SERVICES - [0:0]\n${set}${set}COMMIT\n`);
  expect(ports).toEqual([]);
  expect(problems).toEqual([
    "line 1: rules of kube-proxy's IPVS mode: services are in IPVS, see ipvsadm -S -n",
  ]);
});

test('of both makes of iptables, the one with more rules counts', () => {
  const old = '*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n';
  const both = `# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n${printed(whole.split('*filter').slice(0, 2).join('*filter'), 'ipv4')}`;
  const { ports, problems } = parseIptables(`${old}${both}`);
  expect(ports).toEqual(carried(shop).ports);
  expect(problems).toEqual([
    'line 1: services of ipv4 a second time, with fewer rules than at line 6; passed over',
  ]);
});

test('where node ports are open', () => {
  const open = (nodePortAddresses: readonly string[]): unknown => {
    const at = { ...view, nodePortAddresses };
    const { rules } = iptablesProgram(shop, at, {});
    return parseIptables(`${rules.ipv4}${rules.ipv6}`).nodePortAddresses;
  };
  expect(open([])).toEqual({});
  expect(open(['192.168.0.0/24', 'fd00::/8'])).toEqual({
    ipv4: ['192.168.0.2'],
    ipv6: ['fd00::2'],
  });
});

test('weights come back as the least that make the same shares', () => {
  const weights = (...given: readonly number[]): unknown => {
    const map = mapOf(service(), slice(given.map((_, i) => endpoint(`10.1.0.${i + 10}`, 'there'))));
    const weigh = (each: Endpoint, i: number): Endpoint => ({ ...each, weight: given[i] ?? 0 });
    const ports = map.ports.map((port) => ({
      ...port,
      endpoints: { ...port.endpoints, cluster: port.endpoints.cluster?.map(weigh) ?? [] },
    }));
    const options = { families: ['ipv4'], weights: true } as const;
    const text = iptablesProgram({ ...map, ports }, node, options).rules.ipv4 ?? '';
    return [text, printed(text, 'ipv4')].map((each) => {
      const read = parseIptables(each);
      expect(read.problems).toEqual([]);
      return read.ports[0]?.endpoints.cluster?.map(({ weight = 1 }) => weight);
    });
  };
  expect(weights(5, 3, 2)).toEqual([
    [5, 3, 2],
    [5, 3, 2],
  ]);
  expect(weights(4, 4)).toEqual([
    [1, 1],
    [1, 1],
  ]);
  expect(weights(100, 1, 50)).toEqual([
    [100, 1, 50],
    [100, 1, 50],
  ]);
  expect(weights(1, 0, 3)).toEqual([
    [1, 0, 3],
    [1, 0, 3],
  ]);
  const many = Array.from({ length: 40 }, (_, i) => i + 1);
  expect(weights(...many)).toEqual([many, many]);
});

test('an endpoint that only those who know it are led to has weight 0', () => {
  // The rule with its share is gone; that of those who were there before stays.
  const text = whole.replace(/^-A KUBE-SVC-.* --probability .*\n/m, '');
  const { ports, problems } = parseIptables(text);
  expect(problems).toEqual([]);
  expect(ports[0]?.affinity).toEqual({ timeout: 10800 });
  expect(ports[0]?.endpoints.cluster).toMatchObject([
    { address: '10.1.0.5', weight: 0 },
    { address: '10.1.9.9' },
  ]);
});

test('virtual servers come back as they were written: shares, persistence, and those that take nothing', () => {
  const at = (address: string, weight: number): Destination => ({ address, port: 8080, weight });
  const servers: VirtualServer[] = [
    {
      ...{ protocol: 'tcp', address: '10.0.0.1', port: 80, scheduler: 'wrr' },
      persistence: { timeout: 300, prefix: 24 },
      destinations: [at('192.0.2.1', 3), at('192.0.2.2', 1)],
    },
    {
      ...{ protocol: 'udp', address: '2001:db8::1', port: 53, scheduler: 'rr' },
      persistence: { timeout: 60, prefix: 64 },
      destinations: [at('2001:db8::2', 1), at('2001:db8::3', 0)],
    },
    { protocol: 'tcp', address: '10.0.0.2', port: 80, scheduler: 'rr', destinations: [] },
  ];
  const map = fromServers(servers);
  expect(map.problems).toEqual([]);
  const { ports, problems } = parseIptables(written(map, {}));
  expect(problems).toEqual([]);
  const weigh = (each: Endpoint): Endpoint => (each.weight === 1 ? omitWeight(each) : each);
  expect(ports).toEqual(
    map.ports.map(({ endpoints, ...port }) => ({
      ...port,
      endpoints: { ...endpoints, cluster: endpoints.cluster?.map(weigh) },
    })),
  );
});

function omitWeight({ address, port, local }: Endpoint): Endpoint {
  return { address, port, local };
}

test('options that make no sense', () => {
  expect(() => parseIptables(7 as never)).toThrow('text: 7 is not text');
  expect(() => parseIptables('', { prefix: 'kube' })).toThrow(/^prefix: /);
  expect(() => parseIptables('', { family: 'ipx' as never })).toThrow(/^family: /);
  expect(() => parseIptables('', { famliy: 'ipv4' } as never)).toThrow(/famliy/);
});

test('the time it takes grows with the text, not faster', () => {
  const many = (count: number): string => {
    const [port] = shop.ports;
    if (port === undefined) throw new Error('no port');
    const cluster = [0, 1, 2, 3, 4].map((i) => ({
      address: `10.0.0.${i}`,
      port: 80,
      local: false,
    }));
    const ports = Array.from({ length: count }, (_, i) => ({
      ...{ ...port, name: `ns/s${i}`, endpoints: { anywhere: true, hairpin: [], cluster } },
      frontends: [{ ...port.frontends[0], address: `172.16.${i >> 8}.${i & 255}` }],
    }));
    return written({ ...shop, ports } as ServiceMap, {});
  };
  const took = (text: string): number => {
    const start = process.cpuUsage();
    expect(parseIptables(text).problems).toEqual([]);
    return process.cpuUsage(start).user;
  };
  const [small, large] = [many(200), many(3200)];
  took(small);
  expect(took(large)).toBeLessThan(16 * 4 * Math.max(took(small), took(small)));
});
