// ipvs diff, apply, save and restore.
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import type { DrainFlags } from '../commands/drain';
import type { RunFlags } from '../commands/run';
import type { StateFlags } from '../commands/state';
import { lazy } from '../lazy';
import type { Scope } from '../program';
import { WrongUse } from '../wrong';

interface FileFlags extends StateFlags {
  readonly file: string;
}

export function addStateCommands(program: Command, scope: Scope): void {
  const diff = scope.command(program, 'diff', 'Show what apply would change');
  addFile(diff);
  addScope(diff);
  diff.addHelpText('after', DIFF_NOTES);
  diff.action(async (flags: FileFlags) => {
    const state = await lazy.commands.state().readStateFile(scope.io, flags.file);
    await scope.withClient(diff, (client, printer) =>
      lazy.commands.state().diff(client, printer, state, flags),
    );
  });

  const apply = scope.command(program, 'apply', 'Make the table what a state file says');
  addFile(apply);
  addScope(apply);
  addDrain(apply);
  addDoing(apply);
  apply.addHelpText('after', APPLY_NOTES);
  apply.action(async (flags: FileFlags) => {
    mustDrain(flags);
    mustBeMeant(scope, flags);
    const state = await lazy.commands.state().readStateFile(scope.io, flags.file);
    const isElsewhere = scope.options(apply).netns !== undefined;
    const all = { ...flags, ...(isElsewhere && { isElsewhere }) };
    await scope.withClient(apply, (client, printer) =>
      lazy.commands.state().apply(client, printer, scope.io, state, all, 'apply'),
    );
  });

  const run = scope.command(
    program,
    'run',
    'Keep the table as a state file says, until told to end',
  );
  addFile(run, 'YAML or JSON');
  addScope(run);
  addDrain(run);
  run
    .addOption(
      new Option(
        '--resync <seconds>',
        'compare with the kernel this often (default: 30)',
      ).argParser((text: string) => Math.max(1, toCount('--resync', text, 86_400, 'seconds'))),
    )
    .addOption(
      new Option(
        '--max-loss <percent>',
        'refuse to take away more of our services at once (default: 50)',
      ).argParser((text: string) => toCount('--max-loss', text, 100, 'percent')),
    );
  run.addHelpText('after', RUN_NOTES);
  run.action(async (flags: RunFlags) => {
    mustDrain(flags);
    if (flags.file === '-') {
      throw new WrongUse('stdin is no file that can be watched: name one, or use ipvs apply');
    }
    const state = await lazy.commands.state().readStateFile(scope.io, flags.file);
    await scope.withClient(run, (client) =>
      lazy.commands.run().run(client, scope.io, state, flags),
    );
  });

  const save = scope
    .command(program, 'save', "Write the table in ipvsadm's lines, or as a state file")
    .addArgument(new Argument('[file]', 'replaced whole (default: stdout)'));
  save.addHelpText('after', SAVE_NOTES);
  save.action((file: string | undefined) => {
    const { output = 'save' } = scope.options(save);
    if (output === 'table' || output === 'ndjson') {
      throw new WrongUse(`--output ${output} is not for saving: use save, yaml or json`);
    }
    return scope.withClient(save, (client) =>
      lazy.commands.state().save(client, scope.io, file, output),
    );
  });

  const restore = scope
    .command(program, 'restore', "Make the table what ipvsadm's lines say")
    .addArgument(
      new Argument('[file]', 'with lines as ipvsadm -S -n prints them').default('-', 'stdin'),
    );
  addScope(restore);
  restore.addOption(
    new Option('--replace', 'delete every service that the lines do not have').conflicts('prune'),
  );
  addDoing(restore);
  restore.addHelpText('after', RESTORE_NOTES);
  restore.action(async (file: string, flags: StateFlags) => {
    mustBeMeant(scope, flags, file);
    const state = await lazy.commands.state().readSaved(scope.io, file, flags);
    await scope.withClient(restore, (client, printer) =>
      lazy.commands.state().apply(client, printer, scope.io, state, flags, 'restore'),
    );
  });
}

function addFile(command: Command, what = 'YAML or JSON; - is stdin'): void {
  command.requiredOption('-f, --file <state>', what);
}

function addDrain(command: Command): void {
  command
    .addOption(
      new Option('--drain [seconds]', 'drain what leaves, this long at most (default: 300)')
        .argParser((text: string) => toCount('--drain', text, 86_400, 'seconds'))
        .preset('300'),
    )
    .option('--drain-all', 'with --drain: UDP and SCTP, too, which go at once otherwise');
}

function mustDrain({ drain, drainAll }: DrainFlags): void {
  if (drainAll !== true || drain !== undefined) return;
  throw new WrongUse('--drain-all says what --drain is for: give --drain, too');
}

function toCount(name: string, text: string, most: number, unit: string): number {
  if (/^\d{1,6}$/.test(text) && Number(text) <= most) return Number(text);
  throw new InvalidArgumentError(`${name} takes ${unit} from 0 to ${most}`);
}

function addScope(command: Command): void {
  command
    .addOption(
      new Option(
        '--prune <cidr...>',
        'delete the services in these networks that the state does not have',
      ).argParser(networks),
    )
    .option('--keep-weights', 'leave the weights of destinations that stay as they are');
}

function addDoing(command: Command): void {
  command
    .option('--dry-run', 'show what would change, as diff does, and change nothing')
    .option('-y, --yes', 'do not ask before services are deleted');
}

/** Networks, gathered one by one. */
export function networks(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), network(text)];
}

function network(text: string): string {
  const [address = '', bits = '', more] = text.split('/');
  const parsed = lazy.address().parseAddress(address);
  const longest = parsed?.family === 'ipv6' ? 128 : 32;
  if (
    parsed !== undefined &&
    more === undefined &&
    /^\d{1,3}$/.test(bits) &&
    Number(bits) <= longest
  ) {
    return `${parsed.address}/${Number(bits)}`;
  }
  throw new InvalidArgumentError('Write a network such as 10.0.0.0/8 or 2001:db8::/32');
}

// A question that nobody can answer is better found before anything is read. Where the file is stdin, nobody can.
function mustBeMeant({ io }: Scope, flags: StateFlags, file = ''): void {
  const deletes = flags.prune !== undefined || flags.replace === true;
  if (!deletes || flags.yes === true || flags.dryRun === true) return;
  if (file === '-' || ('file' in flags && flags.file === '-')) {
    throw new WrongUse('stdin is the state and cannot answer: give --yes, or see --dry-run first');
  }
  lazy.ask().mustBeAskable(io);
}

const DIFF_NOTES = `
+ is added, ~ edited, - deleted. Services that the state does not have are left alone, but for those in --prune.

Exit status: 0 the same, 1 different, 2 trouble.`;

const APPLY_NOTES = `
Services of the state get its settings and destinations, and no others; the services it does not have are left
alone, but for those in --prune. What can be edited is edited in place.

With --drain, what leaves gets weight 0, and goes when its connections have gone or its time is up; apply waits for
that. Ctrl-C ends it early: what drains stays at weight 0, and the next apply --drain or run --drain goes on.

Examples:
  ipvs apply -f web.yaml --dry-run
  ipvs apply -f web.yaml --prune 10.0.0.0/24 2001:db8::/64 --yes
  ipvs apply -f web.yaml --drain=60
  ipvs save --output yaml | ipvs --netns other apply -f -`;

const RUN_NOTES = `
The file may be written in place or replaced. While it cannot be read or makes no sense, the last good state counts,
and the problem is told once. What others change in our services is changed back. Ours are those that the file has
named since this began, and those in --prune. SIGTERM and SIGINT end it between two changes; services stay.

Example:
  ipvs run -f web.yaml --prune 10.0.0.0/24 --drain=60`;

const SAVE_NOTES = `
The lines are those of ipvsadm -S -n, and thresholds. With --output yaml or json it is a state file, for ipvs apply.

Examples:
  ipvs save > rules
  ipvs save web.yaml --output yaml`;

const RESTORE_NOTES = `
The lines are read as if to an empty table; if one is bad, nothing is done. Then the services they make are applied
as by ipvs apply: other services are left alone, but for those in --prune, or all of them with --replace.

Examples:
  ipvs restore rules
  ipvsadm -S -n | ipvs --netns other restore --replace --yes`;
