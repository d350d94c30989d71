// externalLocal: 'separate' with real packets: a node with a pod of its own, a pod elsewhere, a client outside. Whoever is
// inside reaches both pods, the client only the one of this node, and both are seen with their own address.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { ipsetRestore, ipvsProgram, serviceMap, type NodeProgram } from '../../lib/kube';
import { Namespace } from './helpers';

const VIRTUAL = '198.51.100.10';
const view = { name: 'here', addresses: ['192.168.0.2'] };

let node: Namespace;
let local: Namespace;
let remote: Namespace;
let client: Namespace;
let servers: ChildProcess[] = [];

beforeEach(() => {
  [node, local, remote, client] = [
    new Namespace(),
    new Namespace(),
    new Namespace(),
    new Namespace(),
  ];
  connect(local, '10.1.0.1/24', '10.1.0.5/24', 'pod');
  connect(remote, '10.1.9.1/24', '10.1.9.9/24', 'far');
  connect(client, '192.168.0.2/24', '192.168.0.9/24', 'out');
  local.ip('route', 'add', 'default', 'via', '10.1.0.1');
  client.ip('route', 'add', 'default', 'via', '192.168.0.2');
  // The other node's pod answers pods through this node, and strangers through its own, which is not there.
  remote.ip('route', 'add', '10.1.0.0/24', 'via', '10.1.9.1');
  // Its settings are there once IPVS is.
  node.openSync().close();
  for (const setting of ['net.ipv4.ip_forward=1', 'net.ipv4.vs.conntrack=1'])
    node.run('sysctl', '-qw', setting);
  servers = [local, remote].map((pod) => serve(pod));
});
afterEach(() => {
  for (const server of servers) server.kill();
  for (const each of [node, local, remote, client]) each.delete();
});

function connect(other: Namespace, here: string, there: string, name: string): void {
  node.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other.name);
  node.ip('addr', 'add', here, 'dev', name);
  node.ip('link', 'set', name, 'up');
  other.ip('addr', 'add', there, 'dev', 'eth0');
  other.ip('link', 'set', 'eth0', 'up');
}

// Tells who answered, and as whom the client was seen.
const SERVER = `require('net').createServer((socket) => socket.end(socket.localAddress + ' saw ' + socket.remoteAddress))
  .listen(8080, '0.0.0.0', () => process.stdout.write('ready'))`;

function serve(pod: Namespace): ChildProcess {
  return spawn('ip', ['netns', 'exec', pod.name, process.execPath, '-e', SERVER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

const CLIENT = `const ask = () => new Promise((resolve) => {
  const socket = require('net').connect({ host: process.argv[1], port: 80 });
  const timer = setTimeout(() => { socket.destroy(); resolve('nothing'); }, 1500);
  socket.on('data', (data) => { clearTimeout(timer); resolve(String(data)); });
  socket.on('error', (error) => { clearTimeout(timer); resolve(error.code); });
});
Promise.all([ask(), ask(), ask(), ask()]).then((said) => console.log(said.sort().join('\\n')));`;

/** What four connections come to, each kind once. */
function ask(from: Namespace): string[] {
  const said = from.run(process.execPath, '-e', CLIENT, VIRTUAL).trimEnd().split('\n');
  return [...new Set(said)];
}

function programOf(...addresses: readonly (readonly [string, string])[]): NodeProgram {
  const service = {
    metadata: { namespace: 'shop', name: 'web' },
    spec: {
      type: 'LoadBalancer',
      clusterIP: '172.30.0.10',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
      ports: [{ name: 'http', port: 80 }],
    },
    status: { loadBalancer: { ingress: [{ ip: VIRTUAL }] } },
  };
  const slice = {
    metadata: { namespace: 'shop', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: addresses.map(([address, nodeName]) => ({ addresses: [address], nodeName })),
  };
  const options = {
    clusterCIDRs: ['10.0.0.0/8'],
    families: ['ipv4'],
    externalLocal: 'separate',
  } as const;
  return ipvsProgram(serviceMap([service], [slice], view), view, options);
}

function apply(program: NodeProgram): void {
  const feed = (input: string, ...command: readonly string[]): void => {
    execFileSync('ip', ['netns', 'exec', node.name, ...command], {
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  };
  node.ip('link', 'add', 'kube-ipvs0', 'type', 'dummy');
  for (const address of program.addresses)
    node.ip('addr', 'add', `${address}/32`, 'dev', 'kube-ipvs0');
  feed(ipsetRestore(program.sets), 'ipset', 'restore', '-exist');
  feed(program.rules.ipv4 ?? '', 'iptables-legacy-restore', '--noflush');
  for (const { table, from, to } of program.jumps)
    node.run('iptables-legacy', '-t', table, '-I', from, '-j', to);
  using ipvs = node.openSync();
  for (const { destinations, ...service } of program.servers) {
    ipvs.addService(service);
    for (const destination of destinations) ipvs.addDestination(service, destination);
  }
}

async function ready(): Promise<void> {
  await Promise.all(
    servers.map((server) => new Promise((resolve) => server.stdout?.once('data', resolve))),
  );
}

test('outside: this node’s pod alone; inside: every pod; the node itself: every pod, masqueraded', async () => {
  apply(programOf(['10.1.0.5', 'here'], ['10.1.9.9', 'there']));
  await ready();
  expect(ask(client)).toEqual(['10.1.0.5 saw 192.168.0.9']);
  const seen = ask(local);
  // A pod that reaches itself is seen as the node: it would not answer itself otherwise.
  expect(seen).toEqual(['10.1.0.5 saw 10.1.0.1', '10.1.9.9 saw 10.1.0.5']);
  const own = ask(node);
  expect(own.map((line) => line.split(' ')[0])).toEqual(['10.1.0.5', '10.1.9.9']);
  expect(own.join()).not.toContain(VIRTUAL);
});

test('without a pod here: outside gets nothing and may try another node, inside goes on', async () => {
  apply(programOf(['10.1.9.9', 'there']));
  await ready();
  expect(ask(client)).toEqual(['nothing']);
  expect(ask(local)).toEqual(['10.1.9.9 saw 10.1.0.5']);
});

test('without any pod: refused at once', async () => {
  apply(programOf());
  await ready();
  expect(ask(client)).toEqual(['ECONNREFUSED']);
  expect(ask(local)).toEqual(['ECONNREFUSED']);
});
