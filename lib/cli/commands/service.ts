// ipvs service add and set. On the command line, set changes what is named and keeps the rest; the kernel replaces.
import type { Ipvs } from '../../client';
import { explain } from '../../explain';
import type {
  Persistence,
  SchedulerFlag,
  Service,
  ServiceKey,
  ServiceSettings,
  ServiceStatus,
} from '../../model';
import { WrongUse } from '../wrong';

const ESRCH = 3;

/** Options of `service add` and `service set`; `false` is what --no-… gives. */
export interface ServiceFlags {
  readonly scheduler?: string;
  readonly schedulerFlags?: string | false;
  readonly persistence?: number | false;
  readonly persistencePrefix?: number | false;
  readonly persistenceEngine?: string | false;
  readonly onePacket?: boolean;
  readonly replace?: true;
}

export async function addService(
  client: Ipvs,
  key: ServiceKey,
  flags: ServiceFlags,
): Promise<void> {
  await client.addService(withSettings(key, undefined, flags));
}

export async function setService(
  client: Ipvs,
  key: ServiceKey,
  flags: ServiceFlags,
): Promise<void> {
  if (flags.replace === true) {
    await client.setService(withSettings(key, undefined, flags));
    return;
  }
  const current = await client.service(key);
  if (current === undefined) throw explain(ESRCH, { operation: 'setService', service: key });
  await client.setService(withSettings(key, current, flags));
}

/** The service with the settings named in `flags`, and for the rest as it is, or by default. */
function withSettings(
  key: ServiceKey,
  current: ServiceStatus | undefined,
  flags: ServiceFlags,
): Service {
  const scheduler = flags.scheduler ?? current?.scheduler;
  const schedulerFlags = schedulerFlagsOf(current, flags);
  const persistence = persistenceOf(current?.persistence, flags);
  const onePacket = flags.onePacket ?? current?.onePacket;
  const settings: ServiceSettings = {
    ...(scheduler === undefined ? {} : { scheduler }),
    ...(schedulerFlags === undefined ? {} : { schedulerFlags }),
    ...(persistence === undefined ? {} : { persistence }),
    ...(onePacket === undefined ? {} : { onePacket }),
  };
  return { ...key, ...settings };
}

function schedulerFlagsOf(
  current: ServiceStatus | undefined,
  { scheduler, schedulerFlags }: ServiceFlags,
): readonly SchedulerFlag[] | undefined {
  if (schedulerFlags === false) return [];
  // The library knows which there are.
  if (schedulerFlags !== undefined) return schedulerFlags.split(',') as SchedulerFlag[];
  if (current === undefined) return undefined;
  // A flag is a bit whose meaning is the scheduler's own.
  const kept = scheduler === undefined || namesFlags(scheduler) === namesFlags(current.scheduler);
  return kept ? current.schedulerFlags : [];
}

function namesFlags(scheduler: string): boolean {
  return scheduler === 'sh' || scheduler === 'mh';
}

function persistenceOf(
  current: Persistence | undefined,
  flags: ServiceFlags,
): Persistence | undefined {
  const { persistence, persistencePrefix, persistenceEngine } = flags;
  const details = [
    typeof persistencePrefix === 'number' ? '--persistence-prefix' : undefined,
    typeof persistenceEngine === 'string' ? '--persistence-engine' : undefined,
  ].filter((name) => name !== undefined);
  const timeout = persistence === false ? undefined : (persistence ?? current?.timeout);
  if (timeout === undefined) {
    if (details.length === 0) return undefined;
    throw new WrongUse(
      `${details.join(' and ')}: there is no persistence to go with: give --persistence too`,
    );
  }
  const prefix = persistencePrefix ?? current?.prefix;
  const engine = persistenceEngine ?? current?.engine;
  return {
    timeout,
    ...(typeof prefix === 'number' ? { prefix } : {}),
    ...(typeof engine === 'string' ? { engine } : {}),
  };
}
