// The lines of `ipvsadm -S -n`, byte by byte as ipvsadm 1.31 writes them, and thresholds, which it leaves out.
import { ADDRESS_BYTES, writeAddress } from './address';
import { changeArgs } from './ipvsadm-args';
import type { DestinationKey, ServiceKey, VirtualServer } from './model';
import { inOrder } from './order';

export { parseIpvsadm, type SavedState } from './ipvsadm/parse';

/**
 * Services and destinations as lines that `ipvsadm -R` takes: those of `ipvsadm -S -n`, in its order, and thresholds.
 * @public
 */
export function printIpvsadm(services: Iterable<VirtualServer>): string {
  return [...ipvsadmLines(services)].map((line) => `${line}\n`).join('');
}

/** The same, line by line. */
export function* ipvsadmLines(services: Iterable<VirtualServer>): Generator<string> {
  // First in our own order: theirs is none where addresses are half of all apart, and then it depends on what it is given.
  for (const { destinations, ...service } of sortBy(inOrder([...services]), serviceRank)) {
    yield changeArgs({ op: 'addService', service: service });
    for (const destination of sortBy(destinations, destinationRank)) {
      yield changeArgs({ op: 'addDestination', service: service as ServiceKey, destination });
    }
  }
}

// ipvsadm subtracts 32 bits from 32 bits and looks at the sign: what is 2^31 or more apart comes the other way round.
function sortBy<T>(items: readonly T[], rank: (item: T) => readonly number[]): T[] {
  return items
    .map((item) => ({ item, rank: rank(item) }))
    .sort((a, b) => compare(a.rank, b.rank))
    .map(({ item }) => item);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, value] of a.entries()) {
    const difference = (value - (b[i] ?? 0)) | 0;
    if (difference !== 0) return difference;
  }
  return 0;
}

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

function serviceRank(key: ServiceKey): number[] {
  if ('fwmark' in key) return [key.fwmark, key.family === 'ipv4' ? 0 : 1];
  const [family, ...words] = addressRank(key.address);
  return [0, family, PROTOCOLS[key.protocol], ...words, key.port];
}

function destinationRank({ address, port }: DestinationKey): number[] {
  const [, ...words] = addressRank(address);
  return [...words, port];
}

function addressRank(address: string): [family: number, ...words: number[]] {
  const bytes = Buffer.alloc(ADDRESS_BYTES);
  const family = writeAddress(address, bytes, 0) === 'ipv4' ? 0 : 1;
  return [family, ...[0, 4, 8, 12].map((at) => bytes.readUInt32BE(at))];
}
