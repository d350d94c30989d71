// The demo, as `npm run demo` runs it, as root where there is IPVS: makes five hosts, lets real requests run between
// them, and changes where they go. Exit status 0 when all went as told, 1 when not.
import { spawnSync, type ChildProcess } from 'node:child_process';
import { constants, release } from 'node:os';
import { dirname, join } from 'node:path';
import { open } from 'ipvs';
import { changeWeight, compareCounts, drain, programKernel, spread } from './chapters';
import { CLIENT, DIRECTOR, makeHosts, removeHosts, SERVERS, VIRTUAL } from './hosts';
import { end, ready, startIn } from './netns';
import { colour, heading, print, say } from './screen';
import { readServers } from './services';
import { Stage } from './stage';
import { Traffic } from './traffic';

const children: ChildProcess[] = [];

async function main(): Promise<number> {
  introduce();
  makeHosts();
  const client = startIn(CLIENT, 'client.js');
  children.push(client, ...SERVERS.map((host) => startIn(host, 'server.js', [host.name])));
  const ended = Promise.race(children.map(end));
  await Promise.race([ended, Promise.all(children.map(ready))]);
  return Promise.race([ended, tell(client)]);
}

async function tell(client: ChildProcess): Promise<number> {
  await using ipvs = await open({ netns: DIRECTOR.netns });
  const stage = new Stage(ipvs, new Traffic(client));
  const servers = readServers();
  const [web] = servers;
  if (web === undefined) throw new Error('services.yaml asks for no service');

  await programKernel(stage, servers);
  await spread(stage, servers);
  const { heavier, load } = await changeWeight(stage, web);
  await drain(stage, heavier, load);
  await compareCounts(stage, servers);
  showTable();
  return stage.failures === 0 ? 0 : 1;
}

function introduce(): void {
  print('');
  heading('IPVS, the load balancer inside the Linux kernel');
  say(`A client asks one address, and the kernel sends it on to one of several servers, packet by
    packet: no proxy program stands in between. This program only tells the kernel what to do, through
    the Node.js library ipvs, and watches.`);
  const place = (text: string): string => text.padEnd(17);
  const cable = (name: string): string => `${name} `.padEnd(16, '─');
  const [ash = '', elm = '', oak = ''] = SERVERS.map(({ name, ipv4 }) => `${name}  ${ipv4}`);
  print(
    `    ${cable('client')} ${cable('director')}──── ┬──  ${ash}`,
    `    ${place(CLIENT.ipv4)}${place(VIRTUAL.ipv4)}    ├──  ${elm}`,
    `    ${place(CLIENT.ipv6)}${place(VIRTUAL.ipv6)}    └──  ${oak}`,
    '',
  );
  say(`These are five hosts, each a network namespace on Linux ${release()}. A small Node.js server
    runs on each of the three, and the director's kernel has IPVS.`);
}

/** The command that comes with the library, on the same table. */
function showTable(): void {
  const root = dirname(require.resolve('ipvs/package.json'));
  const args = ['list', '--netns', DIRECTOR.netns, '--stats'];
  print(`  $ ${colour('bold', `ipvs ${args.join(' ')}`)}`, '');
  const command = join(root, 'dist', 'cli', 'main.js');
  const { status } = spawnSync(process.execPath, [command, ...args], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`ipvs list ended with status ${status ?? 'none'}`);
  print('');
}

function leave(status: number): never {
  for (const child of children) child.kill();
  removeHosts();
  process.exit(status);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => leave(128 + constants.signals[signal]));
}

main().then(leave, (error: unknown) => {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  leave(1);
});
