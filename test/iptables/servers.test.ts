// What becomes of a virtual server that did not come from Kubernetes.
import type { VirtualServer } from '../../lib';
import { fromServers, iptablesProgram } from '../../lib/iptables';
import { portDigest } from '../../lib/iptables/names';
import { node } from '../kube/objects';
import { chain, restore, rulesOf, type Ruleset } from './rules';

const ID = 'tcp://10.0.0.1:80';

function server(settings: object = {}, destinations: readonly object[] = [{}, {}]): VirtualServer {
  return {
    protocol: 'tcp',
    address: '10.0.0.1',
    port: 80,
    scheduler: 'wrr',
    ...settings,
    destinations: destinations.map((each, i) => ({
      address: `192.0.2.${i + 1}`,
      port: 8080,
      ...each,
    })),
  };
}

const rules = (...servers: VirtualServer[]): Ruleset => rulesOf(fromServers(servers), {});
const problems = (one: VirtualServer, options = {}): readonly string[] =>
  fromServers([one], options).problems;

/** What each endpoint of a server gets of new connections, of all that are left when its rule is reached. */
function chances(set: Ruleset): readonly string[] {
  return (chain(set, 'SVC') ?? [])
    .filter((rule) => !rule.includes('--rcheck'))
    .map((rule) => {
      const [, place = ''] = /-> (\S+)"/.exec(rule) ?? [];
      return `${place} ${/--probability (\S+)/.exec(rule)?.[1] ?? 'rest'}`;
    });
}

test('a server is a portal of its own name, and keeps source addresses', () => {
  const { nat = {}, filter = {} } = rules(server());
  const svc = `KUBE-SVC-${portDigest(ID, 'tcp')}`;
  expect(nat['KUBE-SERVICES']?.[0]).toBe(
    `-m comment --comment "${ID} cluster IP" -m tcp -p tcp -d 10.0.0.1 --dport 80 -j ${svc}`,
  );
  expect(nat[svc]).toHaveLength(2);
  expect(nat[svc]?.join()).not.toMatch('MASQ');
  expect(filter['KUBE-SERVICES']).toEqual([]);
  const masqueraded = rulesOf(fromServers([server()]), { masqueradeAll: true });
  expect(chain(masqueraded, 'SVC')?.[0]).toMatch(/-j KUBE-MARK-MASQ$/);
});

test('IPv6 and UDP, and the order of names', () => {
  const six = server({ protocol: 'udp', address: '2001:DB8:0::1', port: 53 }, [
    { address: '2001:db8::99', port: 0 },
  ]);
  const { ports } = fromServers([six, server()]);
  expect(ports.map(({ name, family }) => [name, family])).toEqual([
    [ID, 'ipv4'],
    ['udp://[2001:db8::1]:53', 'ipv6'],
  ]);
  const text = iptablesProgram(fromServers([six]), node).rules.ipv6 ?? '';
  expect(chain(restore(text), 'SEP')?.[1]).toMatch(
    '-m comment --comment udp://[2001:db8::1]:53 -m udp -p udp -j DNAT --to-destination [2001:db8::99]:53',
  );
});

test.each([
  ['rr', [3, 1, 2], ['1 0.3333333333', '2 0.5000000000', '3 rest']],
  ['wrr', [5, 3, 2], ['1 0.5000000000', '2 0.6000000000', '3 rest']],
  ['wrr', [0, 3, 1], ['2 0.7500000000', '3 rest']],
  ['wrr', [1, 0, 0], ['1 rest']],
  ['fo', [1, 7, 3], ['2 rest']],
  ['fo', [2, 2, 0], ['1 rest']],
])('%s with weights %p', (scheduler, weights, expected) => {
  const set = rules(
    server(
      { scheduler },
      weights.map((weight) => ({ weight })),
    ),
  );
  expect(chances(set)).toEqual(
    expected.map((text) => `192.0.2.${text.replace(/^\d/, (digit) => `${digit}:8080`)}`),
  );
});

test('persistence: clients go where they went, alone or by network', () => {
  const set = rules(server({ persistence: { timeout: 360 } }));
  const [sep = ''] = Object.keys(set['nat'] ?? {}).filter((name) => name.startsWith('KUBE-SEP'));
  expect(chain(set, 'SVC')?.[0]).toMatch(
    `-m recent --name ${sep} --rcheck --seconds 360 --reap -j ${sep}`,
  );
  const by = (settings: object, one = server(settings)): string =>
    Object.values(iptablesProgram(fromServers([one]), node).rules).join('');
  expect(by({ persistence: { timeout: 360, prefix: 22 } })).toMatch(
    / --name (KUBE-SEP-\w{16}-22) --rcheck --seconds 360 --reap --mask 255\.255\.252\.0 -j KUBE-SEP[^]* --name \1 --set --mask 255\.255\.252\.0 -m tcp/,
  );
  const six = server({ address: 'fd00::1', persistence: { timeout: 9, prefix: 33 } }, [
    { address: 'fd00::2' },
  ]);
  expect(by({}, six)).toMatch(' --reap --mask ffff:ffff:8000:: -j');
});

test('a drained destination gets nothing new, not from persistent clients either', () => {
  const set = rules(server({ persistence: { timeout: 360 } }, [{}, { weight: 0 }]));
  expect(chain(set, 'SVC')?.join('\n')).not.toMatch('192.0.2.2');
  const kept = Object.values(set['nat'] ?? {}).filter((list) => list.join().includes('192.0.2.2'));
  expect(kept).toHaveLength(1);
});

test.each([
  ['none', []],
  ['all drained', [{ weight: 0 }, { weight: 0 }]],
])('no destination to send to (%s): refused, where the address is ours too', (_, destinations) => {
  const { filter = {}, nat = {} } = rules(server({}, destinations));
  const refusal = `-m comment --comment "${ID} has no endpoints" -m tcp -p tcp -d 10.0.0.1 --dport 80 -j REJECT`;
  expect(filter['KUBE-SERVICES']).toEqual([refusal]);
  expect(filter['KUBE-EXTERNAL-SERVICES']).toEqual([refusal]);
  expect(nat['KUBE-SERVICES']).toHaveLength(1);
  expect(Object.keys(nat).filter((name) => name.includes('-SEP-'))).toHaveLength(
    destinations.length,
  );
});

const NEAR: readonly [string, VirtualServer, string][] = [
  ['wlc', server({ scheduler: 'wlc' }), 'scheduler wlc goes by the number of connections'],
  ['the default', server({ scheduler: undefined }), 'scheduler wlc goes by the number'],
  ['sh', server({ scheduler: 'sh' }), 'scheduler sh goes by a hash'],
  ['an unknown one', server({ scheduler: 'own' }), 'scheduler own is not one that rules can'],
  ['one packet', server({ protocol: 'udp', onePacket: true }), 'onePacket: rules choose'],
  [
    'an engine',
    server({ persistence: { timeout: 9, engine: 'sip' } }),
    'persistence engine sip: rules see addresses alone',
  ],
  ['a threshold', server({}, [{ upperThreshold: 9 }]), '192.0.2.1:8080: upperThreshold 9: rules'],
];

test.each(NEAR)('%s is refused, or approximated where that is allowed', (_, one, why) => {
  const refused = fromServers([one]);
  expect(refused.ports).toEqual([]);
  expect(refused.problems).toEqual([expect.stringContaining(`:80: left out: ${why}`)]);
  expect(refused.problems[0]).toMatch(/: change that, or allow 'approximate'$/);
  const near = fromServers([one], { unsupported: 'approximate' });
  expect(near.ports).toHaveLength(1);
  expect(near.problems).toEqual([expect.stringContaining(`:80: approximated: ${why}`)]);
});

test('an approximation has the shares that the scheduler comes to in the long run', () => {
  const shares = (scheduler: string): readonly string[] => {
    const one = server({ scheduler }, [{ weight: 3 }, { weight: 1 }]);
    return chances(rulesOf(fromServers([one], { unsupported: 'approximate' }), {}));
  };
  expect(shares('wlc')[0]).toMatch('0.7500000000');
  expect(shares('lc')[0]).toMatch('0.5000000000');
});

test.each([
  ['a firewall mark', { fwmark: 7, family: 'ipv4', scheduler: 'rr', destinations: [] }],
  ['every port', server({ port: 0, persistence: { timeout: 9 } })],
  ['a tunnel', server({}, [{}, { forward: 'tunnel', port: 80 }])],
  ['direct routing', server({}, [{ forward: 'route', port: 80 }])],
  ['a local destination', server({}, [{ forward: 'local' }])],
  ['one place by two names', server({}, [{ port: 80 }, { address: '192.0.2.1', port: 0 }])],
])('%s is out of reach, whatever is allowed', (_, one) => {
  const map = fromServers([one as VirtualServer, server({ address: '10.0.0.2' })], {
    unsupported: 'approximate',
  });
  expect(map.ports.map(({ name }) => name)).toEqual(['tcp://10.0.0.2:80']);
  expect(map.problems).toEqual([expect.stringMatching(/^(?:fwmark:7|tcp:\S+): left out: .*/)]);
  expect(map.problems[0]).not.toMatch('approximate');
});

test('every reason is told, in one line', () => {
  expect(problems(server({ scheduler: 'nq' }, [{ upperThreshold: 9 }, { forward: 'local' }])))
    .toMatchInlineSnapshot(`
[
  "tcp://10.0.0.1:80: left out: 192.0.2.2:8080: forward 'local': rules can only rewrite the address, which is 'masq'; scheduler nq goes by the number of connections, which rules cannot count; 192.0.2.1:8080: upperThreshold 9: rules cannot count connections",
]
`);
});

test('of very many reasons a few are told', () => {
  const many = Array.from({ length: 20 }, () => ({ upperThreshold: 9 }));
  expect(problems(server({}, many))[0]).toMatch(
    /^(?:[^;]*; ){4}and 16 more: change that, or allow 'approximate'$/,
  );
});

test('what another program has made in IPVS for a protocol of its own', () => {
  const foreign = server({ protocol: 'ip-47', port: 0 });
  expect(fromServers([foreign, server()])).toMatchObject({
    ports: [{ name: ID }],
    problems: ['ip-47://10.0.0.1:0: left out: there are rules for tcp, udp and sctp alone'],
  });
});

test('what IPVS would not take is an error that names it', () => {
  const made = (one: unknown, options?: unknown) => () =>
    fromServers(one as VirtualServer[], options as object);
  expect(made(7)).toThrow('servers: 7 is no list: give virtual servers, as snapshot() does');
  expect(made([7])).toThrow(/^a server: protocol: undefined is no protocol of IPVS/);
  expect(made([{ ...server(), destinations: 1 }])).toThrow(/^tcp:\S+80: destinations: 1 is not/);
  expect(made([server(), server()])).toThrow('tcp://10.0.0.1:80: wanted twice: leave one out');
  expect(made([server({}, [{}, { address: '192.0.2.1' }])])).toThrow(
    'tcp://10.0.0.1:80 192.0.2.1:8080: wanted twice in one service: leave one out',
  );
  expect(made([server({}, [{ weight: -1 }])])).toThrow(/^tcp:\S+80 192\.0\.2\.1:8080: weight: -1/);
  expect(made([server({}, [{ address: '192.0.2.1"\n-A INPUT -j ACCEPT' }])])).toThrow(/address/);
  expect(made([], { unsupported: 'ignore' })).toThrow(/^unsupported: "ignore" is neither/);
  expect(made([], { unsuported: 'refuse' })).toThrow(/did you mean unsupported/);
});

test('the map is one to hold: nothing of the input is changed, and it reads the same again', () => {
  const input = Object.freeze([Object.freeze(server({}, [{ weight: 2 }, {}]))]);
  expect(fromServers(input)).toEqual(fromServers(input));
  expect(fromServers([])).toEqual({ ports: [], healthChecks: [], problems: [] });
});
