// What the contract suite stands on: a place with a kernel in it, and how a refusal must look.
import { inspect } from 'node:util';
import type { Ipvs, IpvsSync } from '../../lib/client';
import type { Connection } from '../../lib/connections';
import { IpvsError } from '../../lib/errors';
import { destinationId, serviceId } from '../../lib/id';
import type {
  DestinationKey,
  ServiceKey,
  SyncDaemon,
  Timeouts,
  VirtualServerStatus,
} from '../../lib/model';

/** Interfaces every place has beside loopback: up, down, and up with a name beyond ASCII; each with an MTU of 1500. */
export const DEVICE = 'dm0';
export const DOWN_DEVICE = 'dn0';
export const FOREIGN_DEVICE = 'dé0';

/** A kernel to try things on, with a client of it. Nobody else changes its table. */
export interface Place {
  readonly client: Ipvs;
  /** Another client of the same kernel. */
  open(): Promise<Ipvs>;
  /** Makes entries of the connection table: of states that feed.ts knows, and with one engine, `sip`. */
  connect(rows: readonly Connection[]): Promise<void>;
  release(): Promise<void>;
}
export type MakePlace = () => Promise<Place>;

/** The place that tests of one suite share; each test finds it empty. */
export class Here {
  readonly make: MakePlace;
  #place: Place | undefined;

  constructor(make: MakePlace) {
    this.make = make;
    beforeAll(async () => {
      this.#place = await make();
    });
    beforeEach(() => this.#clear());
    afterAll(() => this.#place?.release());
  }

  get client(): Ipvs {
    if (this.#place === undefined) throw new Error('there is a place only inside tests');
    return this.#place.client;
  }

  async open(): Promise<Ipvs> {
    if (this.#place === undefined) throw new Error('there is a place only inside tests');
    return this.#place.open();
  }

  async #clear(): Promise<void> {
    await this.client.flush();
    for (const { role } of await this.client.daemons()) await this.client.stopDaemon({ role });
    await this.client.setTimeouts({ tcp: 900, tcpFin: 120, udp: 300 });
  }

  /** A place of one's own, for what would slow down or disturb the others. */
  async elsewhere(use: (place: Place) => Promise<void>): Promise<void> {
    const place = await this.make();
    try {
      await use(place);
    } finally {
      await place.release();
    }
  }
}

/** Everything there is to know of a kernel but its counters, services in an order of our own. */
export interface State {
  readonly servers: readonly VirtualServerStatus[];
  readonly timeouts: Timeouts;
  readonly daemons: readonly SyncDaemon[];
}

export async function stateOf(client: Ipvs): Promise<State> {
  return {
    servers: inOrder(await client.snapshot()),
    timeouts: await client.timeouts(),
    daemons: await client.daemons(),
  };
}

/** The kernel lists services in the order of a hash; destinations keep theirs. */
export function inOrder<T extends ServiceKey>(services: readonly T[]): T[] {
  return [...services].sort((a, b) => (serviceId(a) < serviceId(b) ? -1 : 1));
}

/** What a refusal must look like. */
export interface Refused {
  readonly code: string;
  readonly operation: string;
  readonly service?: ServiceKey | undefined;
  readonly destination?: DestinationKey | undefined;
  /** Words of the reason, and of what to do. */
  readonly words: RegExp;
}

/** Expects one clear error, and a kernel that is as it was. */
export async function refused(
  client: Ipvs,
  action: (client: Ipvs) => Promise<unknown>,
  { code, operation, service, destination, words }: Refused,
): Promise<void> {
  const before = await stateOf(client);
  const error = await failureOf(action(client));
  expect(error).toBeInstanceOf(IpvsError);
  const { message, ...fields } = error as IpvsError;
  expect({ message, ...fields }).toMatchObject({ code, operation });
  expect(error).toMatchObject({ name: 'IpvsError' });
  expect((error as IpvsError).service).toEqual(service);
  expect((error as IpvsError).destination).toEqual(destination);
  expect(message).toMatch(words);
  const asked = [
    operation,
    ...(service === undefined ? [] : [serviceId(service)]),
    ...(destination === undefined ? [] : [destinationId(destination)]),
  ].join(' ');
  expect(message.startsWith(`${asked}: `)).toBe(true);
  expect(message).not.toContain('\n');
  expect(await stateOf(client)).toEqual(before);
}

/** What the promise is rejected with; fails when it is not. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`expected a refusal, got ${inspect(value)}`);
}

/** A synchronous client in the clothes of an asynchronous one, so that both pass the same suite. */
export function asynchronously(client: IpvsSync): Ipvs {
  return new Proxy(client, {
    get(target, name) {
      if (name === 'closed') return target.closed;
      const key = name === Symbol.asyncDispose ? Symbol.dispose : (name as keyof IpvsSync);
      const method = target[key] as ((...args: unknown[]) => unknown) | undefined;
      // Not a thenable, above all.
      if (method === undefined) return undefined;
      return (...args: unknown[]) =>
        new Promise((resolve) => {
          resolve(method.apply(target, args));
        });
    },
  }) as unknown as Ipvs;
}

export const NO_STATS = {
  connections: 0n,
  packets: { in: 0n, out: 0n },
  bytes: { in: 0n, out: 0n },
  perSecond: { connections: 0, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 },
} as const;

export const WEB = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
export const WEB6 = { protocol: 'tcp', address: '2001:db8::1', port: 80 } as const;
export const DNS = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const;
export const SCTP = { protocol: 'sctp', address: '10.0.0.1', port: 132 } as const;
export const MARK = { fwmark: 7, family: 'ipv4' } as const;
export const MARK6 = { fwmark: 7, family: 'ipv6' } as const;

export const A = { address: '192.0.2.1', port: 8080 } as const;
export const B = { address: '192.0.2.2', port: 8080 } as const;
export const A6 = { address: '2001:db8::a', port: 8080 } as const;

/** A destination as the kernel reports it when nothing but its key was set. */
export const plain = (key: DestinationKey): object => ({
  ...key,
  forward: 'masq',
  weight: 1,
  upperThreshold: 0,
  lowerThreshold: 0,
  activeConnections: 0,
  inactiveConnections: 0,
  persistentConnections: 0,
  stats: NO_STATS,
});
