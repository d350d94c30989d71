// The two ways to put the services of kube-world.ts on its node.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { iptablesProgram } from '../../lib/iptables';
import { ipvsProgram, type IpvsProgramOptions, type ServiceMap } from '../../lib/kube';
import { openNode } from '../../lib/node';
import { FAMILIES, sysctl, VIEW, type World } from './kube-world';

/** What both kinds of program are told of local traffic. */
export type Detection = Pick<IpvsProgramOptions, 'clusterCIDRs' | 'detectLocal' | 'masqueradeAll'>;

/** Applies IPVS programs to the node of a world; where it records what it did lasts as long as this. */
export class IpvsMode implements Disposable {
  readonly #folder = mkdtempSync('/tmp/ipvs-kube-');

  async apply(world: World, map: ServiceMap, options: IpvsProgramOptions): Promise<void> {
    const program = ipvsProgram(map, VIEW, options);
    const netns = world.node.namespace.name;
    await using node = await openNode({ netns, record: path.join(this.#folder, 'node.json') });
    const { problems } = await node.apply(program);
    expect(problems).toEqual([]);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** Writes iptables rules on the node of a world, over those of before. */
export function applyRules({ node }: World, map: ServiceMap, options: Detection): void {
  const { namespace } = node;
  const program = iptablesProgram(map, VIEW, options);
  expect(program.problems).toEqual([]);
  if (program.routeLocalnet) sysctl(namespace, 'net.ipv4.conf.all.route_localnet=1');
  for (const family of FAMILIES) {
    const iptables = family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy';
    const jumps = (program.jumps[family] ?? []).map(
      ({ table, from, to, match, comment }) =>
        `*${table}\n-I ${from} ${match}${comment && ` -m comment --comment "${comment}"`} -j ${to}\nCOMMIT\n`,
    );
    const input = (program.rules[family] ?? '') + jumps.join('');
    execFileSync('ip', ['netns', 'exec', namespace.name, `${iptables}-restore`, '--noflush'], {
      input,
    });
  }
}
