// `ipvs top` on a real terminal, with real packets.
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Namespace } from './helpers';
import { Pty } from './pty';

jest.setTimeout(180_000);

const DNS = 'udp://10.0.0.1:53';

let namespace: Namespace;
let traffic: ChildProcess;
let pty: Pty | undefined;

beforeAll(async () => {
  namespace = new Namespace();
  namespace.ip('addr', 'add', '10.0.0.1/32', 'dev', 'lo');
  const client = await namespace.open();
  await client.addService({ protocol: 'udp', address: '10.0.0.1', port: 53, scheduler: 'rr' });
  await client.addDestination(DNS, { address: '127.0.0.1', port: 5353 });
  await client.addDestination(DNS, { address: '127.0.0.2', port: 5353, weight: 3 });
  await client.addService({ protocol: 'tcp', address: '10.0.0.1', port: 80 });
  await client.close();
  const loop = 'while :; do echo -n hello > /dev/udp/10.0.0.1/53; sleep 0.02; done';
  traffic = spawn('ip', ['netns', 'exec', namespace.name, 'bash', '-c', loop], { stdio: 'ignore' });
});
afterAll(() => {
  traffic.kill();
  namespace.delete();
});
afterEach(() => {
  pty?.delete();
  pty = undefined;
});

const open = (script: string, options?: ConstructorParameters<typeof Pty>[2]): Pty =>
  (pty = new Pty(namespace.name, script, options));

test('shows what passes, answers keys, follows the size of the terminal, and gives it back', async () => {
  const pty = open('ipvs top --interval 0.5', { columns: 110 });
  await pty.shows(/^udp:\/\/10\.0\.0\.1:53 +[1-9][\d.]* +[1-9]/m);
  // By difference, four seconds after the first look. A packet is 33 bytes long.
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const [, connections, packets, , bytes] =
    /^udp\S+ +(\S+) +(\S+) +(\S+) +(\S+)/m.exec(pty.text)?.map(Number) ?? [];
  expect(connections).toBe(packets);
  expect(Number(bytes) / Number(packets)).toBeGreaterThan(30);
  expect(Number(bytes) / Number(packets)).toBeLessThan(36);
  expect(pty.text).toMatch(
    /^ipvs top {2}2 services, 2 destinations {2}every 0\.5s {2}by connections$/m,
  );
  expect(pty.text).toMatch(/^ {2}-> 127\.0\.0\.2:5353 .* 3$/m);
  expect(pty.screen.alternate).toBe(true);

  pty.type('d');
  await pty.shows(/^(?![^]*->)[^]*q quit/);
  pty.type('n');
  await pty.shows(/by name/);
  expect(pty.text.indexOf('tcp://')).toBeLessThan(pty.text.indexOf('udp://'));
  pty.type('r');
  await pty.shows(/by name, least first/);
  expect(pty.text.indexOf('udp://')).toBeLessThan(pty.text.indexOf('tcp://'));
  pty.type('d ');
  await pty.shows(/PAUSED/);
  pty.type(' ');
  await pty.shows(/^ipvs top(?!.*PAUSED)/);
  pty.type('?');
  await pty.shows(/or by name/);
  pty.type('x');

  pty.resize(6, 40);
  await pty.shows(/^lines 1-3 of 4 {2}h help {2}q quit$/m);
  expect(pty.screen.lines).toHaveLength(6);
  expect(Math.max(...pty.screen.lines.map(({ length }) => length))).toBeLessThanOrEqual(40);
  pty.type('\x1b[B');
  await pty.shows(/^lines 2-4 of 4/m);
  pty.type('q');
  await pty.ended();
  expect(pty.text).toMatch(/status 0\s*$/);
});

test.each([
  [
    'Ctrl-C',
    (pty: Pty) => {
      pty.type('\x03');
    },
    /status 0\s*$/,
  ],
  [
    'SIGTERM',
    (pty: Pty) => {
      pty.kill('SIGTERM');
    },
    /status 143\s*$/,
  ],
  [
    'SIGHUP',
    (pty: Pty) => {
      pty.kill('SIGHUP');
    },
    /status 129\s*$/,
  ],
] as const)('%s gives the terminal back', async (_name, end, status) => {
  const pty = open('ipvs top');
  await pty.shows(/2 services/);
  end(pty);
  await pty.ended();
  expect(pty.text).toMatch(status);
});

test('an exception gives the terminal back before it is told', async () => {
  const crash = path.join(os.tmpdir(), `ipvs-crash-${process.pid}.js`);
  writeFileSync(crash, "process.once('SIGUSR2', () => { throw new Error('crashed'); });");
  const pty = open('ipvs top', { env: { NODE_OPTIONS: `--require ${crash}` } });
  await pty.shows(/2 services/);
  pty.kill('SIGUSR2');
  await pty.ended();
  expect(pty.written.lastIndexOf('Error: crashed')).toBeGreaterThan(0);
  expect(pty.text).toMatch(/status [17]\s*$/);
});

test('Ctrl-Z gives it to the shell, and fg takes it again', async () => {
  const pty = open('set -m; ipvs top; stty -a > $DIR/stopped; echo stopped; sleep 1; fg');
  await pty.shows(/2 services/);
  pty.type('\x1a');
  await pty.shows(/^stopped/m);
  expect(pty.screen.alternate).toBe(false);
  await pty.shows(/^ipvs top {2}2 services/);
  expect(pty.read('stopped')).toBe(pty.read('before'));
  expect(pty.screen.alternate).toBe(true);
  pty.type('q');
  await pty.ended();
});

test('without keys it refreshes until it is ended; NO_COLOR has no colours; a dumb terminal gets tables', async () => {
  const pty = open(
    `ipvs top --count 2 --interval 0.1 < /dev/null; echo "first $?"
     TERM=dumb ipvs top --count 1 < /dev/null`,
    { env: { NO_COLOR: '1' } },
  );
  await pty.ended();
  expect(pty.text).toMatch(/first 0[^]*SERVICE +CONN\/S[^]*tcp:\/\/10\.0\.0\.1:80/);
  // eslint-disable-next-line no-control-regex -- colours
  expect(pty.written).not.toMatch(/\x1b\[\d+m/);
});

test('into a pipe it goes on as data, and ends quietly when nobody reads', () => {
  const program = path.join(__dirname, '../../dist/cli/main.js');
  const script = `set -o pipefail
    node ${program} top --interval 0.1 --output ndjson | head -2 | wc -l
    echo "status $?"`;
  expect(namespace.run('bash', '-c', script)).toBe('2\nstatus 0\n');
});
