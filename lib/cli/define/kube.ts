// The commands that concern Kubernetes.
import { Option, type Command } from 'commander';
import type { MapFlags } from '../commands/kube';
import type { ApplyFlags, NodeFlags } from '../commands/kube-node';
import type { DiffFlags } from '../commands/kube-diff';
import type { ImportFlags } from '../commands/kube-import';
import { lazy } from '../lazy';
import { decimal } from '../numbers';
import type { Scope } from '../program';
import { WrongUse } from '../wrong';

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
  addNodeCommands(kube, scope);
  addMigrationCommands(kube, scope);
}

function addMigrationCommands(kube: Command, scope: Scope): void {
  const diff = scope.command(
    kube,
    'diff',
    'Compare what kube-proxy has on this node with a cluster',
  );
  addInputOptions(diff);
  addRuleOptions(diff);
  diff
    .option('--ipvsadm-save <file>', 'what ipvsadm -S -n prints, of kube-proxy in IPVS mode')
    .addHelpText('after', DIFF_NOTES);
  diff.action((flags: DiffFlags) =>
    scope.without(diff, (printer) => {
      const given = [...flags.file, ...(flags.iptablesSave ?? []), flags.ipvsadmSave ?? ''];
      if (given.filter((name) => name === '-').length > 1)
        throw new WrongUse('-: stdin can be read once: give files for the others');
      const { netns } = scope.options(diff);
      return lazy.commands.kubeDiff().diffKube(scope.io, printer, flags, netns);
    }),
  );
  const from = scope.command(
    kube,
    'import',
    "Print services of kube-proxy's iptables mode as a state",
  );
  addRuleOptions(from);
  from
    .option('--node-address <addresses>', 'where node ports are to be, apart by commas', list)
    .option('--scheduler <name>', 'how destinations are chosen (default: rr, or wrr by weights)')
    .addOption(
      new Option(
        '--output <form>',
        'a state file as yaml (the default) or json; or lines of ipvsadm',
      ).choices(['yaml', 'json', 'save']),
    )
    .addHelpText('after', IMPORT_NOTES);
  from.action((flags: ImportFlags) =>
    scope.without(from, async () => {
      const { netns } = scope.options(from);
      await lazy.commands.kubeImport().importKube(scope.io, flags, netns);
      return 0;
    }),
  );
}

const DIFF_NOTES = `
Without --iptables-save and --ipvsadm-save the node itself is looked at: the rules of kube-proxy's iptables mode, or where
there are none, IPVS. + is missing on the node, - is extra there, ~ is different. Nothing is changed.

Exit status: 0 the same, 1 different, 2 trouble.`;

const IMPORT_NOTES = `
Without --iptables-save the rules of this node are read. What no state can say is named on stderr. Nothing is changed.`;

function addRuleOptions(command: Command): void {
  command
    .option(
      '--iptables-save <file>',
      'what iptables-save or ip6tables-save prints, or - for stdin; may be repeated',
      (text: string, before?: readonly string[]) => [...(before ?? []), text],
    )
    .option('--prefix <name>', 'what the names of chains begin with (default: KUBE)');
}

function addNodeCommands(kube: Command, scope: Scope): void {
  const apply = scope.command(kube, 'apply', 'Program this node as a cluster says');
  addInputOptions(apply);
  addNodeOptions(apply);
  apply
    .option('--managed <cidrs>', 'where every service is ours, whoever made it', list)
    .option('--strict-arp', 'answer ARP for addresses of the device itself alone')
    .addOption(
      new Option(
        '--drain <seconds>',
        'what leaves keeps its connections this long at most; 0: it goes at once (default: 900)',
      ).argParser(decimal('--drain')),
    )
    .option('--wait', 'end when nothing drains any more')
    .option('--dry-run', 'show what would be done, and do nothing');
  apply.action((flags: ApplyFlags) =>
    scope.without(apply, async (printer) => {
      const { netns } = scope.options(apply);
      await lazy.commands.kubeNode().applyKube(scope.io, printer, flags, netns);
      return 0;
    }),
  );
  const cleanup = scope.command(kube, 'cleanup', 'Take back everything that apply did');
  addNodeOptions(cleanup);
  cleanup.action((flags: NodeFlags) => {
    if (flags.yes !== true) lazy.ask().mustBeAskable(scope.io);
    return scope.without(cleanup, async (printer) => {
      const { netns } = scope.options(cleanup);
      await lazy.commands.kubeNode().cleanupKube(scope.io, printer, flags, netns);
      return 0;
    });
  });
}

function addNodeOptions(command: Command): void {
  command
    .option('--device <name>', 'the dummy device that has the addresses (default: kube-ipvs0)')
    .option('--record <file>', 'where what was done is kept (default: /run/ipvs/node.json)')
    .option('-y, --yes', 'do not ask');
}

function list(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(',').map((each) => each.trim())];
}

type Add = (flags: string, words: string) => Option;

function adder(command: Command): Add {
  return (flags, words) => {
    const option = new Option(flags, words);
    command.addOption(option);
    return option;
  };
}

/** What says which cluster, which node, and how it is served by IPVS. */
export function addInputOptions(command: Command): void {
  const add = adder(command);
  addFiles(
    command,
    'what kubectl get services,endpointslices -A -o json or -o yaml prints: a file, a folder, or - for stdin; may be repeated',
  );
  addClusterOptions(command);
  add('--scheduler <name>', 'how destinations are chosen (default: rr)');
  add('--no-reject', 'do not refuse connections to ports without endpoints');
  add(
    '--external-local <how>',
    'policy Local: outside and inside traffic shared in one virtual service, or separate',
  ).choices(['shared', 'separate']);
  add('--icmp-echo', 'let service addresses answer a ping');
}

/** Files, of which there may be several. */
export function addFiles(command: Command, words: string): void {
  adder(command)('-f, --file <file>', words)
    .argParser((text, before?: readonly string[]) => [...(before ?? []), text])
    .makeOptionMandatory();
}

/** What says which node, and what of a cluster counts for it. */
export function addClusterOptions(command: Command): void {
  const add = adder(command);
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
  add('--masquerade-all', 'masquerade everything that goes to a cluster IP');
  add('--family <family>', 'of one family only').choices(['ipv4', 'ipv6']);
  add('--proxy-name <name>', 'services labelled for this proxy, instead of those without a label');
}
