// Which table connections are read from, by what is asked for and by the kernel.
import { memoryIpvs, MemoryKernel } from '../lib/memory';
import { toQuery } from '../lib/connection-filter';
import { Source } from '../lib/connection-records';
import { toSources } from '../lib/connection-source';

const OLD = '6.13.12-amd64';

test.each([
  ['ip_vs', {}, false, OLD, [Source.table]],
  ['ip_vs', {}, true, OLD, [Source.origin]],
  ['conntrack', {}, false, '7.1.0', [Source.conntrack]],
  ['auto', {}, false, OLD, [Source.conntrackIfFit, Source.table]],
  ['auto', { template: false }, false, '5.10.0', [Source.conntrackIfFit, Source.table]],
  ['auto', {}, true, OLD, [Source.origin]],
  ['auto', { template: true }, false, OLD, [Source.table]],
  ['auto', { service: 'fwmark:7' }, false, OLD, [Source.table]],
  ['auto', { service: 'tcp://10.0.0.1:80' }, false, OLD, [Source.conntrackIfFit, Source.table]],
  ['auto', {}, false, '6.14.0-rc1', [Source.table]],
  ['auto', {}, false, '7.0.1', [Source.table]],
] as const)('%s of %j, origin %s, on %s', (source, filter, origin, release, expected) => {
  expect(toSources(toQuery(filter), source, origin, release)).toEqual(expected);
});

test.each([
  ['netlink', {}, false, "use 'ip_vs', 'conntrack' or 'auto'"],
  [undefined, {}, false, "use 'ip_vs', 'conntrack' or 'auto'"],
  [
    'conntrack',
    {},
    true,
    "origin: netfilter does not know who made an entry: use the source 'ip_vs'",
  ],
  ['conntrack', { template: true }, false, 'template: netfilter has no templates of persistence'],
  ['conntrack', { service: 'fwmark6:7' }, false, 'came by a firewall mark of IPVS'],
] as const)('%s of %j, origin %s, is refused', (source, filter, origin, words) => {
  expect(() => toSources(toQuery(filter), source, origin)).toThrow(words);
});

test('the kernel in memory has netfilter off, as Linux has', async () => {
  const kernel = new MemoryKernel();
  const client = kernel.open();
  await expect(client.connections({}, { source: 'conntrack' })).rejects.toMatchObject({
    code: 'EOPNOTSUPP',
    message: expect.stringContaining('net.ipv4.vs.conntrack is 0 here') as string,
  });
  expect((await client.connections({}, { source: 'auto' })).source).toBe('ip_vs');
  const sync = kernel.openSync();
  expect(sync.connections({}, { source: 'auto' }).source).toBe('ip_vs');
});

test('a source that is none is refused before anything is read', async () => {
  await expect(
    memoryIpvs().connections({}, { source: 'netfilter' as 'conntrack' }),
  ).rejects.toMatchObject({
    code: 'ERR_IPVS_INVALID',
    message: `connections: source: "netfilter" is nothing to read from: use 'ip_vs', 'conntrack' or 'auto'`,
  });
});
