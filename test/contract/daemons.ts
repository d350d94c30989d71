// The sync daemons of the namespace: at most one of each role.
import type { SyncDaemon } from '../../lib/model';
import { DEVICE, DOWN_DEVICE, FOREIGN_DEVICE, WEB, refused, type Here } from './kit';

const MASTER = { role: 'master', interface: DEVICE, syncId: 7 } as const;
const BACKUP = { role: 'backup', interface: DEVICE, syncId: 0 } as const;
const DEFAULTS = { group: '224.0.0.81', port: 8848, ttl: 1, maxLength: 1472 };
const FULL = { group: '239.1.2.3', port: 8849, ttl: 255, maxLength: 1400 };
const GROUP6 = 'ff02::81';

// Linux keeps the length of a message within what the role takes, and never refuses it.
const KINDS: readonly [name: string, daemon: SyncDaemon, inForce: object][] = [
  ['a master', MASTER, DEFAULTS],
  ['a backup', BACKUP, DEFAULTS],
  ['every setting', { ...MASTER, syncId: 255, ...FULL }, { syncId: 255, ...FULL }],
  ['every setting of a backup', { ...BACKUP, ...FULL }, FULL],
  ['an IPv6 group', { ...MASTER, group: GROUP6 }, { ...DEFAULTS, group: GROUP6, maxLength: 1452 }],
  ['an IPv6 backup', { ...BACKUP, group: GROUP6 }, { ...DEFAULTS, group: GROUP6, maxLength: 1452 }],
  ['the shortest message', { ...MASTER, maxLength: 1 }, { ...DEFAULTS, maxLength: 1 }],
  ['a backup’s shortest message', { ...BACKUP, maxLength: 1 }, { ...DEFAULTS, maxLength: 1024 }],
  ['the longest message', { ...MASTER, maxLength: 65507 }, { ...DEFAULTS, maxLength: 65507 }],
  [
    'the longest IPv6 message',
    { ...MASTER, group: GROUP6, maxLength: 65507 },
    { ...DEFAULTS, group: GROUP6, maxLength: 65487 },
  ],
  ['an interface name beyond ASCII', { ...MASTER, interface: FOREIGN_DEVICE }, DEFAULTS],
  ['a large interface', { ...MASTER, interface: 'lo' }, DEFAULTS],
  [
    'a large interface of a backup',
    { ...BACKUP, interface: 'lo' },
    { ...DEFAULTS, maxLength: 65507 },
  ],
  ['a backup on an interface that is down', { ...BACKUP, interface: DOWN_DEVICE }, DEFAULTS],
];

export function daemons(here: Here): void {
  test('none run at first', async () => {
    expect(await here.client.daemons()).toEqual([]);
  });

  test.each(KINDS)('%s runs with the settings that are in force', async (_, daemon, inForce) => {
    const { client } = here;
    await client.startDaemon(daemon);
    expect(await client.daemons()).toEqual([{ ...daemon, ...inForce }]);
    await client.stopDaemon(daemon);
    expect(await client.daemons()).toEqual([]);
  });

  test('both roles run side by side, and stop one by one', async () => {
    const { client } = here;
    await client.startDaemon(BACKUP);
    await client.startDaemon({ ...MASTER, port: 9000 });
    expect(await client.daemons()).toEqual([
      { ...MASTER, ...DEFAULTS, port: 9000 },
      { ...BACKUP, ...DEFAULTS },
    ]);
    await client.stopDaemon({ role: 'master', syncId: 99 });
    expect(await client.daemons()).toEqual([{ ...BACKUP, ...DEFAULTS }]);
  });

  test('flush leaves them alone', async () => {
    await here.client.startDaemon(BACKUP);
    await here.client.flush();
    expect(await here.client.daemons()).toHaveLength(1);
  });

  test('a role that runs already is refused', async () => {
    const { client } = here;
    for (const daemon of [MASTER, BACKUP]) {
      await client.startDaemon(daemon);
      const again = {
        code: 'EEXIST',
        operation: 'startDaemon',
        words: /of that role runs already: stop it first/,
      };
      await refused(client, () => client.startDaemon({ ...daemon, port: 9000 }), again);
    }
  });

  test('a role that does not run cannot be stopped', async () => {
    const { client } = here;
    await client.startDaemon(MASTER);
    await refused(client, () => client.stopDaemon({ role: 'backup' }), {
      code: 'ESRCH',
      operation: 'stopDaemon',
      words: /no sync daemon of that role runs/,
    });
  });

  test('an interface that is not there is refused, and so is one that is down', async () => {
    const { client } = here;
    const start = { operation: 'startDaemon' };
    await refused(client, () => client.startDaemon({ ...MASTER, interface: 'nosuch0' }), {
      ...start,
      code: 'ENODEV',
      words: /no network interface nosuch0: see ip link/,
    });
    await refused(client, () => client.startDaemon({ ...MASTER, interface: DOWN_DEVICE }), {
      ...start,
      code: 'ENETUNREACH',
      words: /dn0 has no route to the multicast group: bring it up/,
    });
    const loopback = { ...MASTER, interface: 'lo', group: GROUP6 };
    await refused(client, () => client.startDaemon(loopback), {
      ...start,
      code: 'ENETUNREACH',
      words: /lo has no route/,
    });
    // A role that runs already comes after the interface.
    await client.startDaemon(MASTER);
    await refused(client, () => client.startDaemon({ ...MASTER, interface: 'nosuch0' }), {
      ...start,
      code: 'ENODEV',
      words: /nosuch0/,
    });
  });

  test('none starts while a destination is of another family than its service', async () => {
    const { client } = here;
    await client.addService(WEB);
    const crossing = { address: '2001:db8::a', port: 80, forward: 'tunnel' } as const;
    await client.addDestination(WEB, crossing);
    await refused(client, () => client.startDaemon({ ...MASTER, interface: 'nosuch0' }), {
      code: 'EINVAL',
      operation: 'startDaemon',
      words: /another family than its service: remove that destination/,
    });
    await client.deleteDestination(WEB, crossing);
    await client.startDaemon(MASTER);
    await client.stopDaemon(MASTER);
    await client.addDestination(WEB, crossing);
    await client.deleteService(WEB);
    await client.startDaemon(MASTER);
    await client.stopDaemon(MASTER);
    await client.addService(WEB);
    await client.addDestination(WEB, crossing);
    await client.setDestination(WEB, { ...crossing, weight: 3 });
    await client.flush();
    await client.startDaemon(MASTER);
  });

  test.each<[string, object, RegExp]>([
    ['an unknown role', { role: 'mistress' }, /role: "mistress" is no role: use 'master' or/],
    ['no role', { role: undefined }, /role: undefined/],
    ['a syncId over 255', { syncId: 256 }, /syncId: 256 is out of range/],
    ['a negative syncId', { syncId: -1 }, /syncId: -1/],
    ['no interface', { interface: '' }, /interface: "" is no interface name/],
    ['a long interface name', { interface: 'abcdefghijklmnop' }, /interface: "abcdefghijklmnop"/],
    ['a long name of few letters', { interface: 'ääääääää' }, /1 to 15 bytes/],
    ['an interface with a slash', { interface: 'a/b' }, /interface: "a\/b"/],
    ['an interface with a NUL', { interface: 'a\0b' }, /interface/],
    ['a group of one host', { group: '10.0.0.1' }, /group: 10.0.0.1 is not a multicast address/],
    ['an IPv6 group of one host', { group: '2001:db8::1' }, /not a multicast address/],
    ['a group with leading zeros', { group: '224.0.0.081' }, /leave out leading zeros/],
    ['a group with a zone', { group: 'ff02::1%lo' }, /leave out the part from %/],
    ['port 0', { port: 0 }, /port: 0 is out of range: use a whole number from 1 to 65535/],
    ['port 65536', { port: 65536 }, /port: 65536/],
    ['ttl 0', { ttl: 0 }, /ttl: 0 is out of range: use a whole number from 1 to 255/],
    ['ttl 256', { ttl: 256 }, /ttl: 256/],
    ['length 0', { maxLength: 0 }, /maxLength: 0/],
    ['length 65508', { maxLength: 65508 }, /maxLength: 65508/],
    [
      'a misspelt setting',
      { syncid: 3 },
      /syncid: no such setting of a daemon: did you mean syncId/,
    ],
  ])('%s is refused', async (_, settings, words) => {
    const wrong = { ...MASTER, ...settings } as SyncDaemon;
    await refused(here.client, (client) => client.startDaemon(wrong), {
      code: 'ERR_IPVS_INVALID',
      operation: 'startDaemon',
      words,
    });
  });

  test('stopping wants a role', async () => {
    const invalid = { code: 'ERR_IPVS_INVALID', operation: 'stopDaemon', words: /role: |daemon: / };
    for (const wrong of [{}, { role: 'Master' }, null, 'master', undefined]) {
      await refused(here.client, (client) => client.stopDaemon(wrong as never), invalid);
    }
  });
}
