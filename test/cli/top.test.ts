// `ipvs top` from its arguments to its screens, on a terminal that is an object.
import { setImmediate as breathe } from 'node:timers/promises';
import type { Size } from '../../lib/cli/top/screen';
import type { Listener, Terminal } from '../../lib/cli/top/terminal';
import { IpvsError } from '../../lib/errors';
import { Shell } from './shell';

const HTTP = 'tcp://10.0.0.1:80';

class FakeTerminal implements Terminal {
  size: Size = { columns: 80, rows: 24 };
  listener: Listener | undefined;
  readonly screens: (readonly string[])[] = [];
  readonly did: string[] = [];
  #drawn: (() => void)[] = [];

  enter(listener: Listener): void {
    this.did.push('enter');
    this.listener = listener;
  }
  draw(lines: readonly string[]): void {
    this.screens.push(lines);
    this.#drawn.splice(0).forEach((tell) => {
      tell();
    });
  }
  suspend(): void {
    this.did.push('suspend');
  }
  leave(): void {
    this.did.push('leave');
  }
  get text(): string {
    return this.screens.at(-1)?.join('\n') ?? '';
  }
  /** The first screen from now on, or this one, that has this in it. */
  async shows(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      await new Promise<void>((resolve) => this.#drawn.push(resolve));
    }
  }
  type(text: string): void {
    this.listener?.input(text);
  }
}

let shell: Shell;
let terminal: FakeTerminal;
beforeEach(async () => {
  shell = new Shell();
  await shell.ok(`service add ${HTTP}`);
  await shell.ok(`dest add ${HTTP} 192.0.2.10:80`);
  shell.kernel.setTraffic(HTTP, '192.0.2.10:80', { activeConnections: 5 });
  terminal = new FakeTerminal();
  shell.terminal = terminal;
  shell.isTTY = { stdin: true, stdout: true, stderr: true };
  shell.env = { NO_COLOR: '1' };
});

describe('on a terminal', () => {
  it('shows what there is, answers keys, and leaves with 0', async () => {
    const run = shell.type('top --interval 0.1');
    await terminal.shows(/1 service, 1 destination/);
    expect(terminal.text).toMatch(/-> 192\.0\.2\.10:80 .* 5 +0 +1$/m);
    terminal.type('d');
    expect(terminal.text).not.toContain('->');
    terminal.type('d');
    terminal.type('h');
    expect(terminal.text).toContain('Space');
    terminal.type('x');
    shell.kernel.setTraffic(HTTP, '192.0.2.10:80', { activeConnections: 77 });
    await terminal.shows(/ 77 /);
    terminal.type('\x1a');
    terminal.type('q');
    expect(await run).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(terminal.did).toEqual(['enter', 'suspend', 'leave']);
  });

  it('stands still, and goes on', async () => {
    const run = shell.type('top --interval 0.1');
    await terminal.shows(/ 5 /);
    terminal.type(' ');
    expect(terminal.text).toContain('PAUSED');
    const seen = terminal.screens.length;
    shell.kernel.setTraffic(HTTP, '192.0.2.10:80', { activeConnections: 77 });
    await new Promise((resolve) => setTimeout(resolve, 350));
    expect(terminal.screens.length).toBe(seen);
    terminal.type(' ');
    await terminal.shows(/ 77 /);
    terminal.type('\x03');
    expect((await run).status).toBe(0);
  });

  it('draws for the size it has', async () => {
    const run = shell.type('top');
    await terminal.shows(/1 service/);
    terminal.size = { columns: 30, rows: 3 };
    terminal.listener?.redraw();
    expect(terminal.screens.at(-1)).toHaveLength(3);
    expect(Math.max(...(terminal.screens.at(-1) ?? []).map(({ length }) => length))).toBe(26);
    terminal.listener?.end();
    expect((await run).status).toBe(0);
  });

  it('begins as its options say, and ends after --count', async () => {
    expect(
      await shell.type('top --sort bytes --reverse --no-destinations --count 1'),
    ).toMatchObject({ status: 0 });
    expect(terminal.text).toContain('by bytes, least first');
    expect(terminal.text).not.toContain('->');
    expect(terminal.did).toEqual(['enter', 'leave']);
  });

  it('puts the terminal back when a signal comes, and has its exit status', async () => {
    const run = shell.type('top');
    await terminal.shows(/1 service/);
    shell.interruption.abort('SIGTERM');
    expect(await run).toEqual({ status: 143, stdout: '', stderr: '' });
    expect(terminal.did).toEqual(['enter', 'leave']);
  });

  it('puts the terminal back before it tells of an error', async () => {
    const client = shell.kernel.open();
    const failing = new Shell(() => {
      client.snapshot = () =>
        Promise.reject(new IpvsError('snapshot: why', { code: 'EPERM', operation: 'snapshot' }));
      return Promise.resolve(client);
    });
    Object.assign(failing, { terminal, isTTY: shell.isTTY });
    expect(await failing.type('top')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'ipvs top: why\n',
    });
    expect(terminal.did).toEqual(['enter', 'leave']);
  });

  it('does not wait for a kernel that does not answer', async () => {
    const client = shell.kernel.open();
    const waiting = new Shell(() => {
      client.snapshot = () => new Promise(() => undefined);
      return Promise.resolve(client);
    });
    Object.assign(waiting, { terminal, isTTY: shell.isTTY });
    const run = waiting.type('top');
    await terminal.shows(/reading/);
    await breathe();
    terminal.type('q');
    expect((await run).status).toBe(0);
  });
});

describe('elsewhere', () => {
  beforeEach(() => {
    shell.isTTY = { stdin: false, stdout: false, stderr: false };
  });

  it('prints a table for each look', async () => {
    const text = await shell.ok('top --count 2 --interval 0.1');
    const look =
      'TIME\n' +
      'SERVICE             CONN/S  PKT IN/S  PKT OUT/S  BYTE IN/S  BYTE OUT/S  ACTIVE  INACTIVE  WEIGHT\n' +
      'tcp://10.0.0.1:80        0         0          0          0           0       5         0\n' +
      '  -> 192.0.2.10:80       0         0          0          0           0       5         0       1\n';
    expect(text.replace(/^\d{4}-\d\d-\d\dT.*Z$/gm, 'TIME')).toBe(`${look}\n${look}`);
  });

  it('prints data that can be read: an array, lines, documents', async () => {
    const array = JSON.parse(await shell.ok('top --count 2 --interval 0.1 --output json')) as {
      time: string;
      services: unknown[];
    }[];
    expect(array).toHaveLength(2);
    expect(array[0]?.services).toMatchObject([{ port: 80, destinations: [{ port: 80 }] }]);
    const text = await shell.ok('top --count 2 --interval 0.1 --output ndjson');
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => Object.keys(JSON.parse(line) as object)),
    ).toEqual([
      ['time', 'services'],
      ['time', 'services'],
    ]);
    expect(await shell.ok('top --count 1 --output yaml')).toMatch(/^- time: .*\n {2}services:\n/);
  });

  it('prints data on a terminal that is asked for data', async () => {
    shell.isTTY = { stdin: true, stdout: true, stderr: true };
    expect(await shell.ok('top --count 1 --output ndjson')).toMatch(/^\{"time"/);
    expect(terminal.did).toEqual([]);
  });

  it('closes the array when it is interrupted', async () => {
    const run = shell.type('top --output json --interval 60');
    await new Promise((resolve) => setTimeout(resolve, 50));
    shell.interruption.abort('SIGINT');
    const { status, stdout } = await run;
    expect(status).toBe(130);
    expect(JSON.parse(stdout)).toHaveLength(1);
  });
});

test.each([
  ['top --interval 0', '--interval: "0" is out of range: use seconds from 0.1 to 86400'],
  ['top --interval 1e3', '--interval: "1e3" is out of range'],
  ['top --count 0', '--count: 0 is out of range: use a whole number from 1 up'],
  [
    'top --sort size',
    "option '--sort <column>' argument 'size' is invalid: allowed choices are connections",
  ],
])('%s is wrong use', async (line, words) => {
  const { status, stdout, stderr } = await shell.type(line);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toContain(`ipvs top: ${words}`);
});
