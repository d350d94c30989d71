// The commands that serve by iptables instead of IPVS.
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ApplyFlags, PlaceFlags, SourceFlags } from '../commands/iptables';
import { lazy } from '../lazy';
import type { Scope } from '../program';
import { addClusterOptions, addFiles } from './kube';
import { networks } from './state';

export function addIptablesCommands(program: Command, scope: Scope): void {
  const iptables = scope.command(program, 'iptables', 'Serve by iptables, where there is no IPVS');

  const render = scope.command(iptables, 'render', 'Print what iptables-restore would be told');
  addSource(render);
  addPrefix(render);
  render.addHelpText('after', RENDER_NOTES);
  render.action((flags: SourceFlags) =>
    scope.without(render, async (printer) => {
      await lazy.commands.iptables().render(scope.io, printer, flags);
      return 0;
    }),
  );

  const apply = scope.command(iptables, 'apply', 'Make the rules of this host what a file says');
  addSource(apply);
  addPlace(apply);
  apply
    .addOption(
      new Option(
        '--prune <cidr...>',
        'delete the services in these networks that the state does not have',
      ).argParser(networks),
    )
    .option('--dry-run', 'show which rules would come and go, and change nothing')
    .option('-y, --yes', 'do not ask before services or chains are deleted');
  apply.addHelpText('after', APPLY_NOTES);
  apply.action((flags: ApplyFlags) =>
    scope.without(apply, async (printer) => {
      const { netns } = scope.options(apply);
      await lazy.commands.iptables().apply(scope.io, printer, flags, netns);
      return 0;
    }),
  );

  const cleanup = scope.command(iptables, 'cleanup', 'Take away everything that apply did');
  addPlace(cleanup);
  cleanup.addOption(
    new Option('--family <family>', 'of one family only').choices(['ipv4', 'ipv6']),
  );
  cleanup.option('-y, --yes', 'do not ask');
  cleanup.action((flags: PlaceFlags) => {
    if (flags.yes !== true) lazy.ask().mustBeAskable(scope.io);
    return scope.without(cleanup, async (printer) => {
      const { netns } = scope.options(cleanup);
      await lazy.commands.iptables().cleanup(scope.io, printer, flags, netns);
      return 0;
    });
  });
}

function addSource(command: Command): void {
  addFiles(
    command,
    'a state file (YAML or JSON; - is stdin); with --kube what kubectl get services,endpointslices -A -o json prints, may be repeated',
  );
  command
    .option('--approximate', 'serve what rules can only come near to, such as least connections')
    .option('--kube', 'the files are of a Kubernetes cluster, as --node sees it');
  addClusterOptions(command);
}

function addPlace(command: Command): void {
  addPrefix(command);
  command.addOption(
    new Option('--variant <variant>', 'which iptables (default: the one in use)').choices([
      'nft',
      'legacy',
    ]),
  );
}

function addPrefix(command: Command): void {
  command.addOption(
    new Option(
      '--prefix <prefix>',
      'what the names of our chains begin with (default: IPVS)',
    ).argParser((text: string) => {
      if (/^[A-Z][A-Z0-9]{0,6}$/.test(text)) return text;
      throw new InvalidArgumentError('Use up to 7 capital letters and digits');
    }),
  );
}

const RENDER_NOTES = `
Each chain stands there whole; the rules that lead to them from the built-in chains come last in each table, for a
host that has none of them yet. Apply writes only what is not there.

Example:
  ipvs iptables render -f web.yaml --family ipv4 | iptables-restore --noflush --test`;

const APPLY_NOTES = `
Services of the state get its settings and destinations, those that it does not have are left alone, but for those in
--prune. With --kube the rules become those of the cluster, and what they no longer need goes. Rules of others are
left alone; what somebody changed in our chains is repaired. Where both variants of iptables have rules, the one with
our chains is used, or the one with more; a line on stderr says so.

Examples:
  ipvs iptables apply -f web.yaml --dry-run
  kubectl get services,endpointslices -A -o json | ipvs iptables apply --kube -f - --node "$HOSTNAME" --yes`;
