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

test('reconciling goes on trying, less and less often, and gets there when the module is back', async () => {
  const program = `${__dirname}/kernel/programs/reconciling-unloaded.js`;
  const found = JSON.parse(await shell(`${process.execPath} ${program}`)) as {
    readonly gaps: readonly [number, number, number];
  };
  expect(found).toMatchObject({
    code: 'ERR_IPVS_UNAVAILABLE',
    message: expect.stringContaining('this kernel has no IPVS') as unknown,
    healthyWhileGone: false,
    healthy: true,
    last: 'ERR_IPVS_UNAVAILABLE',
    found: [{ address: '10.0.0.1', destinations: [{ address: '192.0.2.1' }] }],
  });
  const [first, second, third] = found.gaps;
  // Twice as long each time, less up to a half by chance: 100 to 200, 200 to 400, 400 to 800.
  expect(first).toBeGreaterThan(95);
  expect(second).toBeGreaterThan(195);
  expect(third).toBeGreaterThan(395);
});
