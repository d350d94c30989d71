// Endpoints that leave a node while clients are connected to them: what the kernel has then, and what the clients notice.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ipvsProgram, serviceMap, type NodeProgram } from '../../lib/kube';
import { openNode, type Node } from '../../lib/node';
import { endpoint, service, slice } from '../kube/objects';
import { Namespace, run } from './helpers';

const LEAVING = '172.30.0.10:80 -r 10.1.0.5:8080';

/** A service of TCP and UDP with these endpoints on port 8080. */
function programOf(...endpoints: readonly string[]): NodeProgram {
  const view = { name: 'here', addresses: ['10.1.0.1'] };
  const ports = ['TCP', 'UDP'].map((protocol) => ({ name: protocol.toLowerCase(), protocol }));
  const map = serviceMap(
    [service({ ports: ports.map((port) => ({ ...port, port: 80 })) })],
    [
      {
        ...slice(endpoints.map((address) => endpoint(address, 'here'))),
        ports: ports.map((port) => ({ ...port, port: 8080 })),
      },
    ],
    view,
  );
  return ipvsProgram(map, view, { families: ['ipv4'] });
}

let host: Namespace;
let pod: Namespace;
let folder: string;
let server: ChildProcess;
let clients: Client[];

beforeAll(async () => {
  folder = mkdtempSync('/tmp/ipvs-node-drain-');
  for (const name of ['dummy', 'iptable_nat']) run('modprobe', name);
  host = new Namespace();
  pod = new Namespace();
  host.ip('link', 'add', 'pod', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.name);
  host.ip('address', 'add', '10.1.0.1/24', 'dev', 'pod');
  host.ip('link', 'set', 'pod', 'up');
  for (const address of ['10.1.0.5/24', '10.1.0.6/24'])
    pod.ip('address', 'add', address, 'dev', 'eth0');
  pod.ip('link', 'set', 'eth0', 'up');
  server = start(
    pod,
    `require('net').createServer((socket) => socket.on('error', () => 0).pipe(socket)).listen(8080, () => console.log('ready'))`,
  );
  await once(server.stdout as NodeJS.EventEmitter, 'data');
});
afterAll(() => {
  server.kill();
  host.delete();
  pod.delete();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  clients = [];
  await withNode((node) => node.apply(programOf('10.1.0.5'), { drain: 0 }));
});
afterEach(() => {
  for (const client of clients) client.end();
});

function start(where: Namespace, program: string): ChildProcess {
  return spawn('ip', ['netns', 'exec', where.name, process.execPath, '-e', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** A client on the node with one connection through the service, that asks when it is told to, and is reset in the end. */
class Client {
  readonly #child = start(
    host,
    `const socket = require('net').connect(80, '172.30.0.10');
     process.stdin.on('data', (data) => socket.write(data)).on('end', () => { socket.resetAndDestroy(); process.exit(); });
     socket.on('data', (data) => process.stdout.write(data)).on('error', (error) => console.log(error.code));`,
  );

  constructor() {
    clients.push(this);
  }

  /** What it is answered; itself as a rule. */
  async say(words: string): Promise<string> {
    this.#child.stdin?.write(words);
    const [answer] = (await once(this.#child.stdout as NodeJS.EventEmitter, 'data')) as [Buffer];
    return answer.toString();
  }

  end(): void {
    this.#child.stdin?.end();
  }
}

/** A node of a process that knows of others before it only by the record. */
async function withNode<T>(use: (node: Node) => Promise<T>): Promise<T> {
  await using node = await openNode({
    netns: host.name,
    record: path.join(folder, 'node.json'),
  });
  return await use(node);
}

/** The destinations of the service, as ipvsadm saves them. */
function destinations(protocol: '-t' | '-u'): string[] {
  const lines = host.ipvsadm('-S', '-n').split('\n');
  return lines.filter((line) => line.startsWith(`-a ${protocol} `));
}

/** A connection to the one endpoint, and then only another one wanted. */
async function leaveConnected(
  node: Node,
  options: { readonly drain?: number } = {},
): Promise<Client> {
  const client = new Client();
  expect(await client.say('before')).toBe('before');
  const { lines, draining } = await node.apply(programOf('10.1.0.6'), options);
  expect(lines).toContain('~ tcp://172.30.0.10:80 10.1.0.5:8080 weight 1 → 0 (drains)');
  expect(draining).toEqual(['tcp://172.30.0.10:80 10.1.0.5:8080']);
  return client;
}

test('its connections go on at weight 0 while it leaves, and a second apply changes nothing', async () => {
  await withNode(async (node) => {
    const client = await leaveConnected(node);
    expect(destinations('-t').sort()).toEqual([
      `-a -t ${LEAVING} -m -w 0`,
      '-a -t 172.30.0.10:80 -r 10.1.0.6:8080 -m -w 1',
    ]);
    const again = await node.apply(programOf('10.1.0.6'));
    expect(again).toMatchObject({ lines: [], draining: ['tcp://172.30.0.10:80 10.1.0.5:8080'] });
    expect(await client.say('after')).toBe('after');
  });
});

test('of UDP, and of TCP without connections, it goes with the first apply', async () => {
  await withNode(async (node) => {
    await node.apply(programOf('10.1.0.5', '10.1.0.7'));
    const { lines, draining } = await node.apply(programOf('10.1.0.5'));
    expect(lines).toEqual(
      expect.arrayContaining([
        '- udp://172.30.0.10:80 10.1.0.7:8080',
        '~ tcp://172.30.0.10:80 10.1.0.7:8080 weight 1 → 0 (drains)',
        '- tcp://172.30.0.10:80 10.1.0.7:8080',
      ]),
    );
    expect(draining).toEqual([]);
    expect([...destinations('-t'), ...destinations('-u')].join()).not.toContain('10.1.0.7');
    expect((await node.apply(programOf('10.1.0.5'))).lines).toEqual([]);
  });
});

test('wanted again while it drains, it has its weight back', async () => {
  await withNode(async (node) => {
    const client = await leaveConnected(node);
    const { draining } = await node.apply(programOf('10.1.0.5', '10.1.0.6'));
    expect(draining).toEqual([]);
    expect(destinations('-t')).toContain(`-a -t ${LEAVING} -m -w 1`);
    expect(await client.say('still here')).toBe('still here');
  });
});

test('out of time it goes with its connections, whichever process it began to drain in', async () => {
  await withNode((node) => leaveConnected(node));
  const { lines } = await withNode((node) => node.apply(programOf('10.1.0.6'), { drain: 1 }));
  expect(lines).toEqual(['- tcp://172.30.0.10:80 10.1.0.5:8080']);
  expect(destinations('-t').join()).not.toContain('10.1.0.5');
});

test('with `wait` the call ends when the last connection is gone, and the record knows of nothing any more', async () => {
  await withNode(async (node) => {
    const client = await leaveConnected(node);
    // The kernel remembers a connection that was reset for ten seconds.
    setTimeout(() => {
      client.end();
    }, 1000);
    const { lines, draining } = await node.apply(programOf('10.1.0.6'), { wait: true });
    expect(lines).toEqual(['- tcp://172.30.0.10:80 10.1.0.5:8080']);
    expect(draining).toEqual([]);
  });
  expect(await withNode((node) => node.apply(programOf('10.1.0.6')))).toMatchObject({ lines: [] });
});

test('with `wait` and a bound it ends when the time is up', async () => {
  await withNode(async (node) => {
    await leaveConnected(node);
    const began = performance.now();
    await node.apply(programOf('10.1.0.6'), { wait: true, drain: 3000 });
    expect(performance.now() - began).toBeLessThan(9000);
    expect(destinations('-t').join()).not.toContain('10.1.0.5');
  });
});

test('with `drain: 0`, and when its service leaves too, it goes at once', async () => {
  await withNode(async (node) => {
    await new Client().say('hello');
    await node.apply(programOf('10.1.0.6'), { drain: 0 });
    expect(destinations('-t').join()).not.toContain('10.1.0.5');
    await new Client().say('hello again');
    const none = { ...programOf(), servers: [], addresses: [] };
    expect((await node.apply(none)).draining).toEqual([]);
    expect(host.ipvsadm('-S', '-n')).toBe('');
  });
});

test('what was shown is what is done: nothing if it is refused, or if another apply came in between', async () => {
  await withNode(async (node) => {
    const no = Promise.reject(new Error('no'));
    await expect(node.apply(programOf('10.1.0.6'), { approve: () => no })).rejects.toThrow('no');
    const meanwhile = node.apply(programOf('10.1.0.6'), {
      approve: async ({ lines }) => {
        expect(lines).toContain('+ tcp://172.30.0.10:80 10.1.0.6:8080 forward masq weight 1');
        await withNode((other) => other.apply(programOf('10.1.0.5', '10.1.0.7')));
      },
    });
    await expect(meanwhile).rejects.toMatchObject({
      code: 'EAGAIN',
      done: [],
      message: expect.stringContaining('another program is at work on the node') as unknown,
    });
    expect(destinations('-t').join()).not.toContain('10.1.0.6');
  });
});
