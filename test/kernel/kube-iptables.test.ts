// Who reaches what in iptables mode, with real packets: the rules of a service map in the kernel, and every way to a service
// from a pod, from the node itself and from outside. kube-outcomes.ts says what the words mean.
import { expectCells, frontend, mapOf, outcome, outcomeCells, singleCells } from './kube-outcomes';
import { applyRules } from './kube-programs';
import { FAMILIES, POD_RANGES, World } from './kube-world';

let world: World;
beforeAll(async () => {
  world = await World.make();
  applyRules(world, mapOf(world), { clusterCIDRs: POD_RANGES });
}, 60_000);
afterAll(() => world.delete());

const TABLE = `
from     to            policy          here         elsewhere    nowhere
pod      clusterIP     Cluster         all as self  all as self  refused
pod      clusterIP     Local           all as self  all as self  refused
pod      externalIP    Cluster         all as node  all as node  refused
pod      externalIP    Local           all as self  all as self  refused
pod      loadBalancer  Cluster         all as node  all as node  refused
pod      loadBalancer  Local           all as self  all as self  refused
pod      nodePort      Cluster         all as node  all as node  refused
pod      nodePort      Local           all as self  all as self  refused
node     clusterIP     Cluster         all as node  all as node  refused
node     clusterIP     Local           all as node  all as node  refused
node     externalIP    Cluster         all as node  all as node  leaves
node     externalIP    Local           all as node  all as node  leaves
node     loadBalancer  Cluster         all as node  all as node  leaves
node     loadBalancer  Local           all as node  all as node  leaves
node     nodePort      Cluster         all as node  all as node  refused
node     nodePort      Local           all as node  all as node  refused
outside  clusterIP     Cluster         all as node  all as node  refused
outside  clusterIP     Local           all as node  all as node  refused
outside  externalIP    Cluster         all as node  all as node  refused
outside  externalIP    Local           local as self  dropped    refused
outside  loadBalancer  Cluster         all as node  all as node  refused
outside  loadBalancer  Local           local as self  dropped    refused
outside  nodePort      Cluster         all as node  all as node  refused
outside  nodePort      Local           local as self  dropped    refused
`;

test.each(outcomeCells(TABLE))('$way', ({ cells }) => expectCells(world, cells));

const INTERNAL = `
from     to         service                   outcome
pod      clusterIP  internal here             local as self
pod      clusterIP  internal elsewhere        dropped
pod      clusterIP  internal nowhere          refused
node     clusterIP  internal here             local as node
node     clusterIP  internal elsewhere        dropped
outside  clusterIP  internal here             local as node
outside  clusterIP  internal elsewhere        dropped
pod      clusterIP  internal, open here       local as self
pod      clusterIP  internal, open elsewhere  dropped
`;

test('cluster IPs of internal policy Local lead to endpoints of this node alone', () =>
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

test('a node port answers on loopback, of IPv4 alone', async () => {
  const ask = { from: 'node', service: 'Cluster here', way: 'nodePort' } as const;
  for (const protocol of ['tcp', 'udp'] as const) {
    const ipv4 = { ...ask, family: 'ipv4', protocol, address: '127.0.0.1' } as const;
    expect(await outcome(world, ipv4, 'all as node')).toBe('all as node');
    const ipv6 = { ...ask, family: 'ipv6', protocol, address: '::1' } as const;
    expect(await outcome(world, ipv6, 'refused')).toBe('refused');
  }
});

test.each(FAMILIES)(
  'session affinity: one endpoint for a client, whichever way it comes: %s',
  async (family) => {
    const answers = new Set<string>();
    for (const way of ['clusterIP', 'loadBalancer', 'nodePort', 'externalIP'] as const) {
      const to = frontend('affine', way, family);
      for (const protocol of ['tcp', 'udp'] as const) {
        const question = { ...to, protocol, count: 10, patience: 10_000, token: 'affine' };
        // One comes before the others: those that come at once are not known yet.
        await world.client.ask({ ...question, count: 1 });
        for (const said of await world.client.ask(question))
          answers.add(`${protocol} ${said.split(' ')[0]}`);
      }
    }
    // Each protocol is a port of its own.
    expect([...answers].map((each) => each.split(' ')[0]).sort()).toEqual(['tcp', 'udp']);
  },
);
