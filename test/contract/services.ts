// Services: adding, reading, replacing, deleting.
import { SCHEDULERS } from '../../lib/settings';
import { serviceId, serviceKey } from '../../lib/id';
import type { Service, ServiceRef, ServiceStatus } from '../../lib/model';
import {
  A,
  B,
  DNS,
  MARK,
  MARK6,
  NO_STATS,
  SCTP,
  WEB,
  WEB6,
  inOrder,
  plain,
  refused,
  type Here,
} from './kit';

const DEFAULTS = { scheduler: 'wlc', schedulerFlags: [], onePacket: false, stats: NO_STATS };
// twos came with 5.12 and is not built everywhere.
const EVERYWHERE = SCHEDULERS.filter((name) => name !== 'twos');

const KINDS: readonly [name: string, service: Service, beyondDefaults: object][] = [
  ['tcp', WEB, {}],
  ['udp', DNS, {}],
  ['sctp', SCTP, {}],
  ['IPv6', WEB6, {}],
  ['a firewall mark', MARK, {}],
  ['a firewall mark of IPv6', MARK6, {}],
  ['the largest mark', { fwmark: 4294967295, family: 'ipv4' }, {}],
  ['port 65535', { ...WEB, port: 65535 }, {}],
  ['one-packet scheduling', { ...DNS, onePacket: true }, { onePacket: true }],
  ['one-packet scheduling by mark', { ...MARK, onePacket: true }, { onePacket: true }],
  [
    'persistence',
    { ...WEB, persistence: { timeout: 300 } },
    { persistence: { timeout: 300, prefix: 32 } },
  ],
  [
    'persistence of a network',
    { ...WEB, persistence: { timeout: 2678400, prefix: 1 } },
    { persistence: { timeout: 2678400, prefix: 1 } },
  ],
  [
    'persistence, IPv6',
    { ...WEB6, persistence: { timeout: 1 } },
    { persistence: { timeout: 1, prefix: 128 } },
  ],
  [
    'persistence of an IPv6 network',
    { ...MARK6, persistence: { timeout: 60, prefix: 64 } },
    { persistence: { timeout: 60, prefix: 64 } },
  ],
  [
    'every port',
    { ...WEB, port: 0, persistence: { timeout: 60 } },
    { persistence: { timeout: 60, prefix: 32 } },
  ],
  [
    'the SIP engine',
    { ...DNS, port: 5060, persistence: { timeout: 60, engine: 'sip' } },
    { persistence: { timeout: 60, prefix: 32, engine: 'sip' } },
  ],
  [
    'flags of sh',
    { ...WEB, scheduler: 'sh', schedulerFlags: ['port', 'fallback'] },
    { scheduler: 'sh', schedulerFlags: ['fallback', 'port'] },
  ],
  [
    'flags of mh',
    { ...WEB, scheduler: 'mh', schedulerFlags: ['flag-2'] },
    { scheduler: 'mh', schedulerFlags: ['port'] },
  ],
  [
    'flags by number',
    { ...WEB, scheduler: 'rr', schedulerFlags: ['flag-1', 'flag-3'] },
    { scheduler: 'rr', schedulerFlags: ['flag-1', 'flag-3'] },
  ],
  ['no scheduler', { ...WEB, scheduler: 'none' }, { scheduler: 'none' }],
  ['an address that is nobody’s', { ...WEB, address: '0.0.0.0' }, {}],
  ['a link-local address', { ...WEB6, address: 'fe80::1' }, {}],
];

export function services(here: Here): void {
  test('there are none at first', async () => {
    expect(await here.client.services()).toEqual([]);
    expect(await here.client.snapshot()).toEqual([]);
  });

  test.each(KINDS)('%s reads back as it was set', async (_, service, beyondDefaults) => {
    const { client } = here;
    await client.addService(service);
    const key = serviceKey(service);
    const expected = { ...key, ...DEFAULTS, ...beyondDefaults };
    expect(await client.service(key)).toEqual(expected);
    expect(await client.service(serviceId(key))).toEqual(expected);
    expect(await client.services()).toEqual([expected]);
    expect(await client.snapshot()).toEqual([{ ...expected, destinations: [] }]);
    await client.deleteService(serviceId(key));
    expect(await client.service(key)).toBeUndefined();
  });

  test.each(EVERYWHERE)('the scheduler %s is there', async (scheduler) => {
    await here.client.addService({ ...WEB, scheduler });
    expect(await here.client.service(WEB)).toMatchObject({ scheduler });
  });

  test('address, protocol, port, mark and family each tell services apart', async () => {
    const all: Service[] = [WEB, DNS, SCTP, WEB6, MARK, MARK6];
    all.push({ ...WEB, port: 81 }, { ...WEB, protocol: 'udp' }, { ...MARK, fwmark: 8 });
    for (const service of all) await here.client.addService(service);
    const found = await here.client.services();
    expect(inOrder(found)).toEqual(inOrder(all).map((service) => ({ ...service, ...DEFAULTS })));
  });

  test('one spelling of an address is as good as another', async () => {
    await here.client.addService({ ...WEB6, address: '2001:DB8:0:0::0:1' });
    expect(await here.client.service('tcp://[2001:0db8::0001]:80')).toMatchObject(WEB6);
    await here.client.addDestination('tcp://[2001:db8:0::1]:80', {
      address: '2001:DB8::0:A',
      port: 80,
    });
    await here.client.deleteDestination(WEB6, '[2001:db8::a]:80');
  });

  test('what was read can be written back', async () => {
    await here.client.addService({ ...WEB, persistence: { timeout: 60 }, scheduler: 'rr' });
    const found = (await here.client.service(WEB)) as ServiceStatus;
    await here.client.setService({ ...found, scheduler: 'sh' });
    expect(await here.client.service(WEB)).toEqual({ ...found, scheduler: 'sh' });
  });

  test('adding twice is refused, whatever else is wrong with the second', async () => {
    await here.client.addService({ ...WEB, scheduler: 'rr' });
    const twice = { code: 'EEXIST', operation: 'addService', service: WEB, words: /setService/ };
    await refused(here.client, (client) => client.addService(WEB), twice);
    await refused(here.client, (client) => client.addService({ ...WEB, scheduler: 'x' }), twice);
  });

  test.each<[string, object, RegExp]>([
    ['a scheduler', { scheduler: 'nosuch' }, /no scheduler nosuch: use one of rr, wrr, .*module/],
    [
      'a scheduler of the longest name',
      { scheduler: 'abcdefghijklmno' },
      /no scheduler abcdefghijklmno:/,
    ],
    [
      'an engine',
      { persistence: { timeout: 60, engine: 'nosuch' } },
      /no scheduler wlc or no engine nosuch/,
    ],
  ])('%s the kernel does not have is refused', async (_, settings, words) => {
    const { client } = here;
    const wrong = { ...WEB, ...settings };
    const missing = { code: 'ENOENT', service: WEB, words };
    await refused(client, () => client.addService(wrong), { ...missing, operation: 'addService' });
    await client.addService({ ...WEB, scheduler: 'sh', schedulerFlags: ['port'] });
    await refused(client, () => client.setService(wrong), { ...missing, operation: 'setService' });
  });

  test('setting replaces every setting', async () => {
    const { client } = here;
    await client.addService({
      ...DNS,
      scheduler: 'mh',
      schedulerFlags: ['port', 'fallback', 'flag-3'],
      persistence: { timeout: 60, prefix: 24, engine: 'sip' },
      onePacket: true,
    });
    await client.setService({ ...DNS, persistence: { timeout: 30 } });
    const persistence = { timeout: 30, prefix: 32 };
    expect(await client.service(DNS)).toEqual({ ...DNS, ...DEFAULTS, persistence });
    await client.setService(DNS);
    expect(await client.service(DNS)).toEqual({ ...DNS, ...DEFAULTS });
  });

  test('setting keeps the destinations', async () => {
    const { client } = here;
    await client.addService(WEB);
    await client.addDestination(WEB, A);
    await client.addDestination(WEB, B);
    await client.setService({ ...WEB, scheduler: 'mh' });
    expect(await client.destinations(WEB)).toEqual([plain(B), plain(A)]);
  });

  test('deleting takes the destinations along', async () => {
    const { client } = here;
    await client.addService(WEB);
    await client.addDestination(WEB, A);
    await client.deleteService('tcp://10.0.0.1:80');
    expect(await client.snapshot()).toEqual([]);
    await client.addService(WEB);
    expect(await client.destinations(WEB)).toEqual([]);
  });

  test('what is not there cannot be set, deleted or zeroed', async () => {
    const { client } = here;
    await client.addService(DNS);
    const refs: ServiceRef[] = [WEB, 'tcp://10.0.0.1:80'];
    for (const ref of refs) {
      const absent = { code: 'ESRCH', service: WEB, words: /no such service: add it first/ };
      const operation = (name: string): typeof absent & { operation: string } => ({
        ...absent,
        operation: name,
      });
      await refused(client, () => client.deleteService(ref), operation('deleteService'));
      await refused(client, () => client.zero(ref), operation('zero'));
      await refused(client, () => client.destinations(ref), operation('destinations'));
      expect(await client.service(ref)).toBeUndefined();
    }
    const set = { code: 'ESRCH', operation: 'setService', service: WEB, words: /addService/ };
    await refused(client, () => client.setService(WEB), set);
    await refused(client, () => client.setService({ ...WEB, scheduler: 'nosuch' }), set);
  });

  test('deleted twice is refused once', async () => {
    await here.client.addService(MARK6);
    await here.client.deleteService('fwmark6:7');
    await refused(here.client, (client) => client.deleteService('fwmark6:7'), {
      code: 'ESRCH',
      operation: 'deleteService',
      service: MARK6,
      words: /no such service/,
    });
  });

  test('Maglev declines more destinations than it has slots, and the old scheduler stays', async () => {
    await here.elsewhere(async ({ client }) => {
      await client.addService({ ...WEB, scheduler: 'rr' });
      const outcomes = await client.apply(
        Array.from({ length: 4094 }, (_, i) => ({
          op: 'addDestination',
          service: WEB,
          destination: { address: `10.1.${i >> 8}.${i & 255}`, port: 80 },
        })),
      );
      expect(outcomes.every(({ status }) => status === 'done')).toBe(true);
      await refused(client, () => client.setService({ ...WEB, scheduler: 'mh' }), {
        code: 'EINVAL',
        operation: 'setService',
        service: WEB,
        words: /cannot serve so many destinations: use another scheduler/,
      });
      await client.deleteDestination(WEB, '10.1.0.0:80');
      await client.setService({ ...WEB, scheduler: 'mh' });
      await client.addDestination(WEB, { address: '10.1.0.0', port: 80 });
      await client.setService({ ...WEB, scheduler: 'mh', schedulerFlags: ['port'] });
      expect(await client.service(WEB)).toMatchObject({ schedulerFlags: ['port'] });
    });
  });
}
