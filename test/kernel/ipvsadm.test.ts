// The lines of `ipvs save` are those of `ipvsadm -S -n`, and each restores what the other saved.
import fc from 'fast-check';
import type { Ipvs } from '../../lib/client';
import { applyPlan } from '../../lib/converge';
import { parseIpvsadm, printIpvsadm } from '../../lib/ipvsadm';
import type { VirtualServer } from '../../lib/model';
import { plan } from '../../lib/plan';
import { anyServers } from '../states';
import { DEVICE } from '../contract/kit';
import { Namespace } from './helpers';
import { SCENES } from './transcripts';

jest.setTimeout(120_000);

let namespace: Namespace;
let client: Ipvs;
beforeAll(async () => {
  namespace = new Namespace();
  namespace.addDevice(DEVICE);
  client = await namespace.open();
});
afterAll(async () => {
  await client.close();
  namespace.delete();
});

const theirs = (): string => namespace.ipvsadm('-Sn');
const ours = async (): Promise<string> => printIpvsadm(await client.snapshot());
const restore = (text: string): string => {
  namespace.ipvsadm('-C');
  return namespace.run('sh', '-c', 'printf %s "$1" | ipvsadm -R', 'sh', text);
};

async function become(servers: readonly VirtualServer[]): Promise<void> {
  const { complete } = await applyPlan(
    client,
    plan(servers, await client.snapshot(), { owns: () => true }),
  );
  expect(complete).toBe(true);
}

/** What ipvsadm does not save. */
const withoutThresholds = (text: string): string => text.replace(/ -[xy] \d+/g, '');

test.each(SCENES)('$name: saved alike, restored and saved again', async ({ steps }) => {
  const lines = steps.map(([line]) => line).filter((line) => !/-daemon|^--set/.test(line));
  namespace.run('sh', '-c', 'printf "%s\\n" "$@" | ipvsadm -R', 'sh', ...lines);
  const saved = theirs();
  const own = await ours();
  expect(withoutThresholds(own)).toBe(saved);
  await client.flush();
  await become(parseIpvsadm(own).services);
  expect(theirs()).toBe(saved);
  expect(await ours()).toBe(own);
  restore(own);
  expect(await ours()).toBe(own);
});

// Addresses closer than 2^31 to each other, which ipvsadm has an order for; the flags and marks that it writes.
function ordinary(servers: readonly VirtualServer[]): VirtualServer[] {
  const near = (address: string, i: number): string =>
    address.includes(':') ? `2001:db8::${i + 1}` : address.replace(/^\d+/, String(i + 1));
  return servers.map((server, i) => ({
    ...server,
    schedulerFlags: [],
    ...('fwmark' in server ? { fwmark: i + 1 } : { address: near(server.address, i) }),
    destinations: server.destinations.map((one, j) => ({ ...one, address: near(one.address, j) })),
  }));
}

test('any table', async () => {
  await client.flush();
  await fc.assert(
    fc.asyncProperty(anyServers, async (servers) => {
      await become(ordinary(servers));
      const own = await ours();
      expect(theirs()).toBe(withoutThresholds(own));
      restore(own);
      expect(await ours()).toBe(own);
    }),
    { numRuns: 8 },
  );
});
