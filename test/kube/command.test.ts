import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import v8 from 'node:v8';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { JsonItems } from '../../lib/cli/kube/json-items';
import { Shell, type Result } from '../cli/shell';
import { balanced, LOCAL, REMOTE, service, slice } from './objects';

const items = [
  { apiVersion: 'v1', kind: 'Service', ...service() },
  { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', ...slice([LOCAL, REMOTE]) },
];
const list = { apiVersion: 'v1', items, kind: 'List', metadata: { resourceVersion: '' } };
const SERVED = `-A -t 172.30.0.10:80 -s rr
-a -t 172.30.0.10:80 -r 10.1.0.5:8080 -m -w 1
-a -t 172.30.0.10:80 -r 10.1.9.9:8080 -m -w 1
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ipvs-kube-'));
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function map(...words: readonly string[]): Promise<Result> {
  return new Shell().words(['kube', 'map', '--node', 'here', '--family', 'ipv4', ...words]);
}

const json = JSON.stringify(list, null, 4);
test.each<[string, string, string | Buffer]>([
  ['a list in JSON', 'a.json', json],
  ['a list in JSON, compressed', 'a.json.gz', gzipSync(json)],
  ['a list in YAML', 'a.yaml', stringify(list)],
  ['a list in YAML, compressed', 'a', gzipSync(stringify(list))],
  ['several documents', 'a.yml', items.map((item) => `---\n${stringify(item)}`).join('')],
  [
    'several lists, and what is none',
    'a.yml',
    `${stringify(list)}---\n${stringify(items[0])}---\n`,
  ],
  ['objects one after another', 'a.json', items.map((item) => JSON.stringify(item)).join('\n')],
  ['an array', 'a.json', `\n\n ${JSON.stringify(items)}\n`],
  ['a list within a list', 'a.json', JSON.stringify({ kind: 'List', items: [list] })],
  [
    'what the API itself answers, where items have no kind',
    'a.json',
    JSON.stringify([
      { kind: 'ServiceList', items: [service()] },
      { kind: 'EndpointSliceList', items: [slice([LOCAL, REMOTE])] },
    ]),
  ],
])('reads %s', async (_, name, content) => {
  const result = await map('-f', file(name, content), '--output', 'save');
  expect(result).toEqual({ status: 0, stdout: SERVED, stderr: '' });
});

test('reads folders, several files, and stdin', async () => {
  const [first, second] = items.map((item) => stringify(item));
  const inner = join(folder, 'cluster');
  mkdirSync(inner);
  writeFileSync(join(inner, 'slices.yaml'), second ?? '');
  writeFileSync(join(inner, 'README.md'), 'not for us');
  const shell = new Shell();
  shell.stdin = first ?? '';
  const words = ['kube', 'map', '--node', 'here', '-f', '-', '-f', inner, '--output', 'save'];
  expect(await shell.words(words)).toEqual({ status: 0, stdout: SERVED, stderr: '' });
});

test('prints the program as JSON or YAML, with sets by name and problems', async () => {
  const spoilt = { ...list, items: [...items, { kind: 'Pod' }, { kind: 'Pod' }] };
  const path = file('a.json', JSON.stringify(spoilt));
  const { stdout } = await map('-f', path);
  const program = JSON.parse(stdout) as Record<string, unknown>;
  expect(Object.keys(program)).toEqual([
    'servers',
    'addresses',
    'sets',
    'rules',
    'jumps',
    'excludeCIDRs',
    'healthChecks',
    'problems',
  ]);
  expect(program['addresses']).toEqual(['172.30.0.10']);
  expect(program['sets']).toMatchObject({
    'KUBE-CLUSTER-IP': { type: 'hash:ip,port', family: 'ipv4', entries: ['172.30.0.10,tcp:80'] },
  });
  expect(program['problems']).toEqual(['Pod: 2 are no Service and no EndpointSlice; passed over']);
  const { stdout: yaml } = await map('-f', path, '--output', 'yaml');
  expect(yaml).toContain('addresses:\n  - 172.30.0.10\n');
  expect(await map('-f', path, '--output', 'save')).toMatchObject({
    status: 0,
    stdout: SERVED,
    stderr: 'Pod: 2 are no Service and no EndpointSlice; passed over\n',
  });
});

test('prints the parts that ipset and iptables take', async () => {
  const path = file('a.json', json);
  const { stdout: ipset } = await map('-f', path, '--output', 'ipset');
  expect(ipset).toMatch(/^create KUBE-LOOP-BACK .*\n/);
  const { stdout: rules } = await new Shell().words([
    'kube',
    'map',
    '--node',
    'here',
    '-f',
    path,
    '--output',
    'iptables',
  ]);
  expect(rules.match(/^#.*/gm)).toEqual([
    '# iptables-restore --noflush',
    '# ip6tables-restore --noflush',
  ]);
});

test('options say what the node is and how it is programmed', async () => {
  const ports = [{ name: 'p80', port: 80, nodePort: 30080 }];
  const spec = { externalTrafficPolicy: 'Local', healthCheckNodePort: 32000, ports };
  const path = file('a.json', JSON.stringify([{ kind: 'Service', ...balanced(spec) }, items[1]]));
  const words =
    '--node-address 192.168.0.2,10.99.0.1 --node-port-addresses 192.168.0.0/16 --cluster-cidr 10.0.0.0/8,fd00::/8 --scheduler lc --external-local separate --icmp-echo --no-reject';
  const { stdout } = await map('-f', path, ...words.split(' '));
  const { servers, rules } = JSON.parse(stdout) as {
    servers: { address?: string; fwmark?: number; scheduler: string }[];
    rules: { ipv4: string };
  };
  expect(
    servers.map(({ address, fwmark, scheduler }) => `${address ?? typeof fwmark} ${scheduler}`),
  ).toEqual(['172.30.0.10 lc', '1.2.3.4 lc', 'number lc', '192.168.0.2 lc']);
  expect(rules.ipv4).toContain('! -s 10.0.0.0/8 -j KUBE-MARK-MASQ');
  expect(rules.ipv4).toContain('--icmp-type 8');
});

describe('--config', () => {
  const config = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    bindAddress: '0.0.0.0',
    clusterCIDR: '10.0.0.0/8,fd00:10::/56',
    hostnameOverride: 'here',
    mode: 'ipvs',
    nodePortAddresses: null,
    conntrack: { maxPerCore: null, min: 131072 },
    featureGates: {},
    ipvs: { scheduler: 'mh', excludeCIDRs: ['192.0.2.0/24'], syncPeriod: '0s', strictARP: true },
    iptables: { masqueradeAll: false, masqueradeBit: 15, syncPeriod: '0s' },
  };
  const run = async (value: unknown, ...words: string[]): Promise<Result> =>
    new Shell().words([
      'kube',
      'map',
      '-f',
      file('a.json', json),
      '--config',
      file('config', stringify(value)),
      ...words,
    ]);

  test('is understood, bare and in its ConfigMap; fields that do not apply are named', async () => {
    const map = { kind: 'ConfigMap', data: { 'config.conf': stringify(config) } };
    for (const form of [config, map]) {
      const { stdout, stderr } = await run(form);
      expect(stderr).toBe('');
      const program = JSON.parse(stdout) as {
        servers: unknown[];
        rules: { ipv4: string };
        excludeCIDRs: string[];
        problems: string[];
      };
      expect(program.servers[0]).toMatchObject({ scheduler: 'mh', schedulerFlags: ['port'] });
      expect(program.excludeCIDRs).toEqual(['192.0.2.0/24']);
      expect(program.rules.ipv4).toContain('! -s 10.0.0.0/8 -j KUBE-MARK-MASQ');
      expect(program.rules.ipv4).toContain('--or-mark 0x00008000');
      expect(program.problems).toEqual(
        ['bindAddress', 'conntrack', 'ipvs.strictARP'].map(
          (field) => `${field}: does not apply to a program`,
        ),
      );
    }
  });
  test('gives way to options', async () => {
    const { stdout } = await run(
      config,
      '--scheduler',
      'lc',
      '--cluster-cidr',
      '11.0.0.0/8',
      '--output',
      'iptables',
    );
    expect(stdout).toContain('! -s 11.0.0.0/8');
  });
  test.each([
    [
      { detectLocalMode: 'BridgeInterface', detectLocal: { bridgeInterface: 'cbr0' } },
      '! -i cbr0 -j',
    ],
    [
      { detectLocalMode: 'InterfaceNamePrefix', detectLocal: { interfaceNamePrefix: 'cali' } },
      '! -i cali+ -j',
    ],
    [{ iptables: { masqueradeAll: true } }, 'KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ'],
  ])('%j', async (change, rule) => {
    const { stdout } = await run(
      { ...config, ...change },
      '--output',
      'iptables',
      '--family',
      'ipv4',
    );
    expect(stdout).toContain(rule);
  });
  test.each<[unknown, RegExp]>([
    [{ kind: 'Deployment' }, /it is no KubeProxyConfiguration \(kind: "Deployment"\)/],
    [{ ...config, ipvs: [] }, /ipvs: an array is not an object/],
    [{ ...config, ipvs: { scheduler: 1 } }, /ipvs.scheduler: 1 is not text/],
    [{ ...config, nodePortAddresses: [1] }, /nodePortAddresses: an array is not a list of text/],
    [{ ...config, detectLocalMode: 'Magic' }, /detectLocalMode: "Magic" is not ClusterCIDR/],
    [{ ...config, detectLocalMode: 'BridgeInterface' }, /detectLocal.bridgeInterface: missing/],
    [{ ...config, clusterCIDR: 'x' }, /--cluster-cidr: "x" is no range/],
  ])('%j is wrong use', async (value, message) => {
    const { status, stdout, stderr } = await run(value);
    expect(stderr).toMatch(message);
    expect([status, stdout, stderr.split('\n').length]).toEqual([2, '', 2]);
  });
});

test.each<[string, string, RegExp]>([
  ['nothing', '', /there is no Service in it: give what kubectl/],
  ['other objects', '{"kind":"Pod"}', /there is no Service in it, only Pod/],
  ['JSON that ends early', '{"items":[{"kind":"Service"}', /it ends in the middle, after item 1/],
  ['JSON that is none', '{"kind":}', /item 1 is not JSON/],
  ['a bracket too many', '{"kind":"Pod"}}', /a bracket too many after item 1/],
  ['YAML that is none', 'a: [', /it is not YAML/],
  ['broken gzip', 'gzip', /it is not whole/],
  ['text', 'hello', /there is no Service in it, only a string/],
])('says what is wrong with %s', async (_, text, message) => {
  const content = text === 'gzip' ? gzipSync(json).subarray(0, 100) : text;
  const { status, stdout, stderr } = await map('-f', file('a', content));
  expect(stderr).toMatch(message);
  expect([status, stdout, stderr.split('\n').length]).toEqual([2, '', 2]);
});

test('YAML that would take minutes is refused with the way out', async () => {
  const line = Buffer.from(`# ${'x'.repeat(1022)}\n`);
  const { status, stderr } = await map(
    '-f',
    file('a.yaml', Buffer.concat(Array<Buffer>(66_000).fill(line))),
  );
  expect([status, stderr]).toEqual([
    2,
    expect.stringMatching(
      /YAML of more than 64 MB would take minutes to read: print it with -o json/,
    ),
  ]);
});

test('a dump of half a gigabyte is read as it comes', async () => {
  const [web, endpoints] = items.map((item) => JSON.stringify(item));
  const other = gzipSync(`,${JSON.stringify({ kind: 'ConfigMap', data: 'x'.repeat(2 ** 20) })}`);
  // Members of a gzip file follow one another as its text does.
  const dump = [
    gzipSync(`{"kind":"List","items":[${web}`),
    ...Array<Buffer>(500).fill(other),
    gzipSync(`,${endpoints}]}`),
  ];
  const name = file('a.json.gz', Buffer.concat(dump));
  const before = process.resourceUsage().maxRSS;
  const { stdout, stderr } = await map('-f', name, '--output', 'save');
  expect(stdout).toBe(SERVED);
  expect(stderr).toMatch(/ConfigMap: 500 are no Service/);
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(200 * 1024);
}, 60_000);

test('more objects than memory holds are refused with the way out', async () => {
  const statistics = v8.getHeapStatistics();
  const small = { ...statistics, heap_size_limit: 2 ** 20 };
  jest.spyOn(v8, 'getHeapStatistics').mockReturnValue(small);
  const many = JSON.stringify({ ...list, items: Array<unknown>(200).fill(items).flat() });
  const { status, stdout, stderr } = await map('-f', file('a.json', many));
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(
    /a\.json: after \d+ services and \d+ slices, the rest would not fit into the memory that Node.js may use \(1 MB\): give it more: NODE_OPTIONS=--max-old-space-size=4/,
  );
  const few = JSON.stringify({ ...list, items: Array<unknown>(60).fill(items).flat() });
  expect((await map('-f', file('b.json', few))).status).toBe(0);
});

test.each([
  ['kube map -f x', /--node is missing/],
  ['kube map --node a', /required option '-f, --file <file>'/],
  ['kube map --node a -f /nowhere', /\/nowhere: no such file or folder/],
  [
    'kube map --node a -f x --output table',
    /allowed choices are json, yaml, save, iptables, ipset/,
  ],
])('%s is wrong use', async (line, message) => {
  const { status, stderr } = await new Shell().type(line);
  expect(stderr).toMatch(message);
  expect(status).toBe(2);
});

test('items come out the same however the text is cut into pieces', () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  fc.assert(
    fc.property(
      fc.array(fc.record({ kind: value, items2: value }), { maxLength: 4 }),
      fc.nat(3),
      fc.integer({ min: 1, max: 40 }),
      (objects, indent, size) => {
        const text = Buffer.from(
          `${JSON.stringify({ a: 1, items: objects, z: [] }, null, indent)}\n{"b":[1,{"items":[2]}]}`,
        );
        const found: unknown[] = [];
        const reader = new JsonItems((item) => found.push(item));
        for (let i = 0; i < text.length; i += size) reader.push(text.subarray(i, i + size));
        reader.end();
        const plain = JSON.parse(JSON.stringify(objects)) as unknown[];
        expect(found).toEqual([...plain, { a: 1, items: [], z: [] }, { b: [1, { items: [2] }] }]);
      },
    ),
    { numRuns: 300 },
  );
});
