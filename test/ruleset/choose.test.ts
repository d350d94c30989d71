import * as client from '../../lib/client';
import type { Ipvs } from '../../lib/client';
import { IpvsError } from '../../lib/errors';
import { memoryIpvs } from '../../lib/memory';
import * as tools from '../../lib/node/tools';
import { openBackend } from '../../lib/ruleset/choose';
import { FakeHost, tool } from './host';

let host: FakeHost;
const ipvs = jest.spyOn(client, 'open');
beforeEach(() => {
  host = new FakeHost();
  jest.spyOn(tools, 'systemTools').mockImplementation((options) => host.tools(options));
});
afterAll(() => {
  jest.restoreAllMocks();
});

function fails(code: string, message = 'open: the kernel has no IPVS: modprobe ip_vs'): void {
  ipvs.mockRejectedValueOnce(new IpvsError(message, { code, operation: 'open' }));
}

test('IPVS where the kernel has it', async () => {
  const memory: Ipvs = memoryIpvs();
  ipvs.mockResolvedValueOnce(memory);
  const opened = await openBackend({ netns: 'blue' });
  expect(opened).toMatchObject({ kind: 'ipvs', reason: 'IPVS: the kernel has it' });
  expect(ipvs).toHaveBeenLastCalledWith({ netns: 'blue' });
  await opened.close();
  expect(memory.closed).toBe(true);
  expect(host.asked).toEqual([]);
});

test.each(['ERR_IPVS_UNAVAILABLE', 'EPERM'])(
  'iptables where it is %s, with the reason',
  async (code) => {
    fails(code);
    await using opened = await openBackend({ netns: 'blue', iptables: { prefix: 'MINE' } });
    expect(opened).toMatchObject({
      kind: 'iptables',
      reason: 'iptables: IPVS cannot be used: open: the kernel has no IPVS: modprobe ip_vs',
    });
    expect(await opened.backend.snapshot()).toEqual([]);
    expect(host.asked[0]).toMatchObject({ netns: '/run/netns/blue' });
  },
);

test('may not read: as good as none, and nothing stays open', async () => {
  const memory = memoryIpvs();
  jest
    .spyOn(memory, 'info')
    .mockRejectedValueOnce(
      new IpvsError('info: no permission', { code: 'EPERM', operation: 'info' }),
    );
  ipvs.mockResolvedValueOnce(memory);
  expect(await openBackend()).toMatchObject({ kind: 'iptables' });
  expect(memory.closed).toBe(true);
});

test('other trouble is not hidden by another way', async () => {
  fails('ENOENT', 'open: there is no such namespace');
  await expect(openBackend()).rejects.toMatchObject({ code: 'ENOENT' });
});

test('IPVS alone when that is asked for; iptables alone does not try it', async () => {
  fails('ERR_IPVS_UNAVAILABLE');
  await expect(openBackend({ backend: 'ipvs' })).rejects.toMatchObject({
    code: 'ERR_IPVS_UNAVAILABLE',
  });
  ipvs.mockClear();
  expect(await openBackend({ backend: 'iptables' })).toMatchObject({
    kind: 'iptables',
    reason: 'iptables: it was asked for',
  });
  expect(ipvs).not.toHaveBeenCalled();
});

test('where neither can be used, both reasons are told', async () => {
  fails('ERR_IPVS_UNAVAILABLE');
  host.fails = (program) => {
    throw tool(`${program}: Permission denied (you must be root): run it as root`);
  };
  await expect(openBackend()).rejects.toThrow(
    /^openBackend: open: the kernel has no IPVS.*; nor can iptables: .*run it as root$/,
  );
});

test.each<[object, RegExp]>([
  [{ backend: 'nftables' }, /backend: "nftables" is none: use 'auto', 'ipvs' or 'iptables'/],
  [{ iptables: { prefix: 'x' } }, /prefix/],
  [{ netnss: 'a' }, /did you mean netns\?/],
])('options such as %j are refused', async (options, message) => {
  await expect(openBackend(options)).rejects.toMatchObject({
    code: 'ERR_IPVS_INVALID',
    message: expect.stringMatching(message) as string,
  });
});
