// ipvs destination add, set and delete.
import { Option, type Command } from 'commander';
import type { DestinationKey, ServiceKey } from '../../model';
import type { DestinationFlags } from '../commands/destination';
import { lazy } from '../lazy';
import { decimal } from '../numbers';
import type { Scope } from '../program';
import { destinationArgument, mustName, serviceArgument } from './arguments';

export function addDestinationCommands(program: Command, scope: Scope): void {
  const destination = scope
    .command(program, 'destination', 'Add, change or delete a destination of a service')
    .alias('dest');
  const verb = (name: string, summary: string): Command =>
    scope
      .command(destination, name, summary)
      .addArgument(serviceArgument('<service>'))
      .addArgument(destinationArgument());

  const add = verb('add', 'Add a destination to a service');
  addSettings(add);
  add.addHelpText('after', ADD_EXAMPLES);
  add.action((service: ServiceKey, key: DestinationKey, flags: DestinationFlags) =>
    scope.withClient(add, (client) =>
      lazy.commands.destination().addDestination(client, service, key, flags),
    ),
  );

  const set = verb('set', 'Change some settings of a destination; the others stay as they are');
  addSettings(set);
  set
    .option('--no-tunnel-checksum', 'without checksum')
    .option('--replace', 'what is left out returns to its default')
    .addHelpText('after', SET_EXAMPLES);
  set.action((service: ServiceKey, key: DestinationKey, flags: DestinationFlags) => {
    mustName(flags, 'there is nothing to change: name a setting, see ipvs destination set --help');
    return scope.withClient(set, (client) =>
      lazy.commands.destination().setDestination(client, service, key, flags),
    );
  });

  const remove = verb('delete', 'Delete a destination; drain it first with: set --weight 0');
  remove.action((service: ServiceKey, key: DestinationKey) =>
    scope.withClient(remove, (client) => client.deleteDestination(service, key)),
  );
}

function addSettings(command: Command): void {
  command
    .option(
      '--forward <method>',
      'how packets reach it: masq (NAT), route (direct routing) or tunnel (default: masq)',
    )
    .option(
      '--weight <number>',
      'its share; 0 drains: connections stay, none are added (default: 1)',
      decimal('--weight'),
    )
    .option(
      '--upper-threshold <number>',
      'no new connections from this many on; 0 is no limit (default: 0)',
      decimal('--upper-threshold'),
    )
    .option(
      '--lower-threshold <number>',
      'new ones again below this many; 0 is three quarters of the upper one (default: 0)',
      decimal('--lower-threshold'),
    )
    .option('--tunnel <type>', 'with --forward tunnel: ipip, gue or gre (default: ipip)')
    .option('--tunnel-port <number>', 'UDP port of a gue tunnel', decimal('--tunnel-port'))
    .addOption(
      new Option(
        '--tunnel-checksum [remote]',
        'checksum gue and gre packets; "remote" offloads it to the other end (gue)',
      ).choices(['remote']),
    );
}

const ADD_EXAMPLES = `
Examples:
  ipvs destination add tcp://10.0.0.1:80 192.0.2.10:8080 --weight 3
  ipvs destination add tcp://10.0.0.1:80 192.0.2.11:80 --forward route
  ipvs destination add tcp://10.0.0.1:80 192.0.2.12:80 --forward tunnel --tunnel gue --tunnel-port 6080`;

const SET_EXAMPLES = `
The destination is read, changed and written back. Another --forward than tunnel drops the tunnel, another
--tunnel its port and checksum. With --replace the settings named here are all it has.

Examples:
  ipvs destination set tcp://10.0.0.1:80 192.0.2.10:8080 --weight 0
  ipvs destination set tcp://10.0.0.1:80 192.0.2.10:8080 --upper-threshold 1000
  ipvs destination set tcp://10.0.0.1:80 192.0.2.10:8080 --replace --weight 5`;
