// Opening, closing, and many callers at once.
import { IpvsError } from '../../lib/errors';
import type { Ipvs } from '../../lib/client';
import { A, B, WEB, failureOf, type Here } from './kit';

const numbered = (i: number): { protocol: 'tcp'; address: string; port: number } => ({
  protocol: 'tcp',
  address: '10.0.0.1',
  port: i + 1,
});

const CALLS: readonly [name: string, call: (client: Ipvs) => Promise<unknown>][] = [
  ['info', (client) => client.info()],
  ['timeouts', (client) => client.timeouts()],
  ['setTimeouts', (client) => client.setTimeouts({ tcp: 1 })],
  ['services', (client) => client.services()],
  ['service', (client) => client.service(WEB)],
  ['addService', (client) => client.addService(WEB)],
  ['setService', (client) => client.setService(WEB)],
  ['deleteService', (client) => client.deleteService(WEB)],
  ['destinations', (client) => client.destinations(WEB)],
  ['addDestination', (client) => client.addDestination(WEB, A)],
  ['setDestination', (client) => client.setDestination(WEB, A)],
  ['deleteDestination', (client) => client.deleteDestination(WEB, A)],
  ['zero', (client) => client.zero()],
  ['flush', (client) => client.flush()],
  ['daemons', (client) => client.daemons()],
  ['startDaemon', (client) => client.startDaemon({ role: 'master', interface: 'lo', syncId: 0 })],
  ['stopDaemon', (client) => client.stopDaemon({ role: 'master' })],
  ['snapshot', (client) => client.snapshot()],
  ['apply', (client) => client.apply([{ op: 'addService', service: WEB }])],
];

export function lifecycle(here: Here): void {
  test.each(CALLS)('%s after close says that the client is closed', async (operation, call) => {
    const client = await here.open();
    expect(client.closed).toBe(false);
    await client.close();
    expect(client.closed).toBe(true);
    const error = await failureOf(call(client));
    expect(error).toBeInstanceOf(IpvsError);
    expect(error).toMatchObject({ code: 'ERR_IPVS_CLOSED', operation });
    expect((error as Error).message).toMatch(/: the client is closed: open another one/);
    expect(await here.client.services()).toEqual([]);
  });

  test('closing twice is fine, also at once', async () => {
    const client = await here.open();
    await Promise.all([client.close(), client.close()]);
    await client.close();
    expect(client.closed).toBe(true);
  });

  test('leaving its block closes a client', async () => {
    const client = await here.open();
    await client[Symbol.asyncDispose]();
    expect(client.closed).toBe(true);
    await failureOf(client.info());
  });

  test('closing one client leaves the others open', async () => {
    const other = await here.open();
    await other.addService(WEB);
    await other.close();
    expect(await here.client.services()).toHaveLength(1);
  });

  test('what one client does the others see', async () => {
    const other = await here.open();
    await other.addService(WEB);
    await here.client.addDestination(WEB, A);
    expect(await other.destinations(WEB)).toMatchObject([A]);
    await other.close();
  });

  test('a hundred calls at once run in the order they were made', async () => {
    const { client } = here;
    const rounds = Array.from({ length: 25 }, () => [
      client.addService(WEB),
      client.addDestination(WEB, A),
      client.setDestination(WEB, { ...A, weight: 2 }),
      client.deleteService(WEB),
    ]);
    const results = await Promise.allSettled(rounds.flat());
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(await client.services()).toEqual([]);
  });

  test('a refusal among many calls is told to the one that made it', async () => {
    const { client } = here;
    await client.addService(WEB);
    const results = await Promise.allSettled([
      client.addDestination(WEB, A),
      client.addDestination(WEB, A),
      client.addDestination(WEB, B),
      client.service(WEB),
      client.deleteDestination(WEB, '192.0.2.3:8080'),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect(results[1]).toMatchObject({ reason: { code: 'EEXIST', destination: A } });
    expect(results[4]).toMatchObject({ reason: { code: 'ENOENT', destination: { port: 8080 } } });
  });

  test('closing in the middle of many calls: each was done, or never started', async () => {
    const client = await here.open();
    const calls = Array.from({ length: 100 }, (_, i) => client.addService(numbered(i)));
    const settled = Promise.allSettled(calls);
    await client.close();
    const results = await settled;
    const done = results.filter(({ status }) => status === 'fulfilled').length;
    for (const [i, result] of results.entries()) {
      if (i < done) expect(result.status).toBe('fulfilled');
      else expect(result).toMatchObject({ reason: { code: 'ERR_IPVS_CLOSED' } });
    }
    const ports = (await here.client.services()).map((found) => ('port' in found ? found.port : 0));
    expect(ports.sort((a, b) => a - b)).toEqual(Array.from({ length: done }, (_, i) => i + 1));
  });

  test('what is given may be used again at once', async () => {
    const { client } = here;
    const service = { ...numbered(0), scheduler: 'rr' };
    const first = client.addService(service);
    service.port = 2;
    service.scheduler = 'sh';
    const second = client.addService(service);
    await Promise.all([first, second]);
    expect(await client.service(numbered(0))).toMatchObject({ scheduler: 'rr' });
    expect(await client.service(numbered(1))).toMatchObject({ scheduler: 'sh' });
  });

  test('what comes back is the caller’s own', async () => {
    const { client } = here;
    await client.addService(WEB);
    await client.addDestination(WEB, A);
    const [server] = await client.snapshot();
    (server as { scheduler: string }).scheduler = 'changed';
    (server?.destinations as unknown[]).length = 0;
    expect(await client.snapshot()).toMatchObject([{ scheduler: 'wlc', destinations: [A] }]);
  });
}
