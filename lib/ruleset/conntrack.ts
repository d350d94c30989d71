// Connections of destinations that drain, from netfilter's table: rules keep no count.
import { parseAddress } from '../address';
import { destinationId, serviceId } from '../id';
import type { VirtualServer } from '../model';
import type { Tools } from '../node/tools';
import { eachOf, inTurns, type Work } from '../turns';

const FILE = '/proc/net/nf_conntrack';
const ENTRY =
  /^\S+ +\d+ (tcp|udp|sctp) +\d+ .*?\bsrc=\S+ dst=(\S+) sport=\d+ dport=(\d+) .*?\bsrc=(\S+) dst=\S+ sport=(\d+)/;

/**
 * The servers, with the connections of each destination of weight 0. Where the kernel does not show its table, or it is not
 * for us, nothing is counted, and whoever drains waits for its time to be up.
 */
export async function withConnections(
  servers: readonly VirtualServer[],
  tools: Tools,
): Promise<VirtualServer[]> {
  const isQuiet = ({ weight }: { readonly weight?: number }): boolean => weight === 0;
  if (!servers.some(({ destinations }) => destinations.some(isQuiet))) return [...servers];
  let text: string;
  try {
    text = await tools.run('cat', [FILE]);
  } catch {
    return [...servers];
  }
  return inTurns(counted(servers, text, isQuiet));
}

function* counted(
  servers: readonly VirtualServer[],
  text: string,
  isQuiet: (destination: { readonly weight?: number }) => boolean,
): Work<VirtualServer[]> {
  const counts = yield* counting(text);
  const withCount = (server: VirtualServer): VirtualServer => ({
    ...server,
    destinations: server.destinations.map((destination) => {
      if (!isQuiet(destination)) return destination;
      // Port 0 is the port of the service.
      const own = destination.port === 0 && 'port' in server ? server.port : destination.port;
      const key = `${serviceId(server)} ${destinationId({ ...destination, port: own })}`;
      const { active = 0, inactive = 0 } = counts.get(key) ?? {};
      return { ...destination, activeConnections: active, inactiveConnections: inactive };
    }),
  });
  const result: VirtualServer[] = [];
  yield* eachOf(servers, (server) => {
    result.push(server.destinations.some(isQuiet) ? withCount(server) : server);
  });
  return result;
}

interface Count {
  readonly active: number;
  readonly inactive: number;
}

/** By service and destination: those that are open, and those that are over and not yet forgotten. */
function* counting(text: string): Work<Map<string, Count>> {
  const counts = new Map<string, Count>();
  let lines = 0;
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const line = text.slice(start, newline < 0 ? text.length : newline);
    start += line.length + 1;
    if (++lines % 16 === 0) yield;
    const [, protocol, address, port, from, fromPort] = ENTRY.exec(line) ?? [];
    if (protocol === undefined) continue;
    const service = { protocol: protocol as 'tcp', address: plain(address), port: Number(port) };
    const key = `${serviceId(service)} ${destinationId({ address: plain(from), port: Number(fromPort) })}`;
    const isOver = /\b(?:TIME_WAIT|CLOSE|LAST_ACK)\b/.test(line);
    const { active, inactive } = counts.get(key) ?? { active: 0, inactive: 0 };
    counts.set(key, isOver ? { active, inactive: inactive + 1 } : { active: active + 1, inactive });
  }
  return counts;
}

// The kernel writes every group of an IPv6 address out.
function plain(address = ''): string {
  return parseAddress(address)?.address ?? address;
}
