// The command line: which commands there are, what each takes, and which function does it. Nothing is done here.
import { Argument, Command, Option } from 'commander';
import type { Ipvs } from '../client';
import type { DoctorFlags } from './commands/doctor';
import { addDaemonCommands } from './define/daemon';
import { addDestinationCommands } from './define/destination';
import { addIptablesCommands } from './define/iptables';
import { addKubeCommands } from './define/kube';
import { addServiceCommands } from './define/service';
import {
  addInfoCommand,
  addListCommand,
  addSweepCommands,
  addTimeoutsCommands,
} from './define/table';
import { addStateCommands } from './define/state';
import { addConnectionsCommand, addTopCommand } from './define/watch';
import type { Io } from './io';
import { lazy } from './lazy';
import { OUTPUTS, Printer, type OutputForm } from './printer';
import { WrongUse } from './wrong';

/** What a run has come to: which command it is in, and its exit status so far. */
export interface Run {
  readonly argv: readonly string[];
  command: string;
  exitCode: number;
}

/** Options that every command takes, before or after its name. */
export interface CommonOptions {
  readonly netns?: string;
  readonly output?: OutputForm;
  readonly quiet?: boolean;
}

/** What a definition needs of a run. */
export interface Scope {
  readonly io: Io;
  /** A command with the options that every command takes. */
  command(parent: Command, usage: string, summary: string): Command;
  /** What was said of those options. */
  options(command: Command): CommonOptions;
  /** Opens IPVS, does the work, and closes whatever came of it. The work may give the exit status. */
  withClient(
    command: Command,
    work: (client: Ipvs, printer: Printer) => Promise<number> | Promise<void>,
  ): Promise<void>;
  /** The work of a command that needs no IPVS; resolves with its exit status. */
  without(command: Command, work: (printer: Printer) => Promise<number>): Promise<void>;
}

/** The whole command line. */
export function makeProgram(io: Io, run: Run): Command {
  const program = new Command('ipvs')
    .description(
      "The Linux kernel's own layer-4 load balancer: services, destinations, and what becomes of them.",
    )
    .version(lazy.package().version, '-V, --version')
    .enablePositionalOptions()
    .configureHelp({ subcommandTerm: termOf })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // Said by run(), in our own form.
      outputError: () => undefined,
    })
    .addHelpText('after', HELP);
  const scope = makeScope(io, run);
  program.commandsGroup('Services and destinations:');
  addListCommand(program, scope);
  addServiceCommands(program, scope);
  addDestinationCommands(program, scope);
  addSweepCommands(program, scope);
  program.commandsGroup('What passes:');
  addConnectionsCommand(program, scope);
  addTopCommand(program, scope);
  program.commandsGroup('As a file says:');
  addStateCommands(program, scope);
  program.commandsGroup('The rest of IPVS:');
  addDaemonCommands(program, scope);
  addTimeoutsCommands(program, scope);
  addInfoCommand(program, scope);
  program.commandsGroup('Kubernetes:');
  addKubeCommands(program, scope);
  program.commandsGroup('Without IPVS:');
  addIptablesCommands(program, scope);
  program.commandsGroup('This machine:');
  addMachineCommands(program, scope, run);
  program.helpCommand('help [command]', 'Explain a command');
  finish(program, run);
  return program;
}

const HELP = `
A service is written tcp://10.0.0.1:80, udp://[2001:db8::1]:53, sctp://10.0.0.1:132, fwmark:7 or fwmark6:7,
a destination 192.0.2.10:8080 or [2001:db8::10]:8080.

Exit status: 0 done, 1 an operation failed, 2 wrong use.`;

function addMachineCommands(program: Command, scope: Scope, run: Run): void {
  const doctor = scope.command(
    program,
    'doctor',
    'Look for what keeps IPVS from working well here',
  );
  doctor
    .option('--kube', 'also whether this node can be served by IPVS instead of kube-proxy')
    .option(
      '--config <file>',
      'with --kube: a KubeProxyConfiguration, or the ConfigMap that has it',
    )
    .action((flags: DoctorFlags) =>
      scope.without(doctor, async (printer) => {
        if (flags.config !== undefined && flags.kube === undefined)
          throw new WrongUse('--config: it is looked at with --kube alone: give both');
        const { doctor: look, configOf } = lazy.commands.doctor();
        const config = await configOf(scope.io, flags);
        return look(scope.io.system(), scope.io.open, printer, {
          netns: commonOptions(doctor).netns,
          ...(flags.kube && { kube: { config } }),
        });
      }),
    );
  // What it takes and what it says is its own: the words after it are another program's.
  program
    .command('lab')
    .summary('Run a command in a throwaway kernel with IPVS')
    .usage('[--mem SIZE] [--] [COMMAND [ARGUMENT...]]')
    .helpOption(false)
    .passThroughOptions()
    .allowUnknownOption()
    .addArgument(new Argument('[words...]'))
    .action(async (words: readonly string[]) => {
      // Commander drops a `--` in front, which tells the lab where its own options end.
      const before = run.argv.length - words.length - 1;
      run.exitCode = await scope.io.lab(run.argv[before] === '--' ? ['--', ...words] : words);
    });
}

function makeScope(io: Io, run: Run): Scope {
  const printerFor = (command: Command): Printer => new Printer(io, commonOptions(command));
  return {
    io,
    command(parent, usage, summary) {
      return parent.command(usage).summary(summary).description(`${summary}.`);
    },
    options: commonOptions,
    async withClient(command, work) {
      run.command = pathOf(command);
      const { netns } = commonOptions(command);
      const client = await io.open(netns === undefined ? {} : { netns });
      try {
        const status = await work(client, printerFor(command));
        if (typeof status === 'number') run.exitCode = status;
      } finally {
        await client.close();
      }
    },
    async without(command, work) {
      run.command = pathOf(command);
      run.exitCode = await work(printerFor(command));
    },
  };
}

function addCommonOptions(command: Command): void {
  const add = (option: Option): Command => command.addOption(option.helpGroup('Everywhere:'));
  add(
    new Option('--netns <name>', 'in this network namespace: a name under /run/netns, or a path'),
  );
  // Some commands have forms of their own.
  if (!command.options.some((option) => option.long === '--output')) {
    add(new Option('--output <form>', 'how data is printed (default: table)').choices(OUTPUTS));
  }
  add(new Option('--quiet', 'no hints on stderr, errors only'));
  command.addHelpOption(new Option('-h, --help', 'explain this command').helpGroup('Everywhere:'));
}

/** The options every command takes, wherever on the line they stood; the one nearest to the command counts. */
export function commonOptions(command: Command): CommonOptions {
  const all: CommonOptions[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) all.unshift(at.opts());
  return Object.assign({}, ...all) as CommonOptions;
}

// What every command has in common, after what is its own: so it stands in the help.
function finish(command: Command, run: Run): void {
  if (command.name() === 'lab') return;
  addCommonOptions(command);
  if (command.parent !== null) command.helpCommand(false);
  // Where commander finds wrong use, it does not say in which command.
  command.exitOverride((error) => {
    run.command = pathOf(command);
    throw error;
  });
  // What an option's own check throws comes from the command it stands in.
  command.hook('preSubcommand', (_this, sub) => {
    run.command = pathOf(sub);
  });
  command.commands.forEach((sub) => {
    finish(sub, run);
  });
}

// `service, svc`, `zero [service]`: that there are options goes without saying.
function termOf(command: Command): string {
  const names = [command.name(), ...command.aliases()].join(', ');
  const words = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [names, ...(command.name() === 'lab' ? ['[command]'] : words)].join(' ');
}

function pathOf(command: Command): string {
  const names: string[] = [];
  for (let at = command; at.parent !== null; at = at.parent) names.unshift(at.name());
  return names.join(' ');
}
