// The Kubernetes demo, as `npm run demo:kube` runs it, as root where there is IPVS: two nodes, pods and a client outside; the
// services of a small shop put on a node, asked from everywhere, and kept going while a pod leaves. Exit status 0 when all
// went as told, 1 when not.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openNode } from 'ipvs/node';
import { end, ready, startIn } from '../demo/netns';
import { heading, print, say } from '../demo/screen';
import { Traffic } from '../demo/traffic';
import { Story } from './chapters';
import { CLIENT, makeHosts, NODE, PODS, removeHosts } from './hosts';

const children: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'ipvs-demo-kube-'));

async function main(): Promise<number> {
  introduce();
  makeHosts();
  const [ash, ...others] = PODS.map((pod) => startIn(pod, 'server.js', [pod.name, 'seen']));
  const [pod, node, outside] = [PODS[0] ?? NODE, NODE, CLIENT].map((host) =>
    startIn(host, 'client.js'),
  );
  if (ash === undefined || pod === undefined || node === undefined || outside === undefined)
    throw new Error('a host is missing');
  children.push(ash, ...others, pod, node, outside);
  const clients = {
    pod: new Traffic(pod),
    node: new Traffic(node),
    outside: new Traffic(outside),
  };
  const ended = Promise.race(children.filter((child) => child !== ash).map(end));
  await Promise.race([ended, Promise.all(children.map(ready))]);
  return Promise.race([ended, tell(clients, () => ash.kill())]);
}

async function tell(
  clients: Readonly<Record<'pod' | 'node' | 'outside', Traffic>>,
  stopAsh: () => void,
): Promise<number> {
  await using node = await openNode({ netns: NODE.netns, record: join(folder, 'node.json') });
  const story = new Story(node, clients);
  await story.program();
  await story.ask();
  await story.leave(stopAsh);
  await story.takeBack();
  return story.failures === 0 ? 0 : 1;
}

function introduce(): void {
  print('');
  heading('Kubernetes services, by IPVS');
  say(`A service of a cluster is an address that no machine has. Each node must turn what goes there
    to one of the pods behind it. This program does so for one node, worker-1: from Services and
    EndpointSlices to IPVS, ip sets, rules and addresses.`);
  print(
    '    client ───── worker-1 ───── worker-2 ───── oak',
    '    203.0.113.2  192.168.0.1    192.168.0.2    10.2.1.2',
    '                  ├──── ash  10.1.1.2',
    '                  └──── elm  10.1.2.2',
    '',
  );
  say(`These are six hosts, each a network namespace on Linux ${release()}: two nodes, three pods
    with a small server each, and a client outside the cluster.`);
}

function leave(status: number): never {
  for (const child of children) child.kill();
  removeHosts();
  rmSync(folder, { recursive: true, force: true });
  process.exit(status);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => leave(128 + constants.signals[signal]));
}

main().then(leave, (error: unknown) => {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  leave(1);
});
