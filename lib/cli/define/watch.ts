// The commands that look at what passes: top.
import { Option, type Command } from 'commander';
import { lazy } from '../lazy';
import { decimal } from '../numbers';
import type { Scope } from '../program';
import { WrongUse } from '../wrong';

interface TopFlags {
  readonly interval?: number;
  readonly count?: number;
  readonly sort?: (typeof SORTS)[number];
  readonly reverse?: true;
  readonly destinations: boolean;
}

// Those of top/order, which is not loaded to explain a command.
const SORTS = ['connections', 'packets', 'bytes', 'active', 'inactive', 'name'] as const;

export function addTopCommand(program: Command, scope: Scope): void {
  const top = scope
    .command(program, 'top', 'Watch who is busy: connections, packets and bytes per second')
    .addOption(intervalOption())
    .option('--count <number>', 'end after this many looks (default: go on)', atLeastOne('--count'))
    .addOption(
      new Option('--sort <column>', 'what comes first (default: connections)').choices(SORTS),
    )
    .option('--reverse', 'the other way round')
    .option('--no-destinations', 'services alone')
    .addHelpText('after', TOP_HELP);
  top.action(({ interval = 1000, ...flags }: TopFlags) =>
    scope.withClient(top, (client, printer) =>
      lazy.commands.top().top(client, scope.io, printer, {
        ...flags,
        interval,
        netns: scope.options(top).netns,
      }),
    ),
  );
}

const LONGEST = 86_400;

/** Seconds from people, milliseconds for timers. */
export function intervalOption(): Option {
  return new Option('--interval <seconds>', 'between two looks (default: 1)').argParser((text) => {
    const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : NaN;
    if (seconds >= 0.1 && seconds <= LONGEST) return seconds * 1000;
    throw new WrongUse(
      `--interval: ${JSON.stringify(text)} is out of range: use seconds from 0.1 to ${LONGEST}, such as 2 or 0.5`,
    );
  });
}

export function atLeastOne(option: string): (text: string) => number {
  return (text) => {
    const value = decimal(option)(text);
    if (value >= 1) return value;
    throw new WrongUse(`${option}: ${text} is out of range: use a whole number from 1 up`);
  };
}

const TOP_HELP = `
On a terminal, the screen refreshes in place: c p b a i n sort, d shows or hides destinations, Space stands
still, h explains, q quits. Elsewhere, and with --output json, yaml or ndjson, each look is printed after the
one before it. Rates are averages over the last four seconds.

Examples:
  ipvs top --sort bytes
  ipvs top --count 1 --output json
  ipvs top --interval 10 --output ndjson >> traffic.log`;
