// Who reaches what in IPVS mode, with real packets: the program of a service map on a node, and every way to a service from a
// pod, from the node itself and from outside. kube-outcomes.ts says what the words mean.
import path from 'node:path';
import type { Family } from '../../lib';
import type { IpvsProgramOptions } from '../../lib/kube';
import { expectCells, frontend, mapOf, outcome, outcomeCells, singleCells } from './kube-outcomes';
import { IpvsMode } from './kube-programs';
import { FAMILIES, POD_RANGES, sysctl, World } from './kube-world';

const PING = path.join(__dirname, 'programs/ping.pl');

let world: World;
const mode = new IpvsMode();
beforeAll(async () => {
  world = await World.make();
}, 60_000);
afterAll(async () => {
  await world.delete();
  mode[Symbol.dispose]();
});

function apply(options: IpvsProgramOptions = {}): Promise<void> {
  return mode.apply(world, mapOf(world), { clusterCIDRs: POD_RANGES, ...options });
}

function ping(family: Family): string {
  const { address } = frontend('Cluster here', 'clusterIP', family);
  return world.client.namespace.run('perl', PING, address).trim();
}

// With ICMP as it is by default: of one kind, a host gets six at first, then one a second.
async function askInVain(patience: number): Promise<ReadonlySet<string>> {
  const ration = (milliseconds: number): void => {
    sysctl(world.node.namespace, `net.ipv4.icmp_ratelimit=${milliseconds}`);
  };
  ration(1000);
  const to = frontend('Cluster nowhere', 'loadBalancer', 'ipv4');
  const said = await world.client.ask({ ...to, protocol: 'tcp', count: 30, patience });
  ration(0);
  return new Set(said);
}

describe('as kube-proxy does it', () => {
  beforeAll(() => apply());

  const TABLE = `
from     to            policy   here              elsewhere    nowhere
pod      clusterIP     Cluster  all as self       all as self  refused
pod      clusterIP     Local    all as self       all as self  refused
pod      externalIP    Cluster  all as node       all as node  refused
pod      externalIP    Local    local as self     all as self  refused
pod      loadBalancer  Cluster  all as node       all as node  refused
pod      loadBalancer  Local    local as self     all as self  refused
pod      nodePort      Cluster  all as node       all as node  refused
pod      nodePort      Local    local as self     all as self  refused
node     clusterIP     Cluster  all as node       all as node  refused
node     clusterIP     Local    all as node       all as node  refused
node     externalIP    Cluster  all as node       all as node  refused
node     externalIP    Local    local as service  lost         refused
node     loadBalancer  Cluster  all as node       all as node  refused
node     loadBalancer  Local    local as service  lost         refused
node     nodePort      Cluster  all as node       all as node  refused
node     nodePort      Local    local as self     all as node  refused
outside  clusterIP     Cluster  all as node       all as node  refused
outside  clusterIP     Local    all as node       all as node  refused
outside  externalIP    Cluster  all as node       all as node  refused
outside  externalIP    Local    local as self     lost         refused
outside  loadBalancer  Cluster  all as node       all as node  refused
outside  loadBalancer  Local    local as self     lost         refused
outside  nodePort      Cluster  all as node       all as node  refused
outside  nodePort      Local    local as self     lost         refused
`;

  test.each(outcomeCells(TABLE))('$way', ({ cells }) => expectCells(world, cells));

  const INTERNAL = `
from     to         service                   outcome
pod      clusterIP  internal here             local as self
pod      clusterIP  internal elsewhere        refused
pod      clusterIP  internal nowhere          refused
node     clusterIP  internal here             local as node
node     clusterIP  internal elsewhere        refused
outside  clusterIP  internal here             local as node
outside  clusterIP  internal elsewhere        refused
pod      clusterIP  internal, open here       local as self
pod      clusterIP  internal, open elsewhere  all as self
`;

  test('cluster IPs of internal policy Local lead to endpoints of this node alone, unless others can reach them', () =>
    expectCells(world, singleCells(INTERNAL)));

  const RANGES = `
from     to            service         outcome
outside  loadBalancer  for the client  all as node
pod      loadBalancer  for the client  dropped
node     loadBalancer  for the client  dropped
outside  loadBalancer  for the node    dropped
pod      loadBalancer  for the node    dropped
node     loadBalancer  for the node    all as node
outside  loadBalancer  for pods        dropped
pod      loadBalancer  for pods        all as node
node     loadBalancer  for pods        dropped
outside  externalIP    for the node    all as node
outside  nodePort      for the node    all as node
pod      nodePort      for the client  all as node
pod      clusterIP     for the client  all as self
`;

  test('source ranges count for addresses of load balancers alone, for pods and the node too', () =>
    expectCells(world, singleCells(RANGES)));

  test('a node port does not answer on loopback', async () => {
    for (const [family, address] of [
      ['ipv4', '127.0.0.1'],
      ['ipv6', '::1'],
    ] as const) {
      const ask = {
        from: 'node',
        service: 'Cluster here',
        way: 'nodePort',
        protocol: 'tcp',
      } as const;
      expect(await outcome(world, { ...ask, family, address }, 'refused')).toBe('refused');
    }
  });

  test.each(FAMILIES)(
    'session affinity: one endpoint for a client that comes one way: %s',
    async (family) => {
      const to = frontend('affine', 'loadBalancer', family);
      for (const protocol of ['tcp', 'udp'] as const) {
        const question = { ...to, protocol, count: 12, patience: 10_000, token: 'affine' };
        const said = await world.client.ask(question);
        expect(new Set(said.map((each) => each.split(' ')[0])).size).toBe(1);
      }
    },
  );

  test.each(FAMILIES)(
    'what listens on the node is not reached through addresses of services: %s',
    async (family) => {
      const { address } = frontend('Cluster here', 'clusterIP', family);
      const question = {
        protocol: 'tcp',
        address,
        port: 8080,
        count: 1,
        patience: 10_000,
      } as const;
      expect(
        await world.client.ask({ ...question, address: world.node.addresses[family] }),
      ).toEqual([`${world.node.addresses[family]} ${world.client.addresses[family]}`]);
      expect(await world.client.ask(question)).toEqual(['ECONNREFUSED']);
    },
  );

  test.each(FAMILIES)('services do not answer a ping: %s', (family) => {
    expect(ping(family)).toBe('unreachable');
  });

  test('everybody is refused at once where there are no endpoints, by a reset', async () => {
    expect(await askInVain(800)).toEqual(new Set(['ECONNREFUSED']));
  });
});

describe('inside and outside apart, and ping', () => {
  beforeAll(() => apply({ externalLocal: 'separate', icmpEcho: true }));

  const TABLE = `
from     to            policy   here           elsewhere    nowhere
pod      clusterIP     Local    all as self    all as self  refused
pod      externalIP    Cluster  all as node    all as node  refused
pod      externalIP    Local    all as self    all as self  refused
pod      loadBalancer  Local    all as self    all as self  refused
pod      nodePort      Local    all as self    all as self  refused
node     externalIP    Local    all as node    all as node  refused
node     loadBalancer  Local    all as node    all as node  refused
node     nodePort      Local    all as node    all as node  refused
outside  clusterIP     Local    all as node    all as node  refused
outside  externalIP    Local    local as self  dropped      refused
outside  loadBalancer  Local    local as self  dropped      refused
outside  nodePort      Local    local as self  dropped      refused
`;

  test.each(outcomeCells(TABLE))('$way', ({ cells }) => expectCells(world, cells));

  test.each(FAMILIES)('services answer a ping: %s', (family) => {
    expect(ping(family)).toBe('reply');
  });
});

test('left to IPVS, where there are no endpoints some wait: it refuses by ICMP, which is rationed', async () => {
  await apply({ reject: false });
  // Those who are refused hear of it at their second attempt, after a second; see kube-outcomes.ts.
  expect(await askInVain(2500)).toEqual(new Set(['ECONNREFUSED', 'nothing']));
});
