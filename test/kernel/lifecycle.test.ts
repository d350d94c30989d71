// How a process may end, and what may be done to a client, without a crash, a hang or a broken table. The programs run
// as processes of their own, so that a crash is a signal and not the end of the tests.
import { spawn } from 'node:child_process';
import path from 'node:path';
import type { VirtualServerStatus } from '../../lib';
import { Namespace } from './helpers';

const DEADLINE = 60_000;

let namespace: Namespace;

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly stdout: string;
}

/** Runs one of the programs to its end; SIGXCPU stands for a program that hangs. */
function run(program: string, args: readonly string[] = [], flags: string[] = []): Promise<End> {
  const file = path.join(__dirname, 'programs', `${program}.js`);
  const child = spawn(process.execPath, [...flags, file, namespace.name, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: DEADLINE,
    killSignal: 'SIGXCPU',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
}

async function report<T>(...args: Parameters<typeof run>): Promise<T> {
  const { stdout, ...end } = await run(...args);
  expect(end).toEqual({ code: 0, signal: null, stderr: '' });
  return JSON.parse(stdout) as T;
}

function snapshot(): VirtualServerStatus[] {
  const client = namespace.openSync();
  try {
    return client.snapshot();
  } finally {
    client.close();
  }
}

jest.setTimeout(2 * DEADLINE);
// Afresh for each test: deleted destinations linger for minutes and make every addition slower.
beforeEach(() => {
  namespace = new Namespace();
});
afterEach(() => {
  namespace.delete();
});

describe.each(['opening', 'applying', 'applying in a worker', 'dumping', 'closing'])(
  'a process that ends while %s',
  (stage) => {
    test.each([
      ['exit', { code: 7, signal: null, stderr: '' }],
      ['kill', { code: null, signal: 'SIGKILL', stderr: '' }],
      ['terminate', { code: null, signal: 'SIGTERM', stderr: '' }],
      ['throw', { code: 1, signal: null, stderr: expect.stringContaining('on purpose') as string }],
      ['forget', { code: 0, signal: null, stderr: '' }],
    ])('by %s', async (end, expected) => {
      expect(await run('stages', [stage, end])).toEqual({ ...expected, stdout: '' });

      // Changes are made in order, so what is there is a beginning of what was asked for.
      const servers = snapshot();
      const ports = servers.map(({ destinations }) => destinations.length);
      expect(ports.filter((count) => count !== 5).length).toBeLessThanOrEqual(1);
      if (stage.startsWith('applying')) {
        expect(servers.length).toBeGreaterThan(0);
        if (end === 'forget') expect(servers).toHaveLength(10_000);
        else expect(servers.length).toBeLessThan(10_000);
      }

      const client = namespace.openSync();
      const service = { protocol: 'tcp', address: '10.9.9.9', port: 443 } as const;
      client.addService(service);
      client.addDestination(service, { address: '192.0.2.99', port: 8443 });
      expect(client.destinations(service)).toHaveLength(1);
      client.flush();
      expect(client.services()).toEqual([]);
      client.close();
    });
  },
);

describe('worker threads', () => {
  test('terminated with 200 calls in flight each', async () => {
    const { codes, services } = await report<{ codes: number[]; services: number }>('workers', [
      'terminate',
    ]);
    expect(codes).toEqual([1, 1, 1, 1, 1]);
    expect(services).toBe(5);
  });

  test('five at once, to their end', async () => {
    const { codes, services } = await report<{ codes: number[]; services: number }>('workers', [
      'finish',
    ]);
    expect(codes).toEqual([0, 0, 0, 0, 0]);
    expect(services).toBe(0);
  });
});

describe('closing', () => {
  test.each(['close', 'dispose', 'twice'])('with 50 calls in flight: %s', async (how) => {
    const { results, late, closed } = await report<{
      results: string[];
      late: { code: string; message: string };
      closed: boolean;
    }>('calls', [how]);
    expect(results).toHaveLength(50);
    for (const result of results) expect(['fulfilled', 'ERR_IPVS_CLOSED']).toContain(result);
    expect(results.lastIndexOf('fulfilled')).toBeLessThan(results.indexOf('ERR_IPVS_CLOSED'));
    expect(late).toEqual({
      code: 'ERR_IPVS_CLOSED',
      message: 'info: the client is closed: open another one',
    });
    expect(closed).toBe(true);
  });
});

describe('what is left over', () => {
  test('nothing of clients that were forgotten', async () => {
    const { before, after } = await report<{ before: number; after: number }>(
      'forgotten',
      [],
      ['--expose-gc'],
    );
    expect(after).toBe(before);
  });

  test('nothing of 2 000 that were opened and closed', async () => {
    interface Left {
      fds: number;
      rss: number;
    }
    const { before, after } = await report<{ before: Left; after: Left }>(
      'many',
      ['2000'],
      ['--expose-gc'],
    );
    expect(after.fds).toBe(before.fds);
    expect(after.rss - before.rss).toBeLessThan(8 << 20);
  });
});

describe('on the way out', () => {
  test.each(['beforeExit', 'exit'])('a handler of %s changes the table', async (event) => {
    const end = await run('handlers', [event]);
    expect(end).toEqual({ code: 0, signal: null, stdout: 'deleted\n', stderr: '' });
    expect(snapshot()).toEqual([]);
  });
});

test('abuse of the addon is refused', async () => {
  expect(await report('abuse')).toEqual({ refused: true });
});
