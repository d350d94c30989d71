// The commands that look at what passes: connections and top.
import { Option, type Command } from 'commander';
import type { ConnectionFilter, ConnectionKey, ConnectionSource } from '../../connections';
import type { ServiceRef } from '../../model';
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

const SOURCES = ['ip_vs', 'conntrack', 'auto'] as const;
const KEYS = ['protocol', 'state', 'service', 'destination', 'client'] as const;

interface ConnectionFlags {
  readonly protocol?: 'tcp' | 'udp' | 'sctp';
  readonly service?: string;
  readonly destination?: string;
  readonly client?: string;
  readonly state?: string;
  readonly templates?: boolean;
  readonly countBy?: readonly ConnectionKey[];
  readonly watch?: true;
  readonly interval?: number;
  readonly source?: ConnectionSource | 'auto';
  readonly limit?: number;
}

export function addConnectionsCommand(program: Command, scope: Scope): void {
  const command = scope
    .command(program, 'connections', 'List connections, count them, or watch them come and go')
    .alias('conns')
    .addOption(new Option('--protocol <name>', 'of this protocol').choices(['tcp', 'udp', 'sctp']))
    .option(
      '--service <service>',
      'to this service, such as tcp://10.0.0.1:80; port 0 is every port',
    )
    .option('--destination <address>', 'at this destination: an address, with or without a port')
    .option('--client <address>', 'of this client, or of a prefix such as 10.0.0.0/8')
    .option('--state <name>', 'in this state, such as ESTABLISHED or SYN_RECV')
    .option('--templates', 'persistence templates alone: which client sticks where')
    .option('--no-templates', 'connections alone, no persistence templates')
    .addOption(
      new Option('--count-by <keys>', `count by ${KEYS.join(', ')}; several with commas`).argParser(
        keys,
      ),
    )
    .addOption(new Option('--watch', 'print what opens, changes and closes').conflicts('countBy'))
    .addOption(intervalOption())
    .addOption(new Option('--source <name>', 'the table to read (default: ip_vs)').choices(SOURCES))
    .option('--limit <number>', 'print no more than this many', atLeastOne('--limit'))
    .addHelpText('after', CONNECTIONS_HELP);
  command.action((flags: ConnectionFlags) => {
    const { countBy, watch, interval, limit, source } = flags;
    if (interval !== undefined && watch !== true) {
      throw new WrongUse('--interval goes with --watch: add it, or leave --interval out');
    }
    if (source === 'auto' && watch === true) {
      throw new WrongUse(
        '--watch looks at one table all the time: use --source ip_vs or conntrack',
      );
    }
    const filter = filterOf(flags);
    return scope.withClient(command, (client, printer) =>
      watch === true
        ? lazy.commands.connections().watchConnections(client, scope.io, printer, {
            filter,
            source: source === 'auto' ? undefined : source,
            interval: interval ?? 1000,
            limit,
          })
        : lazy.commands
            .connections()
            .connections(client, scope.io, printer, { filter, source, countBy, limit }),
    );
  });
}

function filterOf({
  protocol,
  service,
  destination,
  client,
  state,
  templates,
}: ConnectionFlags): ConnectionFilter {
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(service === undefined ? {} : { service: lazy.id().serviceKey(service as ServiceRef) }),
    ...(destination === undefined ? {} : { destination }),
    ...(client === undefined ? {} : { client }),
    ...(state === undefined ? {} : { state: state.toUpperCase() }),
    ...(templates === undefined ? {} : { template: templates }),
  };
}

function keys(text: string): readonly ConnectionKey[] {
  return text.split(',').map((name) => {
    const key = KEYS.find((one) => one === name);
    if (key !== undefined) return key;
    throw new WrongUse(
      `--count-by: ${JSON.stringify(name)} is nothing to count by: use ${KEYS.join(', ')}`,
    );
  });
}

const CONNECTIONS_HELP = `
Rows come in the order of the kernel's table. Watching is sampling: connections that open and close between
two looks are not seen. --source conntrack reads the table of netfilter instead, which is quicker where there
are many connections and the kernel is older than 6.14; it knows no templates and wants net.ipv4.vs.conntrack=1.

Examples:
  ipvs connections --client 198.51.100.0/24 --state ESTABLISHED
  ipvs connections --count-by client --limit 10
  ipvs connections --count-by destination,state
  ipvs connections --watch --service tcp://10.0.0.1:443 --output ndjson`;
