// A failure in the words of the command line: the library speaks of its own functions and settings.
import { IpvsError } from '../errors';
import { asked } from '../explain';
import { StateError } from '../state/problems';
import { WrongUse } from './wrong';

const FUNCTIONS: readonly (readonly [RegExp, string])[] = [
  [/\baddService\b/g, 'ipvs service add'],
  [/\bsetService\b/g, 'ipvs service set'],
  [/\baddDestination\b/g, 'ipvs destination add'],
  [/\bsetDestination\b/g, 'ipvs destination set'],
  [/\bservices\(\)/g, 'ipvs list'],
];

// Names that mean nothing else, wherever they stand in a message.
const ANYWHERE: readonly (readonly [RegExp, string])[] = [
  [/\bupperThreshold\b/g, '--upper-threshold'],
  [/\blowerThreshold\b/g, '--lower-threshold'],
  [/\bschedulerFlags\b/g, '--scheduler-flags'],
  [/\bonePacket\b/g, '--one-packet'],
  [/\bpersistence\.timeout\b/g, '--persistence'],
  [/\bpersistence\.prefix\b/g, '--persistence-prefix'],
  [/\bpersistence\.engine\b/g, '--persistence-engine'],
  [/\btunnel\.type\b/g, '--tunnel'],
  [/\btunnel\.port\b/g, '--tunnel-port'],
  [/\btunnel\.checksum\b/g, '--tunnel-checksum'],
];

// Names that are words too: settings only where a message begins with them.
const LEADING: Readonly<Record<string, string>> = {
  scheduler: '--scheduler',
  forward: '--forward',
  weight: '--weight',
  tunnel: '--tunnel',
  netns: '--netns',
  interface: '--interface',
  syncId: '--sync-id',
  group: '--group',
  ttl: '--ttl',
  maxLength: '--max-length',
  tcp: '--tcp',
  tcpFin: '--tcp-fin',
  udp: '--udp',
  clusterCIDRs: '--cluster-cidr',
  prefix: '--prefix',
  'node.addresses': '--node-address',
  'node.nodePortAddresses': '--node-port-addresses',
};

/** Of these operations, whose filter is made of options. */
const FILTERED = ['connections', 'watchConnections'];
const FILTER = ['client', 'destination', 'state'];

export interface Explained {
  readonly text: string;
  readonly exitCode: 1 | 2;
}

/** What to say of an error that ended `command` (such as `service add`), in one line, and the exit status it makes. */
export function explainError(error: unknown, command: string): Explained {
  const name = command === '' ? 'ipvs' : `ipvs ${command}`;
  // A text has lines to show, and a caret below them.
  if (error instanceof StateError) return { text: `${name}: ${error.report()}`, exitCode: 2 };
  if (error instanceof IpvsError) {
    const { subject, problem } = takeApart(error);
    const wrong = error.code === 'ERR_IPVS_INVALID';
    return {
      text: oneLine(`${name}${subject}: ${inOptions(problem, error.operation)}`),
      exitCode: wrong ? 2 : 1,
    };
  }
  if (error instanceof WrongUse) return { text: oneLine(`${name}: ${error.message}`), exitCode: 2 };
  const text = error instanceof Error ? error.message : String(error);
  return { text: oneLine(`${name}: ${text}`), exitCode: 1 };
}

// `addService tcp://10.0.0.1:80: why` is the operation, its subject and the problem; checks made here give the problem alone.
function takeApart(error: IpvsError): { subject: string; problem: string } {
  const { operation, service, destination, message } = error;
  const request = asked({ operation, service, destination });
  if (!message.startsWith(`${request}: `)) return { subject: '', problem: message };
  return {
    subject: request.slice(operation.length),
    problem: message.slice(request.length + 2),
  };
}

function inOptions(problem: string, operation: string): string {
  const [first = ''] = problem.split(':', 1);
  const option =
    first === 'port' && operation === 'startDaemon'
      ? '--port'
      : FILTERED.includes(operation) && FILTER.includes(first)
        ? `--${first}`
        : Object.hasOwn(LEADING, first)
          ? LEADING[first]
          : undefined;
  let text = option === undefined ? problem : option + problem.slice(first.length);
  for (const [pattern, words] of [...FUNCTIONS, ...ANYWHERE]) text = text.replace(pattern, words);
  return text.replace(/: undefined is out of range/, ' is missing');
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
