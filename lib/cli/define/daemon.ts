// ipvs daemon list, start and stop.
import { Argument, type Command } from 'commander';
import type { DaemonFlags } from '../commands/daemon';
import { lazy } from '../lazy';
import { decimal } from '../numbers';
import type { SyncDaemon } from '../../model';
import type { Scope } from '../program';

export function addDaemonCommands(program: Command, scope: Scope): void {
  const daemon = scope.command(
    program,
    'daemon',
    'List, start or stop the daemons that keep connections in sync between directors',
  );
  const list = scope.command(daemon, 'list', 'List the sync daemons that run');
  list.action(() =>
    scope.withClient(list, (client, printer) =>
      lazy.commands.daemon().listDaemons(client, printer),
    ),
  );

  const start = scope
    .command(daemon, 'start', 'Start the sync daemon of a role')
    .addArgument(role())
    .requiredOption('--interface <name>', 'interface that it multicasts on, such as eth0')
    .option(
      '--sync-id <number>',
      '0 to 255; a backup with 0 accepts all (default: 0)',
      decimal('--sync-id'),
    )
    .option('--group <address>', 'multicast address (default: 224.0.0.81)')
    .option('--port <number>', 'first UDP port (default: 8848)', decimal('--port'))
    .option('--ttl <number>', '1 to 255 (default: 1)', decimal('--ttl'))
    .option(
      '--max-length <bytes>',
      'longest sync message (default: what fits the interface)',
      decimal('--max-length'),
    );
  start.action((name: SyncDaemon['role'], flags: DaemonFlags) =>
    scope.withClient(start, (client) => lazy.commands.daemon().startDaemon(client, name, flags)),
  );

  const stop = scope.command(daemon, 'stop', 'Stop the sync daemon of a role').addArgument(role());
  stop.action((name: SyncDaemon['role']) =>
    scope.withClient(stop, (client) => client.stopDaemon({ role: name })),
  );
}

function role(): Argument {
  return new Argument('<role>', 'master sends, backup receives').choices(['master', 'backup']);
}
