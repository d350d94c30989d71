// Linux answers nothing when a sync daemon is stopped before its thread has run, which a machine with one CPU does half of
// the time. That must not be waited for.
import { inNamespace } from './helpers';
import { DEVICE } from '../contract/kit';

const TIMES = 20;

test('a sync daemon is stopped as soon as it was started', async () => {
  await inNamespace((namespace) => {
    namespace.addDevice(DEVICE);
    using client = namespace.openSync(30_000);
    const slow: number[] = [];
    for (let i = 0; i < TIMES; i++) {
      client.startDaemon({ role: 'master', interface: DEVICE, syncId: 0 });
      const start = performance.now();
      client.stopDaemon({ role: 'master' });
      slow.push(performance.now() - start);
      expect(client.daemons()).toEqual([]);
    }
    expect(Math.max(...slow)).toBeLessThan(5_000);
    return Promise.resolve();
  });
});
