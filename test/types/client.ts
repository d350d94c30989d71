// What the clients promise, and what they refuse to compile. Nothing here runs: `npm run typecheck` is the test.
import { IpvsError, type Ipvs, type IpvsSync, type Outcome, type ServiceStatus } from '../../lib';
import { is } from './is';

declare const client: Ipvs;
declare const sync: IpvsSync;
declare const outcome: Outcome;
declare const status: ServiceStatus;
declare const error: unknown;

export async function asynchronous(): Promise<void> {
  is<Promise<ServiceStatus[]>>(client.services());
  is<ServiceStatus | undefined>(await client.service('tcp://10.0.0.1:80'));
  // @ts-expect-error absent is undefined
  is<ServiceStatus>(await client.service('tcp://10.0.0.1:80'));
  // @ts-expect-error seconds, not text
  await client.setTimeouts({ tcp: '15m' });
  // @ts-expect-error nothing is applied by wishing
  await client.apply('tcp://10.0.0.1:80');
  // @ts-expect-error there is no rollback to choose
  await client.apply([], { onError: 'rollback' });
  // @ts-expect-error closed is read
  client.closed = true;
  await using disposed = client;
  is<boolean>(disposed.closed);
}

export function synchronous(): void {
  is<ServiceStatus[]>(sync.services());
  is<Outcome[]>(sync.apply([], { onError: 'stop' }));
  // @ts-expect-error there is nothing to await in the synchronous client
  is<PromiseLike<unknown>>(sync.services());
  using disposed = sync;
  is<boolean>(disposed.closed);
}

export function results(): void {
  if (outcome.status === 'failed') is<IpvsError>(outcome.error);
  // @ts-expect-error only a failure has its error
  else is<IpvsError>(outcome.error);
  is<bigint>(status.stats.bytes.in);
  // @ts-expect-error totals outgrow numbers
  is<number>(status.stats.bytes.in);
  is<number>(status.stats.perSecond.bytesIn);
  // @ts-expect-error what was read is not written to
  status.scheduler = 'rr';
  if ('fwmark' in status) is<'ipv4' | 'ipv6'>(status.family);
  else is<string>(status.address);
  if (error instanceof IpvsError) {
    is<string>(error.code);
    // @ts-expect-error the kernel did not answer every failure with a number
    is<number>(error.errno);
  }
}
