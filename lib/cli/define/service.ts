// ipvs service add, set and delete.
import type { Command } from 'commander';
import type { ServiceKey } from '../../model';
import type { ServiceFlags } from '../commands/service';
import { lazy } from '../lazy';
import { decimal } from '../numbers';
import type { Scope } from '../program';
import { mustName, serviceArgument } from './arguments';

export function addServiceCommands(program: Command, scope: Scope): void {
  const service = scope.command(program, 'service', 'Add, change or delete a service').alias('svc');

  const add = scope
    .command(service, 'add', 'Add a service')
    .addArgument(serviceArgument('<service>'));
  addSettings(add);
  add.addHelpText('after', ADD_EXAMPLES);
  add.action((key: ServiceKey, flags: ServiceFlags) =>
    scope.withClient(add, (client) => lazy.commands.service().addService(client, key, flags)),
  );

  const set = scope
    .command(service, 'set', 'Change some settings of a service; the others stay as they are')
    .addArgument(serviceArgument('<service>'));
  addSettings(set);
  set
    .option('--no-scheduler-flags', 'without scheduler flags')
    .option('--no-persistence', 'without persistence')
    .option('--no-persistence-prefix', 'every client apart')
    .option('--no-persistence-engine', 'by client address')
    .option('--no-one-packet', 'by connection again')
    .option('--replace', 'what is left out returns to its default')
    .addHelpText('after', SET_EXAMPLES);
  set.action((key: ServiceKey, flags: ServiceFlags) => {
    mustName(flags, 'there is nothing to change: name a setting, see ipvs service set --help');
    return scope.withClient(set, (client) =>
      lazy.commands.service().setService(client, key, flags),
    );
  });

  const remove = scope
    .command(service, 'delete', 'Delete a service with its destinations')
    .addArgument(serviceArgument('<service>'));
  remove.action((key: ServiceKey) =>
    scope.withClient(remove, (client) => client.deleteService(key)),
  );
}

function addSettings(command: Command): void {
  command
    .option(
      '--scheduler <name>',
      'how a destination is chosen: rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh, twos (default: wlc)',
    )
    .option(
      '--scheduler-flags <flags>',
      'fallback, port (of sh and mh), flag-1, flag-2, flag-3; several with commas',
    )
    .option(
      '--persistence <seconds>',
      'keep a client on one destination for this long',
      decimal('--persistence'),
    )
    .option(
      '--persistence-prefix <bits>',
      'clients that share this many leading address bits count as one (default: 32, IPv6: 128)',
      decimal('--persistence-prefix'),
    )
    .option('--persistence-engine <name>', 'tell clients apart by something else, such as sip')
    .option('--one-packet', 'choose anew for every UDP packet');
}

const ADD_EXAMPLES = `
Examples:
  ipvs service add tcp://10.0.0.1:80 --scheduler wrr
  ipvs service add tcp://10.0.0.1:443 --scheduler mh --scheduler-flags fallback,port
  ipvs service add tcp://10.0.0.1:0 --persistence 300 --persistence-prefix 24
  ipvs service add fwmark6:7`;

const SET_EXAMPLES = `
The service is read, changed and written back. A new scheduler that knows other flags than the old one
drops the old one's flags. With --replace the settings named here are all it has.

Examples:
  ipvs service set tcp://10.0.0.1:80 --scheduler sed
  ipvs service set tcp://10.0.0.1:80 --no-persistence
  ipvs service set tcp://10.0.0.1:80 --replace --scheduler rr`;
