// IPVS where the kernel has it and we may use it, iptables where not.
import type { Backend } from '../backend';
import { open, type Ipvs } from '../client';
import { InvalidInput, IpvsError, show } from '../errors';
import { explainFailure } from '../explain';
import { onlyNames } from '../settings';
import { IptablesBackend, type IptablesBackendOptions } from './backend';

/** What is to serve virtual servers, and where. @public */
export interface OpenBackendOptions {
  /** @defaultValue `'auto'`: IPVS when the kernel has it and this process may use it, else iptables */
  readonly backend?: 'auto' | 'ipvs' | 'iptables';
  /** A name under /run/netns, or a path. @defaultValue the caller's */
  readonly netns?: string;
  /** For iptables. */
  readonly iptables?: Omit<IptablesBackendOptions, 'netns'>;
}

/** What was opened, and why. @public */
export type OpenedBackend = AsyncDisposable & {
  /** One sentence, such as `IPVS: the kernel has it`. */
  readonly reason: string;
  close(): Promise<void>;
} & (
    | { readonly kind: 'ipvs'; readonly backend: Ipvs }
    | { readonly kind: 'iptables'; readonly backend: IptablesBackend }
  );

/** No IPVS here, or not for us; anything else is trouble that another way would only hide. */
const NOT_HERE = ['ERR_IPVS_UNAVAILABLE', 'EPERM', 'EACCES'];

/**
 * Opens what serves virtual servers on this host: a `Backend` for `reconcile` and `applyPlan`, whichever it is. Rejects
 * with an IpvsError; where neither can be used it says why of both.
 * @public
 */
export async function openBackend(options: OpenBackendOptions = {}): Promise<OpenedBackend> {
  const { backend = 'auto', netns, iptables = {} } = options;
  try {
    onlyNames('backend', { ...options }, ['backend', 'netns', 'iptables']);
    if (!['auto', 'ipvs', 'iptables'].includes(backend)) {
      throw new InvalidInput(`backend: ${show(backend)} is none: use 'auto', 'ipvs' or 'iptables'`);
    }
  } catch (error) {
    throw explainFailure(error, { operation: 'openBackend' });
  }
  const place = netns === undefined ? {} : { netns };
  // Made first, so that bad options are found whatever is opened.
  const rules = new IptablesBackend({ ...iptables, ...place });
  if (backend === 'iptables') return openRules(rules, 'iptables: it was asked for');
  try {
    const client = await openIpvs(place);
    const why = backend === 'ipvs' ? 'it was asked for' : 'the kernel has it';
    return opened({ kind: 'ipvs' as const, backend: client, reason: `IPVS: ${why}` }, () =>
      client.close(),
    );
  } catch (error) {
    const isNotHere = error instanceof IpvsError && NOT_HERE.includes(error.code);
    if (backend === 'ipvs' || !isNotHere) throw error;
    const reason = `iptables: IPVS cannot be used: ${error.message}`;
    return openRules(rules, reason).catch((second: unknown) => {
      throw neither(error, second);
    });
  }
}

// The kernel says who may use it when it is asked something.
async function openIpvs(place: { readonly netns?: string }): Promise<Ipvs> {
  const client = await open(place);
  try {
    await client.info();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

async function openRules(backend: IptablesBackend, reason: string): Promise<OpenedBackend> {
  await backend.snapshot();
  return opened({ kind: 'iptables' as const, backend, reason }, () => Promise.resolve());
}

function opened<T extends { readonly backend: Backend; readonly reason: string }>(
  what: T,
  close: () => Promise<void>,
): T & AsyncDisposable & { close(): Promise<void> } {
  return { ...what, close, [Symbol.asyncDispose]: close };
}

function neither(first: IpvsError, second: unknown): IpvsError {
  const why = second instanceof Error ? second.message : String(second);
  return new IpvsError(`openBackend: ${first.message}; nor can iptables: ${why}`, {
    code: second instanceof IpvsError ? second.code : first.code,
    operation: 'openBackend',
    cause: second,
  });
}
