// What a service may ask of IPVS through annotations. A bad one is a problem, and the default applies.
import { InvalidInput, show } from '../errors';
import { parseLenient } from './cidr';
import { SCHEDULERS, toFullService } from '../settings';
import type { SchedulerFlag } from '../model';
import type { Json, Report } from './read';
import type { Place } from './slices';
import type { IpvsSettings } from './types';

const PREFIX = 'ipvs/';
const NAMES = ['scheduler', 'scheduler-flags', 'forward', 'weights'];
const WEIGHT_MAX = 65535;

/** Annotations of a service, read. */
export interface Asked {
  readonly settings: IpvsSettings;
  readonly weightOf: ((place: Place) => number) | undefined;
}

const NOTHING: Asked = { settings: {}, weightOf: undefined };

/** Reads the annotations that are ours. */
export function readAnnotations(annotations: Json, report: Report): Asked {
  let any = false;
  for (const name in annotations) {
    if (!name.startsWith(PREFIX)) continue;
    any = true;
    if (NAMES.includes(name.slice(PREFIX.length))) continue;
    report(
      `annotation ${show(name)}: there are ${PREFIX}${NAMES.join(`, ${PREFIX}`)}; passed over`,
    );
  }
  if (!any) return NOTHING;
  const value = <T>(name: string, read: (text: string) => T): T | undefined => {
    const given = annotations[PREFIX + name];
    if (given === undefined) return undefined;
    try {
      if (typeof given === 'string') return read(given.trim());
      throw new InvalidInput(`${show(given)} is not text`);
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      report(`annotation ${PREFIX}${name}: ${error.problem}; the default applies`);
      return undefined;
    }
  };
  const scheduler = value('scheduler', toScheduler);
  const schedulerFlags = value('scheduler-flags', (text) => toFlags(text, scheduler));
  const forward = value('forward', toForward);
  return {
    settings: {
      ...(scheduler && { scheduler }),
      ...(schedulerFlags && { schedulerFlags }),
      ...(forward && { forward }),
    },
    weightOf: value('weights', toWeights),
  };
}

// By the kernel any name is a scheduler; a misspelt one would fail only on the node.
function toScheduler(text: string): string {
  if ((SCHEDULERS as readonly string[]).includes(text)) return text;
  throw new InvalidInput(`${show(text)} is no scheduler: use one of ${SCHEDULERS.join(', ')}`);
}

function toFlags(text: string, scheduler: string | undefined): readonly SchedulerFlag[] {
  if (scheduler === undefined) {
    throw new InvalidInput(`needs ${PREFIX}scheduler beside it, as flags are a scheduler's own`);
  }
  const service = { protocol: 'tcp', address: '192.0.2.1', port: 1, scheduler };
  return toFullService({ ...service, schedulerFlags: words(text) }).schedulerFlags;
}

function toForward(text: string): 'masq' | 'route' | 'tunnel' {
  if (text === 'masq' || text === 'route' || text === 'tunnel') return text;
  throw new InvalidInput(`${show(text)} is no forward method: use masq, route or tunnel`);
}

// `address/10.1.0.5=3, node/worker-1=2, zone/a=4, default=1`: the first that fits counts.
function toWeights(text: string): (place: Place) => number {
  const rules = words(text).map((word) => {
    const match = /^(?:(address|node|zone)\/(.+)|default)=(\d{1,5})$/.exec(word);
    const weight = Number(match?.[3]);
    if (match === null || weight > WEIGHT_MAX) {
      throw new InvalidInput(
        `${show(word)} is no weight: write address/ADDRESS=N, node/NAME=N, zone/NAME=N or default=N, N from 0 to ${WEIGHT_MAX}`,
      );
    }
    return { fits: matcher(match[1], match[2] ?? ''), weight };
  });
  return (place) => rules.find(({ fits }) => fits(place))?.weight ?? 1;
}

function matcher(by: string | undefined, name: string): (place: Place) => boolean {
  if (by === undefined) return () => true;
  if (by === 'node') return (place) => place.node === name;
  if (by === 'zone') return (place) => place.zone === name;
  const parsed = parseLenient(name);
  if (parsed === undefined) throw new InvalidInput(`${show(name)} is no address`);
  return (place) => place.address === parsed.address;
}

function words(text: string): readonly string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}
