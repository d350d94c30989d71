// Linux stops a sync daemon whose thread has not run yet, and gives no answer: the list of daemons tells.
import { Client } from '../lib/client';
import type { SyncDaemon } from '../lib/model';
import { Op, type NativeHandle } from '../lib/native';
import { writeDaemon } from '../lib/records';

const ETIMEDOUT = 110;
const EINTR = 4;
const EPERM = 1;

/** A kernel that fails to stop with this error, and then lists these daemons. */
function stopping(errno: number, ...left: readonly SyncDaemon[]): Client {
  const handle = {
    release: () => undefined,
    call: (op: Op) =>
      op === Op.stopDaemon
        ? Promise.reject(Object.assign(new Error('receive'), { op: 'receive', errno }))
        : Promise.resolve(Uint8Array.from(left.flatMap((one) => [...writeDaemon(one)])).buffer),
  };
  return new Client(handle as unknown as NativeHandle);
}
const daemon = (role: SyncDaemon['role']): SyncDaemon => ({ role, interface: 'lo', syncId: 0 });

test.each([ETIMEDOUT, EINTR])('no answer (%i), and it is gone: it was stopped', async (errno) => {
  await expect(stopping(errno).stopDaemon({ role: 'master' })).resolves.toBeUndefined();
});

test('no answer, and it runs: that is the error', async () => {
  const running = { ...daemon('master'), group: '224.0.0.81' };
  await expect(stopping(ETIMEDOUT, running).stopDaemon(running)).rejects.toMatchObject({
    code: 'ETIMEDOUT',
    operation: 'stopDaemon',
  });
});

test('a refusal stays one', async () => {
  await expect(stopping(EPERM).stopDaemon({ role: 'backup' })).rejects.toMatchObject({
    code: 'EPERM',
  });
});
