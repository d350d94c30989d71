// What belongs to the namespace as a whole: its table, its timeouts, its counters.
import { A, B, DNS, MARK6, WEB, refused, stateOf, type Here } from './kit';

export function settings(here: Here): void {
  test('the kernel tells its version and the size of its connection table', async () => {
    expect(await here.client.info()).toEqual({ version: '1.2.1', connectionTableSize: 4096 });
  });

  test('timeouts are set one by one; the others stay', async () => {
    const { client } = here;
    expect(await client.timeouts()).toEqual({ tcp: 900, tcpFin: 120, udp: 300 });
    await client.setTimeouts({ tcpFin: 1 });
    expect(await client.timeouts()).toEqual({ tcp: 900, tcpFin: 1, udp: 300 });
    await client.setTimeouts({ tcp: 2147483, udp: 2147483 });
    expect(await client.timeouts()).toEqual({ tcp: 2147483, tcpFin: 1, udp: 2147483 });
    await client.setTimeouts({});
    await client.setTimeouts({ tcp: undefined } as never);
    expect(await client.timeouts()).toEqual({ tcp: 2147483, tcpFin: 1, udp: 2147483 });
  });

  test.each<[unknown, RegExp]>([
    [{ tcp: 0 }, /tcp: 0 is out of range: use a whole number from 1 to 2678400/],
    [{ udp: -1 }, /udp: -1 is out of range/],
    [{ tcpFin: 2678401 }, /tcpFin: 2678401 is out of range/],
    [{ tcp: 1.5 }, /tcp: 1.5/],
    [{ tcp: '900' }, /tcp: "900"/],
    [{ tcp: NaN }, /tcp: NaN/],
    [{ tcpfin: 120 }, /tcpfin: no such setting of a timeouts: did you mean tcpFin\?/],
    [{ tcp: 100, sctp: 900 }, /sctp: no such setting/],
    [null, /timeouts: null is not an object/],
    [[1, 2, 3], /timeouts: an array is not an object/],
  ])('timeouts %j are refused', async (timeouts, words) => {
    await refused(here.client, (client) => client.setTimeouts(timeouts as never), {
      code: 'ERR_IPVS_INVALID',
      operation: 'setTimeouts',
      words,
    });
  });

  test('flush empties the table and nothing else', async () => {
    const { client } = here;
    for (const service of [WEB, DNS, MARK6]) await client.addService(service);
    await client.addDestination(WEB, A);
    await client.setTimeouts({ udp: 77 });
    await client.flush();
    expect(await stateOf(client)).toEqual({
      servers: [],
      timeouts: { tcp: 900, tcpFin: 120, udp: 77 },
      daemons: [],
    });
    await client.flush();
    await client.addService(WEB);
    expect(await client.destinations(WEB)).toEqual([]);
  });

  test('zero changes nothing but counters', async () => {
    const { client } = here;
    await client.zero();
    for (const service of [WEB, DNS]) await client.addService(service);
    await client.addDestination(WEB, { ...A, weight: 0 });
    await client.addDestination(WEB, B);
    const before = await stateOf(client);
    await client.zero(WEB);
    await client.zero('udp://10.0.0.1:53');
    await client.zero();
    expect(await stateOf(client)).toEqual(before);
  });
}
