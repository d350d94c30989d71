// The module goes away under an open client, and comes back: in a kernel of its own, as nobody else there may use IPVS.
import { shell } from './lab';

jest.setTimeout(60_000);

test('without the module there is no connection table, and the error says what to do', async () => {
  const program = `${__dirname}/kernel/programs/unloaded.js`;
  const found: unknown = JSON.parse(await shell(`${process.execPath} ${program}`));
  expect(found).toEqual({
    code: 'ENOENT',
    operation: 'connections',
    message: expect.stringContaining(
      'the kernel has no IPVS any more: load it again with: modprobe ip_vs',
    ) as unknown,
    length: 0,
  });
});
