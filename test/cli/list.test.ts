import { parse } from 'yaml';
import type { Stats } from '../../lib/model';
import { Shell } from './shell';

const HTTP = 'tcp://10.0.0.1:80';

function traffic(connections: bigint, bytes: bigint): Stats {
  return {
    connections,
    packets: { in: 12_345n, out: 999n },
    bytes: { in: bytes, out: 0n },
    perSecond: { connections: 3, packetsIn: 1500, packetsOut: 0, bytesIn: 2_000_000, bytesOut: 0 },
  };
}

/** One service of every kind, added in no order. */
async function furnished(): Promise<Shell> {
  const shell = new Shell();
  for (const line of [
    'service add fwmark6:7',
    'service add udp://[2001:db8::1]:53 --one-packet',
    'service add tcp://192.168.0.1:80 --scheduler mh --scheduler-flags fallback,port',
    'service add tcp://10.0.0.1:443 --persistence 300 --persistence-prefix 24',
    'service add udp://10.0.0.1:5060 --persistence 60 --persistence-engine sip',
    `service add ${HTTP} --scheduler wrr`,
    `dest add ${HTTP} 192.0.2.100:18080 --weight 0`,
    `dest add ${HTTP} 192.0.2.20:80 --forward route --weight 12 --upper-threshold 100 --lower-threshold 50`,
    `dest add ${HTTP} 192.0.2.9:80 --forward tunnel --tunnel gue --tunnel-port 6080 --tunnel-checksum remote`,
  ]) {
    await shell.ok(line);
  }
  shell.kernel.setTraffic(HTTP, '192.0.2.20:80', {
    activeConnections: 7,
    inactiveConnections: 1200,
    persistentConnections: 2,
    stats: traffic(5n, 2n ** 60n),
  });
  shell.kernel.setTraffic(HTTP, '192.0.2.9:80', { activeConnections: 1 });
  shell.kernel.setTraffic(HTTP, { stats: traffic(1234n, 2n ** 60n) });
  return shell;
}

describe('ipvs list', () => {
  it('shows services with their destinations, sorted by number', async () => {
    expect(await (await furnished()).ok('list')).toBe(
      [
        'SERVICE                 SCHEDULER  FORWARD  WEIGHT  ACTIVE  INACTIVE  DETAILS',
        'tcp://10.0.0.1:80       wrr                              8      1200',
        '  -> 192.0.2.9:80                  tunnel        1       1         0  gue port 6080 checksum remote',
        '  -> 192.0.2.20:80                 route        12       7      1200  upper 100, lower 50',
        '  -> 192.0.2.100:18080             masq          0       0         0',
        'tcp://10.0.0.1:443      wlc                              0         0  persistent 300s prefix 24',
        'tcp://192.168.0.1:80    mh                               0         0  flags fallback,port',
        'udp://10.0.0.1:5060     wlc                              0         0  persistent 60s, engine sip',
        'udp://[2001:db8::1]:53  wlc                              0         0  one-packet',
        'fwmark6:7               wlc                              0         0',
        '',
      ].join('\n'),
    );
  });

  it('sorts ports, marks and addresses as numbers, whatever their bytes', async () => {
    const shell = new Shell();
    const ids = [
      'tcp://9.0.0.1:80',
      'tcp://10.0.0.1:443',
      'tcp://10.0.0.1:512',
      'tcp://200.0.0.1:80',
      'udp://9.0.0.1:80',
      'tcp://[9::1]:80',
      'tcp://[2001:db8::1]:80',
      'fwmark:255',
      'fwmark:256',
      'fwmark6:1',
    ];
    for (const id of [...ids].reverse()) await shell.ok(`service add ${id}`);
    const shown = (await shell.ok('list')).trimEnd().split('\n').slice(1);
    expect(shown.map((line) => line.split(' ')[0])).toEqual(ids);
  });

  it('shows one service alone', async () => {
    expect(await (await furnished()).ok('list tcp://10.0.0.1:443')).toBe(
      [
        'SERVICE             SCHEDULER  FORWARD  WEIGHT  ACTIVE  INACTIVE  DETAILS',
        'tcp://10.0.0.1:443  wlc                              0         0  persistent 300s prefix 24',
        '',
      ].join('\n'),
    );
  });

  it('shows counters in units, or in full', async () => {
    const shell = await furnished();
    expect(await shell.ok(`list ${HTTP} --stats`)).toBe(
      [
        'SERVICE                 CONNECTIONS  PACKETS IN  PACKETS OUT  BYTES IN  BYTES OUT',
        'tcp://10.0.0.1:80              1.2k       12.3k          999      1.2E          0',
        '  -> 192.0.2.9:80                 0           0            0         0          0',
        '  -> 192.0.2.20:80                5       12.3k          999      1.2E          0',
        '  -> 192.0.2.100:18080            0           0            0         0          0',
        '',
      ].join('\n'),
    );
    expect((await shell.ok(`list ${HTTP} --stats --exact`)).split('\n')[1]).toBe(
      'tcp://10.0.0.1:80              1234       12345          999  1152921504606846976          0',
    );
  });

  it('shows rates', async () => {
    expect((await (await furnished()).ok(`list ${HTTP} --rates`)).split('\n').slice(0, 2)).toEqual([
      'SERVICE                 CONNECTIONS/S  PACKETS IN/S  PACKETS OUT/S  BYTES IN/S  BYTES OUT/S',
      'tcp://10.0.0.1:80                   3          1.5k              0        2.0M            0',
    ]);
  });

  it('shows thresholds', async () => {
    expect(await (await furnished()).ok(`list ${HTTP} --thresholds`)).toBe(
      [
        'SERVICE                 UPPER  LOWER  ACTIVE  INACTIVE',
        'tcp://10.0.0.1:80                          8      1200',
        '  -> 192.0.2.9:80           -      -       1         0',
        '  -> 192.0.2.20:80        100     50       7      1200',
        '  -> 192.0.2.100:18080      -      -       0         0',
        '',
      ].join('\n'),
    );
  });

  it('shows tunnels', async () => {
    expect(await (await furnished()).ok(`list ${HTTP} --tunnels`)).toBe(
      [
        'SERVICE                 FORWARD  TUNNEL  PORT  CHECKSUM',
        'tcp://10.0.0.1:80',
        '  -> 192.0.2.9:80       tunnel   gue     6080  remote',
        '  -> 192.0.2.20:80      route',
        '  -> 192.0.2.100:18080  masq',
        '',
      ].join('\n'),
    );
  });

  it('shows how many clients are kept', async () => {
    expect(await (await furnished()).ok(`list ${HTTP} --persistent`)).toBe(
      [
        'SERVICE                 WEIGHT  PERSISTENT  ACTIVE  INACTIVE',
        'tcp://10.0.0.1:80                        2       8      1200',
        '  -> 192.0.2.9:80            1           0       1         0',
        '  -> 192.0.2.20:80          12           2       7      1200',
        '  -> 192.0.2.100:18080       0           0       0         0',
        '',
      ].join('\n'),
    );
  });

  it('prints headings alone for an empty table, and a hint only at a terminal that wants it', async () => {
    const shell = new Shell();
    const headings = 'SERVICE  SCHEDULER  FORWARD  WEIGHT  ACTIVE  INACTIVE  DETAILS\n';
    expect(await shell.ok('list')).toBe(headings);
    shell.isTTY = { stdin: true, stdout: false, stderr: true };
    expect(await shell.type('list')).toEqual({
      status: 0,
      stdout: headings,
      stderr: 'There are no services. Add one with: ipvs service add tcp://10.0.0.1:80\n',
    });
    expect((await shell.type('list --quiet')).stderr).toBe('');
  });

  it('fails for a service that is not there', async () => {
    expect(await new Shell().type('list tcp://10.0.0.9:80')).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'ipvs list tcp://10.0.0.9:80: no such service: add it first with ipvs service add, or see ipvs list for what there is\n',
    });
  });
});

describe('ipvs list --output', () => {
  it('json is an array of what the library gives, totals as text where a number would lie', async () => {
    const shell = await furnished();
    const [server] = JSON.parse(await shell.ok(`list ${HTTP} --output json`)) as unknown[];
    expect(server).toMatchObject({
      protocol: 'tcp',
      address: '10.0.0.1',
      port: 80,
      scheduler: 'wrr',
      schedulerFlags: [],
      onePacket: false,
      stats: {
        connections: 1234,
        packets: { in: 12345, out: 999 },
        bytes: { in: '1152921504606846976', out: 0 },
        perSecond: {
          connections: 3,
          packetsIn: 1500,
          packetsOut: 0,
          bytesIn: 2000000,
          bytesOut: 0,
        },
      },
      destinations: [
        {
          address: '192.0.2.9',
          port: 80,
          forward: 'tunnel',
          tunnel: { type: 'gue', port: 6080, checksum: 'remote' },
        },
        { address: '192.0.2.20', weight: 12, activeConnections: 7, persistentConnections: 2 },
        { address: '192.0.2.100', weight: 0 },
      ],
    });
  });

  it('yaml says the same as json', async () => {
    const shell = await furnished();
    const json = JSON.parse(await shell.ok('list --output json')) as unknown;
    expect(parse(await shell.ok('list --output yaml'))).toEqual(json);
    expect(parse(await shell.ok('--output yaml list'))).toEqual(json);
  });

  it('is an empty array of either kind for an empty table', async () => {
    const shell = new Shell();
    expect(await shell.ok('list --output json')).toBe('[]\n');
    expect(await shell.ok('list --output yaml')).toBe('[]\n');
  });

  it('takes the option nearest to the command', async () => {
    expect(await new Shell().ok('--output yaml info --output json')).toBe(
      '{\n  "version": "1.2.1",\n  "connectionTableSize": 4096\n}\n',
    );
  });
});

describe('colour', () => {
  const tty = { stdin: true, stdout: true, stderr: true };
  const escape = '\u001b';

  it('is there on a terminal only', async () => {
    const shell = await furnished();
    expect(await shell.ok('list')).not.toContain(escape);
    shell.isTTY = tty;
    const shown = await shell.ok('list');
    expect(shown).toContain(`${escape}[2mSERVICE${escape}[22m`);
    expect(shown).toContain(`${escape}[33m0${escape}[39m`);
  });

  it.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('is not there with %j', async (env) => {
    const shell = await furnished();
    shell.isTTY = tty;
    shell.env = env;
    expect(await shell.ok('list')).not.toContain(escape);
  });

  it('leaves columns where they are', async () => {
    const shell = await furnished();
    const plain = await shell.ok('list');
    shell.isTTY = tty;
    // eslint-disable-next-line no-control-regex -- the escape character is what is taken out
    expect((await shell.ok('list')).replace(/\u001b\[\d+m/g, '')).toBe(plain);
  });
});

describe('--netns', () => {
  it('goes to the library, wherever it stands', async () => {
    const shell = new Shell();
    await shell.ok('list --netns blue');
    await shell.ok('--netns /proc/1/ns/net info');
    await shell.ok('list');
    expect(shell.opened).toEqual([{ netns: 'blue' }, { netns: '/proc/1/ns/net' }, {}]);
  });
});
