import { ipvsProgram, serviceMap } from '../../lib/kube';
import { balanced, LOCAL, node, REMOTE, slice } from './objects';

const map = serviceMap(
  [
    balanced({
      ports: [{ name: 'p80', protocol: 'TCP', port: 80, nodePort: 30080 }],
      externalTrafficPolicy: 'Local',
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
      loadBalancerSourceRanges: ['203.0.113.0/25'],
      healthCheckNodePort: 32000,
    }),
  ],
  [slice([LOCAL, REMOTE])],
  node,
);
const program = ipvsProgram(map, node, { clusterCIDRs: ['10.0.0.0/8'], families: ['ipv4'] });

test('a load balancer with policy Local, affinity and source ranges: virtual servers and addresses', () => {
  const local = { address: '10.1.0.5', port: 8080, weight: 1 };
  const remote = { address: '10.1.9.9', port: 8080, weight: 1 };
  const sticky = { protocol: 'tcp', scheduler: 'rr', persistence: { timeout: 10800 } };
  expect(program.servers).toEqual([
    { ...sticky, address: '172.30.0.10', port: 80, destinations: [local, remote] },
    { ...sticky, address: '1.2.3.4', port: 80, destinations: [local] },
    { ...sticky, address: '192.168.0.2', port: 30080, destinations: [local] },
  ]);
  expect(program.addresses).toEqual(['172.30.0.10', '1.2.3.4']);
  expect(program.problems).toEqual([]);
});

test('the same: ip sets', () => {
  const filled = [...program.sets].filter(([, { entries }]) => entries.length > 0);
  expect(Object.fromEntries(filled.map(([name, { entries }]) => [name, entries]))).toEqual({
    'KUBE-LOOP-BACK': ['10.1.0.5,tcp:8080,10.1.0.5'],
    'KUBE-CLUSTER-IP': ['172.30.0.10,tcp:80'],
    'KUBE-LOAD-BALANCER': ['1.2.3.4,tcp:80'],
    'KUBE-LOAD-BALANCER-LOCAL': ['1.2.3.4,tcp:80'],
    'KUBE-LOAD-BALANCER-FW': ['1.2.3.4,tcp:80'],
    'KUBE-LOAD-BALANCER-SOURCE-CIDR': ['1.2.3.4,tcp:80,203.0.113.0/25'],
    'KUBE-NODE-PORT-TCP': ['30080'],
    'KUBE-NODE-PORT-LOCAL-TCP': ['30080'],
    'KUBE-HEALTH-CHECK-NODE-PORT': ['32000'],
    'KUBE-IPVS-IPS': ['172.30.0.10', '1.2.3.4'],
  });
});

test('the same: rules, every line of them', () => {
  const bare = program.rules.ipv4?.replace(/ -m comment --comment "[^"]*"/g, '');
  expect(bare).toBe(`*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER
-A KUBE-LOAD-BALANCER -m set --match-set KUBE-LOAD-BALANCER-LOCAL dst,dst -j RETURN
-A KUBE-NODE-PORT -p tcp -m set --match-set KUBE-NODE-PORT-LOCAL-TCP dst -j RETURN
-A KUBE-NODE-PORT -p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
COMMIT
*filter
:KUBE-FORWARD - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
-A KUBE-PROXY-FIREWALL -m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j KUBE-SOURCE-RANGES-FIREWALL
-A KUBE-SOURCE-RANGES-FIREWALL -m set --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src -j RETURN
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
-A KUBE-IPVS-OUT-FILTER -s 1.2.3.4 -m ipvs --vaddr 1.2.3.4 --vproto tcp --vport 80 -j DROP
-A KUBE-FORWARD -m mark --mark 0x00004000/0x00004000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-NODE-PORT -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT
-A KUBE-IPVS-FILTER -m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT
COMMIT
`);
});

test('the same: what the load balancer asks for', () => {
  expect(program.healthChecks).toEqual([
    { namespace: 'ns1', service: 'web', family: 'ipv4', port: 32000, localEndpoints: 1 },
  ]);
});
