// The same cluster brought into the kernel both ways, timed: IPVS through openNode(), iptables through
// iptables-legacy-restore, as the lab's kernel has no nf_tables. Making the programs is not part of it.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { open, plan } from 'ipvs';
import { ipvsProgram, serviceMap, type NodeProgram, type ServiceMap } from 'ipvs/kube';
import { iptablesProgram, type IptablesProgram } from 'ipvs/iptables';
import { openNode } from 'ipvs/node';
import { median, timed } from '../measure';
import { SCRATCH } from '../places';
import type { Programming } from './results';
import { cluster, names, NODE, POD_CIDRS } from './world';

/** Programs both directors, then changes one endpoint of the service in the middle. */
export async function programBoth(services: number): Promise<Programming[]> {
  const map = mapOf(services);
  const changed = mapOf(services, services >> 1);
  return [await programIpvs(map, changed), await programIptables(map, changed)];
}

function mapOf(services: number, changed?: number): ServiceMap {
  const input = cluster(services, changed);
  const map = serviceMap(input.services, input.slices, NODE);
  if (map.ports.length !== services || map.problems.length > 0) {
    throw new RangeError(`${map.ports.length} ports: ${map.problems.join('\n')}`);
  }
  return map;
}

async function programIpvs(map: ServiceMap, changed: ServiceMap): Promise<Programming> {
  const netns = names('ipvs').director;
  const [before, after] = [map, changed].map((each) =>
    ipvsProgram(each, NODE, { clusterCIDRs: POD_CIDRS, families: ['ipv4'] }),
  ) as [NodeProgram, NodeProgram];
  await using node = await openNode({ netns, record: path.join(SCRATCH, `${netns}.json`) });
  await using ipvs = await open({ netns });
  const apply = async (program: NodeProgram): Promise<void> => {
    const { problems } = await node.apply(program);
    if (problems.length > 0) throw new Error(problems.join('\n'));
  };
  const change = async (from: NodeProgram, to: NodeProgram): Promise<number> => {
    const { changes } = plan(to.servers, from.servers, { owns: () => true });
    if (changes.length === 0) throw new RangeError('nothing has changed');
    return timed(() => ipvs.apply(changes));
  };
  const all = await timed(() => apply(before));
  const one = await thereAndBack(
    () => change(before, after),
    () => change(after, before),
  );
  return { path: 'ipvs', all, one, found: await timed(() => apply(after)) };
}

async function programIptables(map: ServiceMap, changed: ServiceMap): Promise<Programming> {
  const options = { clusterCIDRs: POD_CIDRS, families: ['ipv4'] } as const;
  const before = iptablesProgram(map, NODE, options);
  const after = before.update(changed);
  const there = after.rules.ipv4 ?? '';
  const back = after.program.update(map).rules.ipv4 ?? '';
  const all = await timed(() => {
    iptables('restore', withJumps(before), '--noflush');
  });
  const change = (text: string): Promise<number> =>
    timed(() => {
      iptables('restore', text, '--noflush');
    });
  const one = await thereAndBack(
    () => change(there),
    () => change(back),
  );
  const found = await timed(() => {
    iptables('save', '', '-t', 'nat');
    iptables('restore', there, '--noflush');
  });
  return { path: 'iptables', all, one, found };
}

/** The whole program, and the jumps from the kernel's own chains. */
function withJumps(program: IptablesProgram): string {
  let text = program.rules.ipv4 ?? '';
  for (const table of ['filter', 'nat']) {
    const lines = (program.jumps.ipv4 ?? [])
      .filter((jump) => jump.table === table)
      .map(({ from, to, match, comment }) => {
        const said = comment === '' ? '' : ` -m comment --comment "${comment}"`;
        return `-I ${from} 1 ${match}${said} -j ${to}\n`;
      });
    const ends = text.indexOf('COMMIT\n', text.indexOf(`*${table}\n`));
    text = text.slice(0, ends) + lines.join('') + text.slice(ends);
  }
  return text;
}

/** Once to warm up, then the median of five, all changes undone. */
async function thereAndBack(
  there: () => Promise<number>,
  back: () => Promise<number>,
): Promise<number> {
  const times: number[] = [];
  for (let turn = 0; turn <= 5; turn++) {
    times.push(await there());
    await back();
  }
  return median(times.slice(1));
}

function iptables(what: 'save' | 'restore', input: string, ...args: readonly string[]): void {
  const command = ['netns', 'exec', names('iptables').director, `iptables-legacy-${what}`];
  execFileSync('ip', [...command, ...args], {
    input,
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
  });
}
