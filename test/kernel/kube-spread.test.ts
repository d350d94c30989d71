// How new connections are spread over endpoints by the rules of iptables mode: 20 000 of them, as the counters of the rules
// that send them there have it.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fromServers, iptablesProgram } from '../../lib/iptables';
import { Namespace, run } from './helpers';

const COUNT = 20_000;
const PROGRAM = path.join(__dirname, 'programs/flood.pl');
const view = { name: 'here', addresses: ['192.168.0.2'] };

beforeAll(() => {
  run('modprobe', 'dummy');
});

/** How often each endpoint was chosen, of 20 000 times. */
function spread(weights: readonly number[]): readonly number[] {
  const node = new Namespace();
  const client = new Namespace();
  try {
    wire(node, client);
    const destinations = weights.map((weight, i) => ({
      address: `10.1.0.${i + 1}`,
      port: 8080,
      weight,
    }));
    const server = { protocol: 'udp', address: '172.30.0.1', port: 80, destinations } as const;
    const map = fromServers([{ ...server, scheduler: 'wrr' }]);
    const { rules, jumps } = iptablesProgram(map, view, { families: ['ipv4'] });
    const ways = (jumps.ipv4 ?? []).map(
      ({ table, from, to, match }) => `*${table}\n-I ${from} ${match} -j ${to}\nCOMMIT\n`,
    );
    const restore = ['netns', 'exec', node.name, 'iptables-legacy-restore', '--noflush'];
    execFileSync('ip', restore, { input: (rules.ipv4 ?? '') + ways.join('') });
    client.run('perl', PROGRAM, String(COUNT), '192.168.0.9', '172.30.0.1', '80');
    const saved = node.run('iptables-legacy-save', '-c', '-t', 'nat');
    return destinations.map(({ address, port }) => {
      const rule = new RegExp(`^\\[(\\d+):.*--to-destination ${address}:${port}$`, 'm');
      return Number(rule.exec(saved)?.[1]);
    });
  } finally {
    node.delete();
    client.delete();
  }
}

// Endpoints are behind a device that swallows everything.
function wire(node: Namespace, client: Namespace): void {
  node.ip('link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', client.name);
  node.ip('link', 'add', 'pods', 'type', 'dummy');
  for (const [namespace, address, device] of [
    [node, '192.168.0.2/24', 'out'],
    [node, '10.1.0.254/24', 'pods'],
    [client, '192.168.0.9/24', 'eth0'],
  ] as const) {
    namespace.ip('address', 'add', address, 'dev', device);
    namespace.ip('link', 'set', device, 'up');
  }
  node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  client.ip('route', 'add', 'default', 'via', '192.168.0.2');
}

/** Pearson's statistic of what was counted against shares by weight. */
function chiSquared(counts: readonly number[], weights: readonly number[]): number {
  const whole = weights.reduce((sum, weight) => sum + weight);
  return counts.reduce((sum, count, i) => {
    const expected = (COUNT * (weights[i] ?? 0)) / whole;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
}

const equal = (count: number): readonly number[] => Array.from({ length: count }, () => 1);

// What one in a thousand exceeds, for one degree of freedom less than there are endpoints.
test.each([
  { over: '3 endpoints', weights: equal(3), most: 13.816 },
  { over: '7 endpoints', weights: equal(7), most: 22.458 },
  { over: '10 endpoints', weights: equal(10), most: 27.877 },
  { over: 'weights of 5, 3 and 2', weights: [5, 3, 2], most: 13.816 },
])('over $over', ({ weights, most }) => {
  // The kernel's dice cannot be seeded: of four tests at 0.1 %, one run in 250 would fail. So whoever fails once is counted
  // again from nothing; to fail twice by chance takes a million runs.
  let statistic = Infinity;
  for (let round = 0; round < 2 && statistic > most; round++) {
    const counts = spread(weights);
    expect(counts.reduce((sum, count) => sum + count)).toBe(COUNT);
    statistic = chiSquared(counts, weights);
  }
  expect(statistic).toBeLessThan(most);
});
