import { IpvsError } from '../../lib/errors';
import { count } from '../../lib/cli/numbers';
import { lines, type Table } from '../../lib/cli/table';
import { explainError } from '../../lib/cli/words';
import { memoryIpvs } from '../../lib/memory';
import { Shell } from './shell';

const tty = { stdin: true, stdout: true, stderr: true };

describe.each([
  ['flush', 'Delete the one service there is, with every destination? [y/N] '],
  ['zero', 'Set the counters of every service and of the whole table to zero? [y/N] '],
])('ipvs %s', (command, question) => {
  async function withService(): Promise<Shell> {
    const shell = new Shell();
    await shell.ok('service add tcp://10.0.0.1:80');
    shell.kernel.setTraffic('tcp://10.0.0.1:80', {
      stats: {
        connections: 9n,
        packets: { in: 0n, out: 0n },
        bytes: { in: 0n, out: 0n },
        perSecond: { connections: 0, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 },
      },
    });
    return shell;
  }
  /** Whether the table is as it was. */
  async function untouched(shell: Shell): Promise<boolean> {
    shell.isTTY = { stdin: false, stdout: false, stderr: false };
    return (await shell.ok('list --stats')).includes('tcp://10.0.0.1:80            9');
  }

  it('refuses without a terminal to ask on', async () => {
    const shell = await withService();
    expect(await shell.type(command)).toEqual({
      status: 2,
      stdout: '',
      stderr: `ipvs ${command}: this cannot be undone and there is no terminal to ask on: give --yes\n`,
    });
    expect(await untouched(shell)).toBe(true);
  });

  it.each([
    { ...tty, stdin: false },
    { ...tty, stderr: false },
  ])('refuses when one end of the terminal is elsewhere: %j', async (isTTY) => {
    const shell = await withService();
    shell.isTTY = isTTY;
    shell.stdin = 'y\n';
    expect((await shell.type(command)).status).toBe(2);
    expect(await untouched(shell)).toBe(true);
  });

  it('does it with --yes', async () => {
    const shell = await withService();
    await shell.ok(`${command} --yes`);
    expect(await untouched(shell)).toBe(false);
  });

  it.each(['y\n', 'yes\n', 'Y\r\n', ' y'])('does it after the answer %j', async (answer) => {
    const shell = await withService();
    shell.isTTY = tty;
    shell.stdin = answer;
    expect(await shell.type(command)).toEqual({ status: 0, stdout: '', stderr: question });
    expect(await untouched(shell)).toBe(false);
  });

  it.each(['n\n', '\n', '', 'yes please\n', 'no\ny\n'])('leaves it after %j', async (answer) => {
    const shell = await withService();
    shell.isTTY = tty;
    shell.stdin = answer;
    expect(await shell.type(command)).toEqual({
      status: 1,
      stdout: '',
      stderr: `${question}ipvs ${command}: not confirmed: nothing was changed\n`,
    });
    expect(await untouched(shell)).toBe(true);
  });
});

describe('ipvs zero SERVICE', () => {
  it('does not ask', async () => {
    const shell = new Shell();
    await shell.ok('service add tcp://10.0.0.1:80');
    await shell.ok('zero tcp://10.0.0.1:80');
  });
});

describe('ipvs timeouts', () => {
  it('shows them, and sets those that are named', async () => {
    const shell = new Shell();
    expect(await shell.ok('timeouts')).toBe(' TCP  TCP FIN   UDP\n900s     120s  300s\n');
    await shell.ok('timeouts set --tcp-fin 30 --udp 60');
    expect(await shell.ok('timeouts --output json')).toBe(
      '{\n  "tcp": 900,\n  "tcpFin": 30,\n  "udp": 60\n}\n',
    );
    expect(await shell.ok('timeouts --output yaml')).toBe('tcp: 900\ntcpFin: 30\nudp: 60\n');
  });
});

describe('ipvs info', () => {
  it('shows the version and the size of the connection table', async () => {
    expect(await new Shell().ok('info')).toBe(
      'VERSION  CONNECTION TABLE SIZE\n1.2.1                     4096\n',
    );
  });
});

describe('ipvs daemon', () => {
  it('starts, lists and stops', async () => {
    const shell = new Shell();
    expect(await shell.ok('daemon list --output json')).toBe('[]\n');
    await shell.ok(
      'daemon start master --interface eth0 --sync-id 7 --group 224.0.0.90 --port 9000 --ttl 2 --max-length 1000',
    );
    await shell.ok('daemon start backup --interface eth0');
    expect(await shell.ok('daemon list')).toBe(
      [
        'ROLE    INTERFACE  SYNC ID  GROUP       PORT  TTL  MAX LENGTH',
        'master  eth0             7  224.0.0.90  9000    2        1000',
        'backup  eth0             0  224.0.0.81  8848    1        1472',
        '',
      ].join('\n'),
    );
    await shell.ok('daemon stop master');
    expect(JSON.parse(await shell.ok('daemon list --output json'))).toMatchObject([
      { role: 'backup' },
    ]);
  });

  it('fails for an interface that is not there', async () => {
    expect(await new Shell().type('daemon start master --interface eth9')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'ipvs daemon start: there is no network interface eth9: see ip link\n',
    });
  });
});

describe('a run', () => {
  it.each(['list', 'service add tcp://10.0.0.1:0', 'service delete tcp://10.0.0.9:80'])(
    'closes what it opened: %s',
    async (line) => {
      const client = memoryIpvs();
      await new Shell(() => Promise.resolve(client)).type(line);
      expect(client.closed).toBe(true);
    },
  );
});

describe('ipvs lab', () => {
  it('hands its words on, options of the other command with them, and gives its status', async () => {
    const shell = new Shell();
    const words = ['--mem', '1G', '--', 'ls', '--quiet', '-h', '--', '--netns'];
    expect(await shell.words(['lab', ...words])).toEqual({ status: 7, stdout: '', stderr: '' });
    await shell.words(['lab', 'ipvs', 'list', '--output', 'json']);
    await shell.words(['lab', 'ls', '--', '-x', 'y']);
    await shell.words(['lab', '--help']);
    await shell.words(['lab']);
    await shell.words(['--quiet', 'lab', '--', '-x']);
    expect(shell.labs).toEqual([
      words,
      ['ipvs', 'list', '--output', 'json'],
      ['ls', '--', '-x', 'y'],
      ['--help'],
      [],
      ['--', '-x'],
    ]);
  });
});

describe('numbers for people', () => {
  it.each([
    [0n, '0'],
    [999n, '999'],
    [1000n, '1.0k'],
    [12_345n, '12.3k'],
    [999_949n, '999.9k'],
    [999_950n, '1.0M'],
    [4_000_000n, '4.0M'],
    [2n ** 64n, '18.4E'],
    [1500, '1.5k'],
  ])('%s is %s', (value, text) => {
    expect(count(value)).toBe(text);
    expect(count(value, true)).toBe(String(value));
  });
});

describe('a table', () => {
  it('has no blanks at line ends and numbers at the right, however long', () => {
    const table: Table = {
      columns: [{ title: 'A' }, { title: 'N', align: 'right' }, { title: 'B' }],
      rows: [
        ['x', '1', ''],
        ['longer', '1000', { text: 'z', style: 'red' }],
        ['', '', ''],
      ],
    };
    expect([...lines(table, (_style, text) => text)]).toEqual([
      'A          N  B',
      'x          1',
      'longer  1000  z',
      '',
    ]);
  });
});

describe('an error', () => {
  it('of ours begins with the command that met it', () => {
    const error = new IpvsError('open: this kernel has no IPVS: load its module', {
      code: 'ERR_IPVS_UNAVAILABLE',
      operation: 'open',
    });
    expect(explainError(error, 'service add')).toEqual({
      text: 'ipvs service add: this kernel has no IPVS: load its module',
      exitCode: 1,
    });
  });

  it('of any kind is one line', () => {
    expect(explainError(new Error('one\n  two\n'), 'list')).toEqual({
      text: 'ipvs list: one two',
      exitCode: 1,
    });
    expect(explainError('text', '')).toEqual({ text: 'ipvs: text', exitCode: 1 });
  });
});
