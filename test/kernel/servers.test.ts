// The quick reading on a real kernel: the same plan as from a list a service, whatever another program does in between.
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import type { Change, VirtualServer } from '../../lib/model';
import { compareReadings, readSlowly, anyHistory } from '../readings';
import { Namespace } from './helpers';

const space = new Namespace();
afterAll(() => {
  space.delete();
});

test('random states: thresholds, tunnels, engines, flags, marks, both families', async () => {
  const [reader, writer] = [await space.open(), await space.open()];
  await fc.assert(
    fc.asyncProperty(anyHistory, async ([states, desired]) => {
      for (const state of states) await compareReadings(reader, writer, state, desired);
    }),
    { numRuns: 60 },
  );
  await writer.flush();
  await reader.close();
  await writer.close();
}, 120_000);

/** Enough services that their lists are read many at a time; `size` destinations each. */
function table(services: number, size: (i: number) => number): Change[] {
  const changes: Change[] = [];
  for (let i = 0; i < services; i++) {
    const ipv6 = i % 3 === 0;
    const service =
      i % 5 === 0
        ? ({ fwmark: i + 1, family: ipv6 ? 'ipv6' : 'ipv4' } as const)
        : ({
            protocol: i % 2 ? 'tcp' : 'udp',
            address: ipv6 ? `2001:db8::${i}` : `10.0.${i >> 8}.${i & 255}`,
            port: 80,
          } as const);
    changes.push({ op: 'addService', service });
    for (let j = 0; j < size(i); j++) {
      const address = ipv6 ? `2001:db8:1::${(j + 1).toString(16)}` : `10.9.${j >> 8}.${j & 255}`;
      const forward = j % 4 === 3 ? ('tunnel' as const) : ('route' as const);
      const destination = { address, port: 80, forward, weight: j % 3, upperThreshold: j % 7 };
      changes.push({ op: 'addDestination', service, destination });
    }
  }
  return changes;
}

test.each([
  ['few destinations each', 150, (i: number) => i % 12],
  ['more than one datagram takes', 60, (i: number) => 85 + (i % 20)],
  ['some very long lists', 40, (i: number) => (i % 10 === 0 ? 700 : 3)],
])(
  'many services at a time: %s',
  async (_, services, size) => {
    const [reader, writer] = [await space.open(), await space.open()];
    await writer.apply(table(services, size));
    const slow: VirtualServer[] = await readSlowly(writer);
    expect(slow.length).toBe(services);
    expect(await reader.servers()).toEqual(slow);
    await writer.flush();
    await reader.close();
    await writer.close();
  },
  120_000,
);

test('a threshold that ipvsadm sets is seen by the next reading', async () => {
  const reader = await space.open();
  await reader.apply(table(40, () => 3));
  const before = await reader.servers();
  const isOurs = (server: VirtualServer): boolean =>
    'address' in server && server.protocol === 'tcp' && server.address === '10.0.0.7';
  const to = before.find(isOurs)?.destinations[0];
  if (to === undefined) throw new Error('no such service');
  space.ipvsadm(
    '-e',
    '-t',
    '10.0.0.7:80',
    '-r',
    `${to.address}:80`,
    '-g',
    '-x',
    '5',
    '-w',
    String(to.weight),
  );
  const after = await reader.servers();
  const changed = after.find(isOurs)?.destinations.find(({ address }) => address === to.address);
  expect(changed?.upperThreshold).toBe(5);
  expect(after.filter((server, i) => server !== before[i])).toHaveLength(1);
  await reader.flush();
  await reader.close();
});

test('without the system calls for it, the same', () => {
  const script = `
    const { openSync } = require(process.argv[1]);
    const client = openSync({ netns: process.argv[2] });
    process.stdout.write(JSON.stringify(client.servers()));`;
  const writer = space.openSync();
  writer.apply(table(150, (i) => i % 12));
  const read = (env: NodeJS.ProcessEnv): unknown => {
    return JSON.parse(
      execFileSync(process.execPath, ['-e', script, process.cwd(), space.name], {
        env,
        encoding: 'utf8',
      }),
    );
  };
  const plain = read({ ...process.env, IPVS_NO_AIO: '1' });
  expect(plain).toEqual(JSON.parse(JSON.stringify(writer.servers())));
  expect(read(process.env)).toEqual(plain);
  writer.flush();
  writer.close();
});
