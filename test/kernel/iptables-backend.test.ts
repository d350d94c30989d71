// Virtual servers by the iptables of a real kernel: requests that go on while they change, rules that others spoil, and a host
// that is afterwards as it was before.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { applyPlan } from '../../lib/converge';
import { iptablesProgram } from '../../lib/iptables';
import { serviceMap } from '../../lib/kube';
import { serviceId } from '../../lib/id';
import type { VirtualServer } from '../../lib/model';
import { IptablesBackend, IptablesNode, openBackend } from '../../lib/node';
import { plan } from '../../lib/plan';
import { reconcile } from '../../lib/reconcile';
import { balanced, endpoint, slice } from '../kube/objects';
import { States } from '../reconciling';
import { canonical } from '../ruleset/host';
import { anyServers } from '../states';
import { Namespace, run } from './helpers';

const PROGRAM = join(__dirname, 'programs/exchange.js');
const [A, B] = ['10.0.1.2', '10.0.2.2'] as const;

let host: Namespace;
let backend: IptablesBackend;
beforeAll(() => {
  for (const name of ['ipv6', 'ip6table_nat', 'iptable_nat']) run('modprobe', name);
});
beforeEach(() => {
  host = new Namespace();
  for (const iptables of ['iptables-legacy', 'ip6tables-legacy'])
    for (const table of ['nat', 'filter']) host.run(iptables, '-t', table, '-L', '-n');
  host.run('iptables-legacy', '-A', 'FORWARD', '-p', 'tcp', '-j', 'ACCEPT');
  backend = new IptablesBackend({ netns: host.name });
});
afterEach(() => {
  host.delete();
});

function rules(): readonly string[] {
  return ['iptables-legacy-save', 'ip6tables-legacy-save'].map((program) =>
    host
      .run(program)
      .replace(/^#.*\n/gm, '')
      .replace(/\[\d+:\d+\]/g, '[]'),
  );
}

function web(weights: Readonly<Record<string, number>>): VirtualServer {
  return {
    protocol: 'tcp',
    address: '10.0.0.1',
    port: 80,
    scheduler: 'wrr',
    destinations: Object.entries(weights).map(([address, weight]) => ({
      address,
      port: 8080,
      weight,
    })),
  };
}

async function become(servers: readonly VirtualServer[]): Promise<void> {
  const { complete } = await applyPlan(
    backend,
    plan(servers, await backend.snapshot(), { owns: () => true }),
  );
  expect(complete).toBe(true);
}

/** A client of the service on a link to the host. */
class Client {
  readonly space = new Namespace();
  #child: ChildProcess | undefined;
  #lines: AsyncIterator<string> | undefined;
  #server: ChildProcess | undefined;

  async start(): Promise<this> {
    for (const address of [A, B]) host.ip('address', 'add', `${address}/32`, 'dev', 'lo');
    run(
      'ip',
      'link',
      'add',
      'h0',
      'netns',
      host.name,
      'type',
      'veth',
      'peer',
      'c0',
      'netns',
      this.space.name,
    );
    host.ip('address', 'add', '198.51.100.1/24', 'dev', 'h0');
    host.ip('link', 'set', 'h0', 'up');
    this.space.ip('address', 'add', '198.51.100.2/24', 'dev', 'c0');
    this.space.ip('link', 'set', 'c0', 'up');
    // What has no address of its own anywhere must be routed to the host that rewrites it.
    this.space.ip('route', 'add', '10.0.0.0/24', 'via', '198.51.100.1');
    this.#server = inside(host, 'serve', '8080', A, B);
    if (this.#server.stdout !== null) await once(this.#server.stdout, 'data');
    this.#child = inside(this.space, 'ask', '10.0.0.1', '80');
    if (this.#child.stdout === null) throw new Error('no output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    return this;
  }

  async say(line: string): Promise<{
    readonly counts: Readonly<Record<string, number>>;
    readonly failures: readonly string[];
    readonly held?: string;
  }> {
    this.#child?.stdin?.write(`${line}\n`);
    const next = await this.#lines?.next();
    return JSON.parse(String(next?.value)) as Awaited<ReturnType<Client['say']>>;
  }

  async end(): Promise<void> {
    for (const child of [this.#child, this.#server]) {
      if (child === undefined) continue;
      const closed = once(child, 'close');
      child.stdin?.end();
      await closed;
    }
    this.space.delete();
  }
}

function inside(space: Namespace, ...args: readonly string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', space.name, process.execPath, PROGRAM, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

test('requests go on without one failed through weights, a drain and a flush by hand; what is open stays open', async () => {
  const before = rules();
  const client = await new Client().start();
  const states = new States();
  const end = new AbortController();
  const health = reconcile(states, backend, {
    owns: () => true,
    drain: { timeout: 60_000 },
    resync: 300,
    signal: end.signal,
  });
  const rounds = (async () => {
    for await (const { error } of health) if (error !== undefined) throw error;
  })();
  const until = async (is: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; i < 100 && !(await is()); i++) await sleep(50);
    expect(await is()).toBe(true);
  };
  const observer = new IptablesBackend({
    netns: host.name,
    variant: 'legacy',
    families: ['ipv4'],
  });
  const weightOf = async (address: string): Promise<number | undefined> => {
    const [server] = await observer.snapshot();
    const found = server?.destinations.find((each) => each.address === address);
    return found && (found.weight ?? 1);
  };
  try {
    states.push([web({ [A]: 1 })]);
    await until(async () => (await weightOf(A)) === 1);
    expect(await client.say('keep')).toMatchObject({ held: A });
    await client.say('go');

    states.push([web({ [A]: 1, [B]: 3 })]);
    await until(async () => (await weightOf(B)) === 3);
    await client.say('');
    await sleep(1500);
    const spread = await client.say('');
    expect(spread.failures).toEqual([]);
    expect(spread.counts[B]).toBeGreaterThan(spread.counts[A] ?? 0);
    expect(spread.counts[A]).toBeGreaterThan(0);

    // Not wanted any more: weight 0 first, and it goes when its last connection has.
    states.push([web({ [B]: 3 })]);
    await until(async () => (await weightOf(A)) === 0);
    await client.say('');
    await sleep(500);
    const drained = await client.say('held');
    expect(drained).toEqual({ counts: { [B]: drained.counts[B] }, failures: [], held: A });
    expect(drained.counts[B]).toBeGreaterThan(0);
    expect(await weightOf(A)).toBe(0);

    // Somebody empties everything; the kernel keeps what is open, and new connections come back by themselves.
    host.run('iptables-legacy', '-t', 'nat', '-F');
    await until(async () => (await weightOf(B)) === 3);
    // Those that knocked meanwhile give up after two seconds.
    await sleep(2500);
    await client.say('');
    await sleep(500);
    const repaired = await client.say('held');
    expect(repaired).toMatchObject({ failures: [], held: A });
    expect(repaired.counts[B]).toBeGreaterThan(0);
  } finally {
    end.abort();
    await rounds;
    await client.end();
  }
  await backend.cleanup();
  expect(rules()).toEqual(before);
}, 120_000);

test('a destination goes once its last connection is over, as the kernel tells', async () => {
  const client = await new Client().start();
  try {
    await become([web({ [A]: 1 })]);
    await client.say('keep');
    await become([web({ [A]: 0, [B]: 1 })]);
    const connections = async (): Promise<number | undefined> => {
      const [server] = await backend.snapshot();
      const found = server?.destinations.find(({ address }) => address === A) as
        { readonly activeConnections?: number } | undefined;
      return found?.activeConnections;
    };
    expect(await connections()).toBe(1);
    await client.say('drop');
    await sleep(200);
    expect(await connections()).toBe(0);
  } finally {
    await client.end();
  }
}, 60_000);

test('any states, in a real kernel: what is read back is what was asked for, and every chain as it was written', async () => {
  const before = rules();
  const approximate = new IptablesBackend({ netns: host.name, unsupported: 'approximate' });
  await fc.assert(
    fc.asyncProperty(anyServers, async (given) => {
      const servers = canonical(given);
      const { outcomes } = await applyPlan(
        approximate,
        plan(servers, await approximate.snapshot(), { owns: () => true }),
      );
      const refused = new Set<string>(
        outcomes.flatMap(({ change, error }) => {
          if (error === undefined) return [];
          expect(error.code).toMatch(/^(?:EOPNOTSUPP|ESRCH)$/);
          return [serviceId(change.service)];
        }),
      );
      const can = servers.filter((server) => !refused.has(serviceId(server)));
      const found = await approximate.snapshot();
      expect(approximate.problems.filter((line) => /else was at it/.test(line))).toEqual([]);
      const kept = found.filter((server) => !refused.has(serviceId(server)));
      expect(plan(can, kept, { owns: () => true }).toString()).toBe('');
    }),
    { numRuns: 6 },
  );
  await approximate.cleanup();
  expect(rules()).toEqual(before);
}, 60_000);

test('a lock that is held for long fails within seconds, says whose matter it is, and changes nothing', async () => {
  const before = rules();
  const holder = spawn('flock', ['/run/xtables.lock', 'sleep', '20'], {
    stdio: 'ignore',
    detached: true,
  });
  try {
    await sleep(300);
    const { outcomes } = await applyPlan(backend, plan([web({ [A]: 1 })], []));
    expect(outcomes[0]).toMatchObject({
      status: 'failed',
      error: {
        message: expect.stringMatching(/xtables lock.*fuser \/run\/xtables\.lock/) as string,
      },
    });
    expect(rules()).toEqual(before);
  } finally {
    // The lock is that of whoever has the file open: both of them.
    if (holder.pid !== undefined) process.kill(-holder.pid);
  }
}, 60_000);

const view = { name: 'here', addresses: ['192.168.0.2'] };
const map = serviceMap(
  [
    balanced({
      ports: [{ name: 'p80', protocol: 'TCP', port: 80, nodePort: 30080 }],
      externalTrafficPolicy: 'Local',
      loadBalancerSourceRanges: ['203.0.113.0/25'],
      healthCheckNodePort: 32000,
    }),
  ],
  [slice([endpoint('10.1.0.5', 'here')])],
  view,
);

test("a cluster's program is put there whole, once; and taken back with the kernel setting", async () => {
  const before = rules();
  const setting = (): string => host.run('sysctl', '-n', 'net.ipv4.conf.all.route_localnet').trim();
  const program = iptablesProgram(map, view, { prefix: 'IPVS', clusterCIDRs: ['10.0.0.0/8'] });
  const node = new IptablesNode({ netns: host.name });
  const { summary, problems } = await node.apply(program);
  expect(summary).toEqual([
    expect.stringMatching(/^ipv4 \(legacy\): \d+ chains written, 14 ways in added$/),
    expect.stringMatching(/^ipv6 \(legacy\): /),
    '~ net.ipv4.conf.all.route_localnet 0 -> 1',
  ]);
  expect(problems.filter((line) => !/forward/.test(line))).toEqual([]);
  expect(setting()).toBe('1');
  const after = rules();
  expect((await node.apply(program)).lines).toEqual([]);
  host.run('iptables-legacy', '-t', 'nat', '-F', 'IPVS-NODEPORTS');
  expect((await node.plan(program)).lines).toEqual([
    '# ipv4 (legacy)',
    '~ nat IPVS-NODEPORTS',
    expect.stringMatching(/^ {2}\+ .*--dport 30080 -j IPVS-EXT-/),
  ]);
  await node.apply(program);
  expect(rules()).toEqual(after);
  await expect(backend.snapshot()).rejects.toMatchObject({ code: 'EEXIST' });
  await node.cleanup();
  expect(rules()).toEqual(before);
  expect(setting()).toBe('0');
}, 60_000);

test('what the kernel refuses is named, with what was done before', async () => {
  const program = iptablesProgram(map, view, { prefix: 'IPVS', nfacct: true, families: ['ipv4'] });
  await expect(new IptablesNode({ netns: host.name }).apply(program)).rejects.toThrow(
    /line \d+.*: table filter: .* \(nothing was changed\)$/,
  );
}, 60_000);

test('where the kernel has IPVS, that is what is opened', async () => {
  await using opened = await openBackend({ netns: host.name });
  expect(opened).toMatchObject({ kind: 'ipvs', reason: 'IPVS: the kernel has it' });
  await using other = await openBackend({ netns: host.name, backend: 'iptables' });
  expect(other).toMatchObject({ kind: 'iptables', reason: 'iptables: it was asked for' });
});
