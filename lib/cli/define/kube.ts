// The commands that concern Kubernetes.
import { Option, type Command } from 'commander';
import type { MapFlags } from '../commands/kube';
import { lazy } from '../lazy';
import type { Scope } from '../program';

const OUTPUTS = ['json', 'yaml', 'save', 'iptables', 'ipset'];

export function addKubeCommands(program: Command, scope: Scope): void {
  const kube = scope.command(program, 'kube', 'Serve Kubernetes services by IPVS');
  const map = scope.command(kube, 'map', 'Print what a node would be programmed with');
  addInputOptions(map);
  map.addOption(
    new Option(
      '--output <form>',
      'everything as json (the default) or yaml; or the part that ipvsadm -R (save), iptables-restore or ipset restore takes',
    ).choices(OUTPUTS),
  );
  map.action((flags: MapFlags) =>
    scope.without(map, async () => {
      await lazy.commands.kube().map(scope.io, flags);
      return 0;
    }),
  );
}

/** What says which cluster, which node, and how. */
export function addInputOptions(command: Command): void {
  const list = (text: string, before: readonly string[] = []): readonly string[] => [
    ...before,
    ...text.split(',').map((each) => each.trim()),
  ];
  const add = (flags: string, words: string): Option => {
    const option = new Option(flags, words);
    command.addOption(option);
    return option;
  };
  add(
    '-f, --file <file>',
    'what kubectl get services,endpointslices -A -o json or -o yaml prints: a file, a folder, or - for stdin; may be repeated',
  )
    .argParser((text, before?: readonly string[]) => [...(before ?? []), text])
    .makeOptionMandatory();
  add(
    '--config <file>',
    "a KubeProxyConfiguration, or kube-proxy's ConfigMap; options go before it",
  );
  add('--node <name>', 'the node to program, as it is called in the endpoints');
  add('--zone <name>', "the node's zone, for topology hints");
  add(
    '--node-address <addresses>',
    "the node's addresses, apart by commas; its own one first",
  ).argParser(list);
  add(
    '--node-port-addresses <cidrs>',
    "where node ports are open, or 'primary' (default: everywhere)",
  ).argParser(list);
  add('--cluster-cidr <cidrs>', 'where pods have their addresses, one range a family').argParser(
    list,
  );
  add('--scheduler <name>', 'how destinations are chosen (default: rr)');
  add('--masquerade-all', 'masquerade everything that goes to a cluster IP');
  add('--family <family>', 'of one family only').choices(['ipv4', 'ipv6']);
  add('--proxy-name <name>', 'services labelled for this proxy, instead of those without a label');
  add('--no-reject', 'do not refuse connections to ports without endpoints');
  add(
    '--external-local <how>',
    'policy Local: outside and inside traffic shared in one virtual service, or separate',
  ).choices(['shared', 'separate']);
  add('--icmp-echo', 'let service addresses answer a ping');
}
