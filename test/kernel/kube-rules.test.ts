// What a node's program says in text, taken by the tools it is for: ipset and both makes of iptables.
import { execFileSync } from 'node:child_process';
import { ipsetRestore, ipvsProgram, serviceMap, type IpvsProgramOptions } from '../../lib/kube';
import type { KubeEndpointSlice, KubeService } from '../../lib/kube';
import { Namespace } from './helpers';

const node = { name: 'here', addresses: ['192.168.0.2', 'fd00::2'] };
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];

/** A service with every way in, in both families. */
function shop(index: number, externalTrafficPolicy: string): KubeService {
  return {
    metadata: { namespace: 'shop', name: `s${index}` },
    spec: {
      type: 'LoadBalancer',
      clusterIPs: [`172.30.0.${index}`, `fd00:30::${index}`],
      clusterIP: `172.30.0.${index}`,
      ipFamilies: ['IPv4', 'IPv6'],
      externalIPs: [`192.0.2.${index}`, `2001:db8::${index}`],
      externalTrafficPolicy,
      healthCheckNodePort: 32000 + index,
      loadBalancerSourceRanges: ['203.0.113.0/24', '192.168.0.0/16', '2001:db8:1::/48'],
      ports: PROTOCOLS.map((protocol) => ({
        name: protocol.toLowerCase(),
        protocol,
        port: 80,
        nodePort: 30000 + index,
      })),
    },
    status: {
      loadBalancer: { ingress: [{ ip: `198.51.100.${index}` }, { ip: `2001:db8:2::${index}` }] },
    },
  };
}

function endpoints(index: number, nodeName: string): readonly KubeEndpointSlice[] {
  return ['IPv4', 'IPv6'].map((addressType) => ({
    metadata: {
      namespace: 'shop',
      name: `s${index}-${addressType}`,
      labels: { 'kubernetes.io/service-name': `s${index}` },
    },
    addressType,
    ports: PROTOCOLS.map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: 8080 })),
    endpoints: [
      { addresses: [addressType === 'IPv4' ? `10.1.0.${index}` : `fd00:10::${index}`], nodeName },
    ],
  }));
}

// With an endpoint here, with one elsewhere, with none: every set has something in it.
const map = serviceMap(
  [shop(1, 'Local'), shop(2, 'Cluster'), shop(3, 'Local'), shop(4, 'Local')],
  [...endpoints(1, 'here'), ...endpoints(2, 'there'), ...endpoints(3, 'there')],
  node,
);

let namespace: Namespace;
beforeEach(() => {
  namespace = new Namespace();
});
afterEach(() => {
  namespace.delete();
});

function feed(input: string, ...command: readonly string[]): void {
  const args = ['netns', 'exec', namespace.name, ...command];
  execFileSync('ip', args, { input, stdio: ['pipe', 'pipe', 'pipe'] });
}

const WAYS: Readonly<Record<string, IpvsProgramOptions>> = {
  'no detector': {},
  'a bridge, apart': { detectLocal: { bridgeInterface: 'cbr0' }, externalLocal: 'separate' },
  'a prefix, apart': {
    detectLocal: { interfaceNamePrefix: 'cali' },
    externalLocal: 'separate',
    masqueradeAll: true,
    icmpEcho: true,
    randomFully: false,
    masqueradeBit: 31,
  },
};

test.each(Object.keys(WAYS))('ipset and iptables take the program as it is: %s', (way) => {
  const program = ipvsProgram(map, node, WAYS[way]);
  feed(ipsetRestore(program.sets), 'ipset', 'restore', '-exist');
  for (const make of ['legacy', 'nft']) {
    feed(program.rules.ipv4 ?? '', `iptables-${make}-restore`, '--test', '--noflush');
    feed(program.rules.ipv6 ?? '', `ip6tables-${make}-restore`, '--test', '--noflush');
  }
});

test('the rules are in force afterwards, whole, however often they are restored', () => {
  const program = ipvsProgram(map, node, WAYS['a bridge, apart']);
  feed(ipsetRestore(program.sets), 'ipset', 'restore', '-exist');
  for (let i = 0; i < 2; i++)
    feed(program.rules.ipv4 ?? '', 'iptables-legacy-restore', '--noflush');
  const asked = (program.rules.ipv4 ?? '').match(/^-A .*/gm) ?? [];
  const found = namespace.run('iptables-legacy-save').match(/^-A .*/gm) ?? [];
  expect(asked.length).toBeGreaterThan(40);
  expect(found).toHaveLength(asked.length);
});

test('sets hold what they were given', () => {
  const program = ipvsProgram(map, node, WAYS['a bridge, apart']);
  feed(ipsetRestore(program.sets), 'ipset', 'restore', '-exist');
  const saved = namespace.run('ipset', 'save').trimEnd().split('\n');
  for (const [name, { entries }] of program.sets) {
    const found = saved.filter((line) => line.startsWith(`add ${name} `));
    // ipset writes some entries in its own way; how many there are is enough.
    expect([name, found.length]).toEqual([name, entries.length]);
  }
});
