// `ipvs connections`: listed, counted, watched.
import { EventEmitter } from 'node:events';
import { parse } from 'yaml';
import type { Connection } from '../../lib';
import { run } from '../../lib/cli/run';
import { Shell } from './shell';

const row = (last: number, more: Partial<Connection> = {}): Connection => ({
  protocol: 'tcp',
  client: { address: `198.51.100.${last}`, port: 1000 + last },
  virtual: { address: '10.0.0.1', port: 80 },
  destination: { address: '192.0.2.10', port: 8080 },
  state: 'ESTABLISHED',
  expires: 899,
  ...more,
});
const SIX: Connection = {
  ...row(0),
  client: { address: '2001:db8::9', port: 9 },
  virtual: { address: '2001:db8::1', port: 443 },
};
const SIP = row(3, {
  protocol: 'udp',
  client: { address: '198.51.100.3', port: 0 },
  state: 'ASSURED',
  engine: { name: 'sip', data: 'call\x1b[2J' },
});

let shell: Shell;
beforeEach(() => {
  shell = new Shell();
  shell.kernel.setConnections([row(1), row(2, { state: 'FIN_WAIT' }), SIP]);
});

it.each(['', ' --watch'])('reads the table it is told to%s', async (more) => {
  const { status, stderr } = await shell.type(`connections --source conntrack${more}`);
  expect(status).toBe(1);
  expect(stderr).toMatch(/net\.ipv4\.vs\.conntrack/);
  expect(await shell.ok('connections --source auto')).toBe(await shell.ok('connections'));
});

describe('a list', () => {
  it('is a table, aligned, and obeys no control characters of clients', async () => {
    expect(await shell.ok('connections')).toBe(
      [
        'PROTOCOL  STATE        EXPIRES  CLIENT                 SERVICE                DESTINATION            ENGINE',
        'tcp       ESTABLISHED     899s  198.51.100.1:1001      10.0.0.1:80            192.0.2.10:8080',
        'tcp       FIN_WAIT        899s  198.51.100.2:1002      10.0.0.1:80            192.0.2.10:8080',
        'udp       ASSURED         899s  198.51.100.3:0         10.0.0.1:80            192.0.2.10:8080        sip call?[2J',
        '',
      ].join('\n'),
    );
  });

  it('has room for IPv6 where there is some', async () => {
    shell.kernel.setConnections([row(1), SIX]);
    const lines = (await shell.ok('connections')).split('\n');
    expect(lines[2]).toMatch(
      /^tcp +ESTABLISHED +899s {2}\[2001:db8::9\]:9 +\[2001:db8::1\]:443 +192/,
    );
    expect(lines[1]?.indexOf('10.0.0.1')).toBe(lines[2]?.indexOf('[2001:db8::1]'));
    expect(lines[0]?.indexOf('DESTINATION')).toBe(lines[2]?.indexOf('192.0.2.10'));
  });

  it('is data, as the library has it', async () => {
    const expected = [...(await shell.kernel.open().connections())];
    expect(expected).toHaveLength(3);
    expect(JSON.parse(await shell.ok('connections --output json'))).toEqual(expected);
    expect(parse(await shell.ok('connections --output yaml'))).toEqual(expected);
    const lines = (await shell.ok('conns --output ndjson')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(expected);
  });

  it('of nothing is empty', async () => {
    shell.kernel.setConnections([]);
    expect(await shell.ok('connections --output json')).toBe('[]\n');
    expect(await shell.ok('connections --output yaml')).toBe('[]\n');
    expect(await shell.ok('connections --output ndjson')).toBe('');
    expect((await shell.ok('connections')).split('\n')).toHaveLength(2);
    shell.isTTY = { stdin: true, stdout: false, stderr: true };
    expect((await shell.type('connections')).stderr).toBe('There are no such connections.\n');
  });

  it.each([
    ['--state fin_wait', [2]],
    ['--client 198.51.100.0/31', [1]],
    ['--client 198.51.100.2', [2]],
    ['--protocol udp', [3]],
    ['--service tcp://10.0.0.1:80', [1, 2]],
    ['--service tcp://10.0.0.1:81', []],
    ['--destination 192.0.2.10', [1, 2, 3]],
    ['--destination 192.0.2.10:81', []],
    ['--templates', [3]],
    ['--no-templates', [1, 2]],
    ['--limit 1', [1]],
    ['--no-templates --state ESTABLISHED --client 198.51.100.0/24', [1]],
  ])('%s', async (words, last) => {
    const found = JSON.parse(await shell.ok(`connections ${words} --output json`)) as Connection[];
    expect(found.map(({ client }) => Number(client.address.split('.')[3]))).toEqual(last);
  });

  it('waits for whoever reads it, and makes no more than they take', async () => {
    const count = 20_000;
    shell.kernel.setConnections(Array.from({ length: count }, (_, i) => row(i % 250)));
    const client = shell.kernel.open();
    let decoded = 0;
    const read = client.connections.bind(client);
    client.connections = async (...args) => {
      const table = await read(...args);
      const at = table.at.bind(table);
      table.at = (index) => {
        decoded++;
        return at(index);
      };
      return table;
    };
    let written = '';
    let longest = 0;
    const out = Object.assign(new EventEmitter(), {
      write(text: string) {
        written += text;
        longest = Math.max(longest, text.length);
        return false;
      },
    });
    const ended = run(['connections', '--output', 'ndjson'], {
      ...new Shell().io(),
      open: () => Promise.resolve(client),
      stdout: out,
    });
    let seen = 0;
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(decoded).toBeLessThan((i + 1) * 1000);
      expect(decoded).toBeGreaterThan(seen);
      seen = decoded;
      out.emit('drain');
    }
    const timer = setInterval(() => out.emit('drain'), 0);
    expect(await ended).toBe(0);
    clearInterval(timer);
    expect(written.split('\n')).toHaveLength(count + 1);
    expect(longest).toBeLessThan(70_000);
  });
});

describe('a count', () => {
  it('has the most first', async () => {
    expect(await shell.ok('connections --count-by protocol')).toBe(
      'CONNECTIONS  PROTOCOL\n          2  tcp\n          1  udp\n',
    );
    expect(await shell.ok('connections --count-by client --limit 1')).toBe(
      'CONNECTIONS  CLIENT\n          1  198.51.100.1\n',
    );
  });

  it('of several keys has a column each, and is data', async () => {
    expect(await shell.ok('connections --count-by destination,state')).toBe(
      [
        'CONNECTIONS  DESTINATION      STATE',
        '          1  192.0.2.10:8080  ESTABLISHED',
        '          1  192.0.2.10:8080  FIN_WAIT',
        '          1  192.0.2.10:8080  ASSURED',
        '',
      ].join('\n'),
    );
    expect(JSON.parse(await shell.ok('connections --count-by service --output json'))).toEqual([
      { key: 'tcp://10.0.0.1:80', count: 2 },
      { key: 'udp://10.0.0.1:80', count: 1 },
    ]);
  });
});

describe('watching', () => {
  /** Starts it, and changes the table once it has been read. */
  async function watched(words: string, then: readonly Connection[]): Promise<string> {
    const client = shell.kernel.open();
    const watching = new Shell(() => Promise.resolve(client));
    const ended = watching.type(`connections --watch --interval 0.1 ${words}`);
    await new Promise((resolve) => setTimeout(resolve, 60));
    shell.kernel.setConnections(then);
    const { status, stdout, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout.replace(/\d{4}-\d\d-\d\dT[\d:.]*Z/g, 'TIME');
  }

  it('prints what opens, changes and closes', async () => {
    const then = [row(1, { state: 'TIME_WAIT' }), row(2, { state: 'FIN_WAIT' }), row(4)];
    const text = await watched('--limit 3', then);
    expect(text.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['TIME', 'CHANGE', 'PROTOCOL', 'STATE', 'CLIENT', 'SERVICE', 'DESTINATION'],
      [
        'TIME',
        'changed',
        'tcp',
        'ESTABLISHED -> TIME_WAIT',
        '198.51.100.1:1001',
        '10.0.0.1:80',
        '192.0.2.10:8080',
      ],
      ['TIME', 'closed', 'udp', 'ASSURED', '198.51.100.3:0', '10.0.0.1:80', '192.0.2.10:8080'],
      [
        'TIME',
        'opened',
        'tcp',
        'ESTABLISHED',
        '198.51.100.4:1004',
        '10.0.0.1:80',
        '192.0.2.10:8080',
      ],
      [''],
    ]);
  });

  it('prints data, a line each', async () => {
    const text = await watched('--limit 1 --output ndjson', [row(1), row(2), SIP]);
    expect(JSON.parse(text)).toEqual({
      time: 'TIME',
      kind: 'changed',
      connection: row(2),
      from: 'FIN_WAIT',
    });
  });

  it('closes the array when it is interrupted', async () => {
    const ended = shell.type('connections --watch --output json');
    await new Promise((resolve) => setTimeout(resolve, 60));
    shell.interruption.abort('SIGINT');
    expect(await ended).toEqual({ status: 130, stdout: '[]\n', stderr: '' });
  });
});

test.each([
  ['--client 10.0.0.0/33', /^ipvs connections: --client: "10\.0\.0\.0\/33"/],
  ['--client nobody', /^ipvs connections: --client: "nobody"/],
  ['--destination x:80', /^ipvs connections: --destination: "x:80"/],
  ['--service http://10.0.0.1', /^ipvs connections: service: "http:\/\/10\.0\.0\.1" is no service/],
  ['--watch --client nobody', /^ipvs connections: --client: "nobody"/],
  ['--count-by port', /--count-by: "port" is nothing to count by: use protocol, state, service/],
  ['--count-by state --watch', /'--watch' cannot be used with option '--count-by <keys>'/],
  ['--interval 5', /--interval goes with --watch/],
  ['--source kernel', /allowed choices are ip_vs, conntrack, auto/i],
  ['--source auto --watch', /--watch looks at one table all the time/],
  ['--limit 0', /--limit: 0 is out of range/],
  ['--protocol icmp', /allowed choices are tcp, udp, sctp/],
])('%s is wrong use', async (words, message) => {
  const { status, stdout, stderr } = await shell.type(`connections ${words}`);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toMatch(message);
  expect(stderr.trim()).not.toContain('\n');
});
