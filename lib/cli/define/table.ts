// The commands that concern the table as a whole: list, info, timeouts, zero, flush.
import { Option, type Command } from 'commander';
import type { ServiceKey, Timeouts } from '../../model';
import { lazy } from '../lazy';
import { decimal } from '../numbers';
import type { Scope } from '../program';
import type { View } from '../views';
import { mustName, serviceArgument } from './arguments';

interface ListFlags extends Partial<Record<Exclude<View, 'connections'>, true>> {
  readonly exact?: true;
}

const VIEWS: readonly (readonly [Exclude<View, 'connections'>, string])[] = [
  ['stats', 'show what has passed: connections, packets, bytes'],
  ['rates', 'show what passes each second, averaged over some eight seconds'],
  ['thresholds', 'show at how many connections a destination gets no more'],
  ['tunnels', 'show how packets are encapsulated'],
  ['persistent', 'show how many clients are kept on a destination'],
];

export function addInfoCommand(program: Command, scope: Scope): void {
  const info = scope.command(
    program,
    'info',
    'Show the version of IPVS and the size of its connection table',
  );
  info.action(() =>
    scope.withClient(info, (client, printer) => lazy.commands.table().info(client, printer)),
  );
}

/** Commands that sweep over all there is: they ask first. */
export function addSweepCommands(program: Command, scope: Scope): void {
  const zero = scope
    .command(program, 'zero', 'Set the counters of one service to zero, or of all')
    .addArgument(serviceArgument('[service]'))
    .addOption(yes());
  zero.action((service: ServiceKey | undefined, { yes }: { yes?: true }) => {
    const answered = yes === true || service !== undefined;
    if (!answered) lazy.ask().mustBeAskable(scope.io);
    return scope.withClient(zero, (client) =>
      lazy.commands.table().zero(client, scope.io, service, answered),
    );
  });
  const flush = scope
    .command(program, 'flush', 'Delete every service with its destinations, whoever made it')
    .addOption(yes());
  flush.action(({ yes = false }: { yes?: boolean }) => {
    if (!yes) lazy.ask().mustBeAskable(scope.io);
    return scope.withClient(flush, (client) => lazy.commands.table().flush(client, scope.io, yes));
  });
}

function yes(): Option {
  return new Option('-y, --yes', 'do not ask');
}

export function addListCommand(program: Command, scope: Scope): void {
  const list = scope
    .command(program, 'list', 'List services with their destinations')
    .addArgument(serviceArgument('[service]'));
  const names = VIEWS.map(([name]) => name);
  for (const [name, words] of VIEWS) {
    const others = names.filter((other) => other !== name);
    list.addOption(new Option(`--${name}`, words).conflicts(others));
  }
  list.option('--exact', 'numbers in full, not as 12.3k');
  list.action((service: ServiceKey | undefined, flags: ListFlags) =>
    scope.withClient(list, (client, printer) =>
      lazy.commands.list().list(client, printer, {
        service,
        view: names.find((name) => flags[name]) ?? 'connections',
        exact: flags.exact,
      }),
    ),
  );
}

export function addTimeoutsCommands(program: Command, scope: Scope): void {
  const timeouts = scope.command(program, 'timeouts', 'Show or set how long idle connections live');
  timeouts.action(() =>
    scope.withClient(timeouts, (client, printer) =>
      lazy.commands.table().timeouts(client, printer),
    ),
  );
  const set = scope
    .command(timeouts, 'set', 'Set some of the timeouts; the others stay as they are')
    .option('--tcp <seconds>', 'of TCP connections, 1 to 2678400', decimal('--tcp'))
    .option('--tcp-fin <seconds>', 'of TCP connections after a FIN', decimal('--tcp-fin'))
    .option('--udp <seconds>', 'of UDP', decimal('--udp'));
  set.action((values: Partial<Timeouts>) => {
    mustName(values, 'there is nothing to set: give --tcp, --tcp-fin or --udp');
    const { tcp, tcpFin, udp } = values;
    return scope.withClient(set, (client) =>
      client.setTimeouts({
        ...(tcp === undefined ? {} : { tcp }),
        ...(tcpFin === undefined ? {} : { tcpFin }),
        ...(udp === undefined ? {} : { udp }),
      }),
    );
  });
}
