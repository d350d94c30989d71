// The examples, run as their readers would run them: as programs, in a network namespace with a kernel's own IPVS. What
// they did is read back with ipvsadm. They are compiled by `npm run build`.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROGRAMS = join(__dirname, '../../build/programs/examples');
const NETNS = `ipvs-examples-${process.pid}`;
const INSIDE = ['ip', 'netns', 'exec', NETNS];
const WEB = 'tcp://198.51.100.1:80';

interface Run {
  readonly child: ChildProcess;
  /** What it has written so far, on both streams. */
  text: string;
  /** Its exit status, or the signal that ended it. */
  readonly end: Promise<number | NodeJS.Signals | null>;
}

const started: ChildProcess[] = [];

function start(...command: string[]): Run {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  const end = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      resolve(status ?? signal);
    });
  });
  const run = { child, text: '', end };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (run.text += text));
  }
  return run;
}

const program = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(PROGRAMS, `${name}.js`),
  ...args,
];

/** Runs a command in the namespace; gives what it wrote. */
function inside(...command: string[]): string {
  const [file = '', ...args] = [...INSIDE, ...command];
  return execFileSync(file, args, { encoding: 'utf8' });
}

/** The kernel's table, in the order of the text. */
function table(): string[] {
  return inside('ipvsadm', '-Sn').trim().split('\n').sort();
}

function demoNamespaces(): string[] {
  return readdirSync('/run/netns').filter((name) => name.startsWith('ipvs-demo-'));
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries += 1) {
    if (tries === 200) throw new Error(`waited 20 seconds in vain until ${what}`);
    await sleep(100);
  }
}

jest.setTimeout(120_000);

beforeAll(() => {
  if (!existsSync(PROGRAMS)) throw new Error('the examples are not compiled: npm run build');
});

beforeEach(() => {
  execFileSync('ip', ['netns', 'add', NETNS]);
  for (const address of ['198.51.100.1', '10.0.1.2', '10.0.2.2', '10.0.3.2']) {
    inside('ip', 'address', 'add', `${address}/32`, 'dev', 'lo');
  }
  inside('ip', 'link', 'set', 'lo', 'up');
});

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
  }
  execFileSync('ip', ['netns', 'delete', NETNS]);
});

test('two-servers puts two destinations behind one address and lists them', async () => {
  const run = start(...INSIDE, ...program('two-servers'));

  expect(await run.end).toBe(0);
  expect(run.text).toBe(
    `${WEB} rr\n  10.0.2.2:8080 masq, weight 1\n  10.0.1.2:8080 masq, weight 1\n`,
  );
  expect(table()).toEqual([
    '-A -t 198.51.100.1:80 -s rr',
    '-a -t 198.51.100.1:80 -r 10.0.1.2:8080 -m -w 1',
    '-a -t 198.51.100.1:80 -r 10.0.2.2:8080 -m -w 1',
  ]);
});

test('drain keeps a destination, with weight 0, while it has connections', async () => {
  inside('ipvsadm', '-A', '-u', '198.51.100.1:53', '-s', 'rr');
  inside('ipvsadm', '-a', '-u', '198.51.100.1:53', '-r', '10.0.1.2:5300', '-m', '-w', '4');
  inside('ipvsadm', '--set', '0', '0', '300');
  inside('bash', '-c', 'echo who >/dev/udp/198.51.100.1/53');

  const run = start(...INSIDE, ...program('drain', 'udp://198.51.100.1:53', '10.0.1.2:5300'));
  await until('drain sees the connection', () => run.text.includes('0 active, 1 inactive\n'));

  expect(table()).toContain('-a -u 198.51.100.1:53 -r 10.0.1.2:5300 -m -w 0');
  expect(run.child.exitCode).toBeNull();
});

test('drain deletes a destination whose last connection is gone', async () => {
  inside('ipvsadm', '-A', '-u', '198.51.100.1:53', '-s', 'rr');
  inside('ipvsadm', '-a', '-u', '198.51.100.1:53', '-r', '10.0.1.2:5300', '-m');
  inside('ipvsadm', '--set', '0', '0', '1');
  inside('bash', '-c', 'echo who >/dev/udp/198.51.100.1/53');

  const run = start(...INSIDE, ...program('drain', 'udp://198.51.100.1:53', '10.0.1.2:5300'));

  expect(await run.end).toBe(0);
  expect(run.text).toMatch(/0 active, 0 inactive\n10\.0\.1\.2:5300 is empty, and deleted\n$/);
  expect(table()).toEqual(['-A -u 198.51.100.1:53 -s rr']);
});

test('health takes a server that dies out of service, and back when it returns, while requests run', async () => {
  const web = (host: string, status: number): string => `
    require('node:http').createServer((request, response) => {
      response.writeHead(request.url === '/health' ? ${status} : 200);
      setTimeout(() => response.end('${host}'), 20);
    }).listen(8080, '${host}');`;
  const serve = (host: string, status = 200): Run =>
    start(...INSIDE, process.execPath, '-e', web(host, status));
  serve('10.0.1.2');
  const other = serve('10.0.2.2');
  serve('10.0.3.2', 500);
  const servers = ['10.0.1.2:8080/health', '10.0.2.2:8080', '10.0.3.2:8080/health'];
  const run = start(...INSIDE, ...program('health', WEB, ...servers));
  await until('both are well', () => run.text.includes('weights 1 1 0\n'));

  other.child.kill('SIGKILL');
  await until('it is found dead', () => run.text.includes('weights 1 0 0\n'));
  await until('it gets nothing', () =>
    table().includes('-a -t 198.51.100.1:80 -r 10.0.2.2:8080 -m -w 0'),
  );
  const requests = `
    (async () => {
      for (let i = 0; i < 10; i++) process.stdout.write(await (await fetch('http://198.51.100.1')).text() + ' ');
    })();`;
  expect(inside(process.execPath, '-e', requests)).toBe('10.0.1.2 '.repeat(10));

  serve('10.0.2.2');
  await until('it is well again', () => run.text.split('weights 1 1 0\n').length === 3);
  await until('it gets its share', () =>
    table().includes('-a -t 198.51.100.1:80 -r 10.0.2.2:8080 -m -w 1'),
  );
  run.child.kill('SIGTERM');
  expect(await run.end).toBe(0);
});

test('weights gives each destination what its load leaves, and none to one that is silent', async () => {
  const loads = `
    const { createServer } = require('node:http');
    for (const [host, load] of [['10.0.1.2', '0.25'], ['10.0.2.2', '1']]) {
      createServer((request, response) => response.end(load)).listen(8080, host);
    }`;
  start(...INSIDE, process.execPath, '-e', loads);
  inside('ipvsadm', '-A', '-t', '198.51.100.1:80', '-s', 'wrr');
  for (const address of ['10.0.1.2', '10.0.2.2', '10.0.3.2']) {
    inside('ipvsadm', '-a', '-t', '198.51.100.1:80', '-r', `${address}:8080`, '-m', '-w', '50');
  }

  const run = start(...INSIDE, ...program('weights', WEB));
  await until('the kernel has the weights', () => {
    const weights = table().map((line) => / -w (\d+)$/.exec(line)?.[1]);
    return weights.join() === ',75,1,0';
  });
  run.child.kill('SIGINT');
  expect(await run.end).toBe(0);
});

test('unit-test needs no kernel and passes', async () => {
  const run = start(process.execPath, '--test', join(PROGRAMS, 'unit-test.js'));

  expect(await run.end).toBe(0);
  expect(run.text).toMatch(/^# pass 2$/m);
});

test('the demo tells its story, loses no request and leaves nothing behind', async () => {
  const run = start(...program('demo/main'));

  const status = await run.end;
  expect({ status, text: run.text }).toEqual({ status: 0, text: run.text });
  expect(run.text.match(/^\d\. .*$/gm)).toEqual([
    '1. Tell the kernel',
    '2. Send requests',
    '3. Change a weight while requests go on',
    '4. Take a server away, and lose nothing',
    '5. Ask the kernel what it counted',
  ]);
  expect(run.text).toContain('16 changes done; the kernel now has 4 services.');
  expect(run.text.match(/All answered, and shared out evenly\./g)).toHaveLength(4);
  expect(run.text).toMatch(/The client sent (\d+) requests, the kernel balanced \1, 0 failed\./);
  expect(run.text).toMatch(/^\$? *tcp:\/\/198\.51\.100\.1:80 /m);
  // Not a terminal: nothing is drawn over.
  expect(run.text).not.toContain('\x1b');
  expect(demoNamespaces()).toEqual([]);
});

test('the demo, broken off, ends at once and leaves nothing behind', async () => {
  const run = start(...program('demo/main'));
  await until('requests are sent', () => run.text.includes('2. Send requests'));
  run.child.kill('SIGINT');

  expect(await run.end).toBe(130);
  expect(demoNamespaces()).toEqual([]);
});
