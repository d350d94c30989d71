// The module goes away under an open client, and comes back.
import { setTimeout as sleep } from 'node:timers/promises';
import { Namespace, run } from './helpers';

jest.setTimeout(60_000);

// Connections of deleted namespaces hold it until those are cleaned up.
async function unload(): Promise<void> {
  for (let left = 100; ; left--) {
    const [, users = ''] = /^ip_vs \S+ \S+ (\S*)/m.exec(run('cat', '/proc/modules')) ?? [];
    try {
      run('rmmod', ...users.split(',').filter((name) => /^ip_vs/.test(name)), 'ip_vs');
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(100);
    }
  }
}

test('without the module there is no table, and the error says what to do', async () => {
  const namespace = new Namespace();
  const client = await namespace.open();
  await unload();
  try {
    const error: unknown = await client.connections().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ENOENT', operation: 'connections' });
    expect(String(error)).toContain(
      'the kernel has no IPVS any more: load it again with: modprobe ip_vs',
    );
  } finally {
    run('modprobe', 'ip_vs');
  }
  expect((await client.connections()).length).toBe(0);
  await client.close();
  namespace.delete();
});
