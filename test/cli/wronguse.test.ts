import { Shell } from './shell';

const HTTP = 'tcp://10.0.0.1:80';

/** Types a line that is wrong; gives the one line it is answered with. */
async function refused(line: string | readonly string[], shell = new Shell()): Promise<string> {
  const { status, stdout, stderr } =
    typeof line === 'string' ? await shell.type(line) : await shell.words(line);
  expect({ line, status, stdout }).toEqual({ line, status: 2, stdout: '' });
  expect(stderr).toMatch(/^[^\n]+\n$/);
  return stderr.trimEnd();
}

describe('wrong use has exit status 2 and one line that says what would be right', () => {
  it.each([
    ['lst', "ipvs: unknown command 'lst' (Did you mean list?): see ipvs --help"],
    [
      'service ad',
      "ipvs service: unknown command 'ad' (Did you mean add?): see ipvs service --help",
    ],
    [
      `service add ${HTTP} --schedular rr`,
      "ipvs service add: unknown option '--schedular' (Did you mean --scheduler?): see ipvs service add --help",
    ],
    [
      'list --stat',
      "ipvs list: unknown option '--stat' (Did you mean --stats?): see ipvs list --help",
    ],
    [
      'list --stats --rates',
      "ipvs list: option '--stats' cannot be used with option '--rates': see ipvs list --help",
    ],
    [
      'service add',
      "ipvs service add: missing required argument 'service': see ipvs service add --help",
    ],
    [
      `destination add ${HTTP}`,
      "ipvs destination add: missing required argument 'destination': see ipvs destination add --help",
    ],
    [
      `service delete ${HTTP} 192.0.2.1:80`,
      "ipvs service delete: too many arguments for 'delete': expected 1 argument but got 2: see ipvs service delete --help",
    ],
    [
      'list --output xml',
      "ipvs list: option '--output <form>' argument 'xml' is invalid: allowed choices are table, json, yaml, ndjson, save: see ipvs list --help",
    ],
    [
      'daemon start leader --interface lo',
      "ipvs daemon start: command-argument value 'leader' is invalid for argument 'role': allowed choices are master, backup: see ipvs daemon start --help",
    ],
    [
      'daemon start master',
      "ipvs daemon start: required option '--interface <name>' not specified: see ipvs daemon start --help",
    ],
    ['list --netns', "ipvs list: option '--netns <name>' argument missing: see ipvs list --help"],
  ])('ipvs %s', async (line, words) => {
    expect(await refused(line)).toBe(words);
  });

  it.each([
    ['list 10.0.0.1:80', 'ipvs list: service: "10.0.0.1:80" is no service: name one such as '],
    [
      'service add tcp://300.0.0.1:80',
      'ipvs service add: service: "tcp://300.0.0.1:80": "300.0.0.1" is not an IPv4 address: ',
    ],
    [
      'service add tcp://2001:db8::1:80',
      'ipvs service add: service: "tcp://2001:db8::1:80" is no service: ',
    ],
    [
      `destination delete ${HTTP} 192.0.2.1`,
      'ipvs destination delete: destination: "192.0.2.1" is no destination: write address:port, ',
    ],
    ['zero fwmark:0', 'ipvs zero: service: "fwmark:0": the mark must be a number from 1 to '],
    [
      'service add tcp://10.0.0.1:0',
      'ipvs service add tcp://10.0.0.1:0: port: 0 takes every port only with persistence: ',
    ],
    [
      `service add ${HTTP} --scheduler-flags fallbck`,
      'ipvs service add tcp://10.0.0.1:80: --scheduler-flags: "fallbck" is no flag: use fallback, port',
    ],
    [
      `service add ${HTTP} --one-packet`,
      'ipvs service add tcp://10.0.0.1:80: --one-packet: only for udp and fwmark services',
    ],
    [
      `service add ${HTTP} --persistence-prefix 24`,
      'ipvs service add: --persistence-prefix: there is no persistence to go with: give --persistence too',
    ],
    [
      `service add ${HTTP} --persistence 9 --persistence-prefix 33`,
      'ipvs service add tcp://10.0.0.1:80: --persistence-prefix: 33 is out of range: use a whole number from 1 to 32',
    ],
    [
      `destination add ${HTTP} 192.0.2.1:80 --forward nat`,
      `ipvs destination add tcp://10.0.0.1:80 192.0.2.1:80: --forward: "nat" is no forward method: use 'masq', 'route' or 'tunnel'`,
    ],
    [
      `destination add ${HTTP} 192.0.2.1:80 --weight 2147483648`,
      'ipvs destination add tcp://10.0.0.1:80 192.0.2.1:80: --weight: 2147483648 is out of range: ',
    ],
    [
      `destination add ${HTTP} 192.0.2.1:80 --upper-threshold 1 --lower-threshold 2`,
      'ipvs destination add tcp://10.0.0.1:80 192.0.2.1:80: --lower-threshold: 2 is above --upper-threshold 1: ',
    ],
    [
      `destination add ${HTTP} 192.0.2.1:80 --forward tunnel --tunnel gue`,
      'ipvs destination add tcp://10.0.0.1:80 192.0.2.1:80: --tunnel-port is missing: use a whole number from 1 to 65535',
    ],
    [
      'daemon start master --interface eth0 --port 0',
      'ipvs daemon start: --port: 0 is out of range: use a whole number from 1 to 65535',
    ],
    [
      'daemon start master --interface eth0 --group 10.0.0.1',
      'ipvs daemon start: --group: 10.0.0.1 is not a multicast address: ',
    ],
    ['timeouts set --udp 0', 'ipvs timeouts set: --udp: 0 is out of range: '],
  ])('ipvs %s', async (line, start) => {
    expect((await refused(line)).slice(0, start.length)).toBe(start);
  });

  it.each([
    [`service set ${HTTP}`, 'ipvs service set: there is nothing to change: name a setting'],
    [
      `--output json service set ${HTTP} --quiet`,
      'ipvs service set: there is nothing to change: name a setting',
    ],
    [
      `destination set ${HTTP} 192.0.2.1:80`,
      'ipvs destination set: there is nothing to change: name a setting',
    ],
    ['timeouts set', 'ipvs timeouts set: there is nothing to set: give --tcp, --tcp-fin or --udp'],
  ])('ipvs %s', async (line, start) => {
    const shell = new Shell();
    expect(await refused(line, shell)).toContain(start);
    expect(shell.opened).toEqual([]);
  });
});

describe('numbers are plain decimal, or refused by the name of their option', () => {
  const lines = {
    '--persistence': `service add ${HTTP} --persistence`,
    '--persistence-prefix': `service add ${HTTP} --persistence 9 --persistence-prefix`,
    '--weight': `destination add ${HTTP} 192.0.2.1:80 --weight`,
    '--upper-threshold': `destination add ${HTTP} 192.0.2.1:80 --upper-threshold`,
    '--lower-threshold': `destination set ${HTTP} 192.0.2.1:80 --lower-threshold`,
    '--tunnel-port': `destination add ${HTTP} 192.0.2.1:80 --tunnel-port`,
    '--sync-id': 'daemon start master --interface lo --sync-id',
    '--port': 'daemon start master --interface lo --port',
    '--ttl': 'daemon start master --interface lo --ttl',
    '--max-length': 'daemon start master --interface lo --max-length',
    '--tcp': 'timeouts set --tcp',
    '--tcp-fin': 'timeouts set --tcp-fin',
    '--udp': 'timeouts set --udp',
  };
  it.each(Object.entries(lines))('%s', async (option, line) => {
    for (const text of ['1e3', ' 5', '0x10', '-1', '+1', '1.5', '01', '', '1_000', '٣']) {
      const shell = new Shell();
      const words = await refused([...line.split(' '), text], shell);
      const command = line
        .split(' ')
        .slice(0, line.startsWith('timeouts') ? 2 : 2)
        .join(' ');
      expect(words).toBe(
        `ipvs ${command}: ${option}: ${JSON.stringify(text)} is not a plain decimal number: write digits alone, such as 10`,
      );
      expect(shell.opened).toEqual([]);
    }
  });
});

describe('help', () => {
  it.each(['--help', 'list --help', 'service set --help', 'help destination', 'daemon start -h'])(
    'ipvs %s is on stdout and is success',
    async (line) => {
      const { status, stdout, stderr } = await new Shell().type(line);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^Usage: ipvs /);
      expect(stdout).toContain('--netns <name>');
    },
  );

  it('says that set on the command line patches', async () => {
    const help = await new Shell().ok('service set --help');
    expect(help).toContain('Change some settings of a service; the others stay as they are.');
    expect(help).toContain('--replace');
  });

  it.each(['', 'service', 'destination', 'daemon'])(
    'ipvs %s alone is wrong use, and is told what there is',
    async (line) => {
      const { status, stdout, stderr } = await new Shell().type(line);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(/^Usage: ipvs /);
    },
  );

  it('tells the version', async () => {
    expect(await new Shell().ok('--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
