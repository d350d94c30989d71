// Whom the node masquerades on the way to a service, by what it is told of local traffic; and what of services stands outside
// the tables of kube-ipvs.test.ts and kube-iptables.test.ts: SCTP, and when a client is free to get another endpoint.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceMap, type ServiceMap } from '../../lib/kube';
import { run } from './helpers';
import { expectCells, frontend, mapOf, singleCells } from './kube-outcomes';
import { applyRules, IpvsMode, type Detection } from './kube-programs';
import { FAMILIES, POD_RANGES, VIEW, World, type Host } from './kube-world';

const SCTP = path.join(__dirname, 'programs/sctp.pl');

describe.each(['IPVS', 'iptables'] as const)('%s', (mode) => {
  let world: World;
  const ipvs = new IpvsMode();
  beforeAll(async () => {
    run('modprobe', 'sctp');
    world = await World.make();
  }, 60_000);
  afterAll(async () => {
    await world.delete();
    ipvs[Symbol.dispose]();
  });

  async function apply(detection: Detection, map: ServiceMap = mapOf(world)): Promise<void> {
    if (mode === 'IPVS') await ipvs.apply(world, map, detection);
    else applyRules(world, map, detection);
  }

  const EVERYBODY = `
from     to            service        outcome
pod      clusterIP     Cluster here   all as node
pod      clusterIP     internal here  local as node
node     clusterIP     Cluster here   all as node
outside  clusterIP     Cluster here   all as node
outside  externalIP    Local here     local as self
outside  loadBalancer  Local here     local as self
`;

  test('everybody who comes by a cluster IP, with masqueradeAll', async () => {
    await apply({ clusterCIDRs: POD_RANGES, masqueradeAll: true });
    await expectCells(world, singleCells(EVERYBODY));
  });

  const OTHERS = `
from     to          service        outcome
pod      clusterIP   Cluster here   all as self
pod      clusterIP   internal here  local as self
node     clusterIP   Cluster here   all as node
outside  clusterIP   Cluster here   all as node
pod      externalIP  Cluster here   all as node
outside  externalIP  Local here     local as self
`;

  test.each<[string, Detection]>([
    ['of one name', { detectLocal: { bridgeInterface: 'pod' } }],
    ['whose names begin alike', { detectLocal: { interfaceNamePrefix: 'po' } }],
  ])('everybody but those who come in by interfaces %s', async (_, detection) => {
    await apply(detection);
    await expectCells(world, singleCells(OTHERS));
  });

  test('pods too, where they come in by another interface than was said', async () => {
    await apply({ detectLocal: { bridgeInterface: 'other' } });
    await expectCells(
      world,
      singleCells(`
from     to         service       outcome
pod      clusterIP  Cluster here  all as node
outside  clusterIP  Cluster here  all as node
`),
    );
  });

  // Without masquerading, endpoints of other nodes would answer past this one: those here are asked alone.
  const NOBODY = `
from     to          service        outcome
pod      clusterIP   Cluster here   all as self
pod      clusterIP   internal here  local as self
outside  clusterIP   internal here  local as self
pod      externalIP  Cluster here   all as node
outside  externalIP  Cluster here   all as node
outside  externalIP  Local here     local as self
`;

  test('nobody who comes by a cluster IP, where nothing tells who is local', async () => {
    await apply({});
    await expectCells(world, singleCells(NOBODY));
  });

  test('a client is free to get another endpoint once it stayed away for the time of its affinity', async () => {
    await apply({ clusterCIDRs: POD_RANGES });
    // In IPVS, a connection keeps its client where it is: those of UDP are over when their time is.
    if (mode === 'IPVS') {
      await using client = await world.node.namespace.open();
      await client.setTimeouts({ udp: 1 });
    }
    await Promise.all(
      FAMILIES.map(async (family) => {
        const to = frontend('affine for 3 s', 'loadBalancer', family);
        const question = { ...to, protocol: 'udp', patience: 10_000, token: 'affine' } as const;
        const endpoint = async (): Promise<string> => {
          const found = new Set<string>();
          for (let i = 0; i < 8; i++) {
            const [said = ''] = await world.client.ask({ ...question, count: 1 });
            found.add(said.split(' ')[0] ?? '');
          }
          expect(found.size).toBe(1);
          return [...found].join();
        };
        const first = await endpoint();
        // One of three, at random: that it is the first each time has a chance of one in half a million.
        let other = first;
        for (let round = 0; round < 12 && other === first; round++) {
          await sleep(6000);
          other = await endpoint();
        }
        expect(other).not.toBe(first);
      }),
    );
  }, 120_000);

  test('SCTP: from a pod as itself, from outside as the node', async () => {
    await apply({ clusterCIDRs: POD_RANGES }, sctpMap(world));
    const servers = await Promise.all(world.pods.map(serve));
    try {
      for (const family of FAMILIES) {
        const ipv4 = family === 'ipv4';
        const ask = (from: Host, address: string, port: number): Set<string> =>
          new Set(
            from.namespace.run('perl', SCTP, 'ask', address, `${port}`, '64').trimEnd().split('\n'),
          );
        const all = (as: (host: Host) => string): Set<string> =>
          new Set(world.pods.map((host) => `${host.addresses[family]} ${as(host)}`).sort());
        const masqueraded = (host: Host): string =>
          world.masqueraded(host.addresses[family], family);
        const self = world.pod.addresses[family];
        expect(ask(world.pod, ipv4 ? '172.30.0.99' : 'fd00:172::99', 80)).toEqual(
          // An endpoint that asks for itself sees the node.
          all((host) => (host === world.pod ? masqueraded(host) : self)),
        );
        const externalIP = ipv4 ? '192.0.2.99' : '2001:db8:192::99';
        expect(ask(world.client, externalIP, 80)).toEqual(all(masqueraded));
        const node = world.node.addresses[family];
        expect(ask(world.client, node, 30099)).toEqual(all(masqueraded));
      }
    } finally {
      for (const server of servers) server.stdin?.end();
    }
  });
});

async function serve({ namespace, addresses }: Host): Promise<ChildProcess> {
  const words = ['netns', 'exec', namespace.name, 'perl', SCTP, 'serve'];
  const child = spawn('ip', [...words, addresses.ipv4, addresses.ipv6], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [said] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [
    unknown,
  ];
  expect(String(said)).toBe('ready\n');
  return child;
}

/** One service over SCTP, on every way in. */
function sctpMap(world: World): ServiceMap {
  const service = {
    metadata: { namespace: 'shop', name: 'signal' },
    spec: {
      type: 'NodePort',
      clusterIP: '172.30.0.99',
      clusterIPs: ['172.30.0.99', 'fd00:172::99'],
      externalIPs: ['192.0.2.99', '2001:db8:192::99'],
      ipFamilies: ['IPv4', 'IPv6'],
      ports: [{ name: 'm3ua', protocol: 'SCTP', port: 80, nodePort: 30099 }],
    },
  };
  const slices = FAMILIES.map((family) => ({
    metadata: {
      namespace: 'shop',
      name: `signal-${family}`,
      labels: { 'kubernetes.io/service-name': 'signal' },
    },
    addressType: family === 'ipv4' ? 'IPv4' : 'IPv6',
    ports: [{ name: 'm3ua', protocol: 'SCTP', port: 8080 }],
    endpoints: world.pods.map((host) => ({
      addresses: [host.addresses[family]],
      nodeName: host === world.far ? 'there' : 'here',
    })),
  }));
  return serviceMap([service], slices, VIEW);
}
