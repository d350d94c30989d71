// Work on large tables is done in turns: others get the thread in between. The clock is made up, a millisecond at each
// look, so that the speed of the machine is of no account.
import type { ApplyError } from '../../lib/apply';
import * as ipvsadm from '../../lib/ipvsadm/parse';
import * as serversAsPorts from '../../lib/iptables/servers';
import type { Change, VirtualServer } from '../../lib/model';
import * as tools from '../../lib/node/tools';
import { fromServers, iptablesProgram } from '../../lib/iptables';
import { IptablesBackend } from '../../lib/ruleset/backend';
import { IptablesNode } from '../../lib/ruleset/node';
import { FakeHost } from './host';

const SERVERS = 200;

let host: FakeHost;
let time = 0;
beforeEach(() => {
  host = new FakeHost();
  jest.spyOn(tools, 'systemTools').mockImplementation((options) => host.tools(options));
  jest.spyOn(performance, 'now').mockImplementation(() => time++);
});
afterEach(() => {
  jest.restoreAllMocks();
});

function serverOf(i: number): VirtualServer {
  const destinations = [1, 2, 3].map((j) => ({ address: `192.0.2.${j}`, port: 8080, weight: j }));
  return { protocol: 'tcp', address: `10.0.0.${i}`, port: 80, scheduler: 'wrr', destinations };
}
const servers = Array.from({ length: SERVERS }, (_, i) => serverOf(i));
const additions = servers.flatMap(({ destinations, ...service }): Change[] => [
  { op: 'addService', service },
  ...destinations.map((destination): Change => ({ op: 'addDestination', service, destination })),
]);
const weight: Change = {
  op: 'setDestination',
  service: { protocol: 'tcp', address: '10.0.0.7', port: 80 },
  destination: { address: '192.0.2.1', port: 8080, weight: 9 },
};

function weightOf(found: readonly VirtualServer[]): number | undefined {
  const changed = found.find((each) => 'address' in each && each.address === '10.0.0.7');
  return changed?.destinations[0]?.weight;
}

/** How often somebody else got a turn. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let next = setImmediate(function turn() {
    turns++;
    next = setImmediate(turn);
  });
  await work();
  clearImmediate(next);
  return turns;
}

async function filled(): Promise<void> {
  await new IptablesBackend().apply(additions);
}

const program = iptablesProgram(
  fromServers(servers),
  { name: 'here', addresses: [] },
  { prefix: 'IPVS', localhostNodePorts: false },
);

test.each<[string, () => Promise<void>, () => Promise<unknown>]>([
  ['the first snapshot', filled, () => new IptablesBackend().snapshot()],
  ['apply of everything', () => Promise.resolve(), filled],
  ['apply of one change', filled, () => new IptablesBackend().apply([weight])],
  [
    'a preview',
    () => Promise.resolve(),
    async () => {
      expect((await new IptablesBackend().preview(additions)).lines.length).toBeGreaterThan(
        SERVERS,
      );
    },
  ],
  ['clean-up', filled, () => new IptablesBackend().cleanup()],
  [
    'a program put on a node',
    () => Promise.resolve(),
    () => new IptablesNode({ netns: 'pods' }).apply(program),
  ],
])('others get their turn during %s', async (_, before, work) => {
  host.files.set('/proc/sys/net/ipv4/conf/all/route_localnet', '0');
  await before();
  // A turn takes five looks, and each server is worth a look at the least.
  expect(await turnsDuring(work)).toBeGreaterThan(SERVERS / 6);
});

test('of what others have changed, only that is read and made anew', async () => {
  await filled();
  const backend = new IptablesBackend();
  await backend.snapshot();
  await new IptablesBackend().apply([weight]);
  const reading = jest.spyOn(ipvsadm, 'parseIpvsadm');
  const making = jest.spyOn(serversAsPorts, 'fromServer');
  const found = await backend.snapshot();
  expect(found).toHaveLength(SERVERS);
  expect(weightOf(found)).toBe(9);
  expect(backend.problems).toEqual([]);
  expect(reading).toHaveBeenCalledTimes(1);
  expect(making).toHaveBeenCalledTimes(1);
});

test('a signal between two turns ends an apply before anything is written', async () => {
  const controller = new AbortController();
  // When the rules have been read: what is left is work of ours.
  host.fails = (tool) => {
    if (tool.endsWith('-save')) {
      setImmediate(() => {
        controller.abort();
      });
    }
  };
  const work = new IptablesBackend().apply(additions, { signal: controller.signal });
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'ABORT_ERR' });
  const { outcomes } = error as ApplyError;
  expect(outcomes).toHaveLength(additions.length);
  expect(outcomes.every(({ status }) => status === 'not tried')).toBe(true);
  expect(host.restores).toEqual([]);
});

test('calls on one backend follow each other, whatever turns each takes', async () => {
  const backend = new IptablesBackend();
  const [added, changed, found] = await Promise.all([
    backend.apply(additions),
    backend.apply([weight]),
    backend.snapshot(),
  ]);
  expect([...added, ...changed].every(({ status }) => status === 'done')).toBe(true);
  expect(found).toHaveLength(SERVERS);
  expect(weightOf(found)).toBe(9);
});
