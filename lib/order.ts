// The order in which things are listed: the same for the same table, whoever made it when.
import { ADDRESS_BYTES, writeAddress } from './address';
import type { DestinationKey, Protocol, ServiceKey } from './model';

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

/** A service with its destinations, whatever else is known of them. */
type Server = ServiceKey & { readonly destinations: readonly DestinationKey[] };

/** Services by family, protocol, address and port, then those by firewall mark; destinations by address and port. */
export function inOrder<T extends Server>(servers: readonly T[]): T[] {
  return sortBy(servers, serviceRank).map((server) => ({
    ...server,
    destinations: sortBy(server.destinations, destinationRank),
  }));
}

// Ranks are bytes, made once for each thing; comparing addresses as text or signed numbers gets the order wrong.
export function serviceRank(key: ServiceKey): Buffer {
  const rank = Buffer.alloc(3 + ADDRESS_BYTES + 4);
  if ('fwmark' in key) {
    rank[0] = 1;
    rank[1] = key.family === 'ipv4' ? 0 : 1;
    rank.writeUInt32BE(key.fwmark, 3 + ADDRESS_BYTES);
    return rank;
  }
  rank[2] = PROTOCOLS.indexOf(key.protocol);
  rank[1] = writeAddress(key.address, rank, 3) === 'ipv4' ? 0 : 1;
  rank.writeUInt32BE(key.port, 3 + ADDRESS_BYTES);
  return rank;
}

export function destinationRank(key: DestinationKey): Buffer {
  const rank = Buffer.alloc(1 + ADDRESS_BYTES + 2);
  rank[0] = writeAddress(key.address, rank, 1) === 'ipv4' ? 0 : 1;
  rank.writeUInt16BE(key.port, 1 + ADDRESS_BYTES);
  return rank;
}

export function sortBy<T>(items: readonly T[], rank: (item: T) => Buffer): T[] {
  if (items.length < 2) return [...items];
  return items
    .map((item) => ({ item, rank: rank(item) }))
    .sort((a, b) => Buffer.compare(a.rank, b.rank))
    .map(({ item }) => item);
}
