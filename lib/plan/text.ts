// A change as a line for people: `+ ~ -`, what it is about, and for an edit what was before.
import { destinationId, familyOf, serviceId } from '../id';
import type { Change, Destination, Service } from '../model';
import { flagBits, flagsOf } from '../settings';

/** A change of a plan, and what it changes. */
export interface Step {
  readonly change: Change;
  /** What was there before, of what an edit changes. */
  readonly before?: Service | Destination | undefined;
  /** Capacity gained goes first, capacity lost last. */
  readonly effect: 'gain' | 'edit' | 'loss';
  /** Weight 0 for a destination that leaves once its connections are gone. */
  readonly drains?: boolean;
}

/** A setting in words; those that are `plain` go without saying where nothing changed. */
interface Field {
  readonly name: string;
  readonly text: string;
  readonly plain: boolean;
}

export function lineOf({ change, before, drains = false }: Step): string {
  const { op, service } = change;
  const id = serviceId(service);
  switch (op) {
    case 'addService':
      return `+ ${id}${said(serviceFields(change.service))}`;
    case 'setService':
      return `~ ${id}${edited(serviceFields(before as Service), serviceFields(change.service))}`;
    case 'deleteService':
      return `- ${id}`;
    case 'addDestination':
      return `+ ${id} ${destinationId(change.destination)}${said(destinationFields(change.destination))}`;
    case 'setDestination': {
      const fields = destinationFields(change.destination);
      const edit = edited(destinationFields(before as Destination), fields);
      return `~ ${id} ${destinationId(change.destination)}${edit}${drains ? ' (drains)' : ''}`;
    }
    case 'deleteDestination':
      return `- ${id} ${destinationId(change.destination)}`;
  }
}

function said(fields: readonly Field[]): string {
  return fields
    .filter(({ plain }) => !plain)
    .map(({ name, text }) => ` ${name} ${text}`)
    .join('');
}

function edited(before: readonly Field[], after: readonly Field[]): string {
  const edits = after.flatMap(({ name, text }, i) => {
    const old = before[i]?.text ?? '';
    return old === text ? [] : [` ${name} ${old} → ${text}`];
  });
  return edits.join(',');
}

function serviceFields(service: Service): Field[] {
  const { scheduler = 'wlc', schedulerFlags = [], persistence, onePacket = false } = service;
  const flags = flagsOf(flagBits(schedulerFlags), scheduler);
  const bits = familyOf(service) === 'ipv4' ? 32 : 128;
  const prefix = persistence?.prefix ?? bits;
  return [
    { name: 'scheduler', text: scheduler, plain: false },
    { name: 'flags', text: flags.join('+') || 'none', plain: flags.length === 0 },
    {
      name: 'persistence',
      text: persistence === undefined ? 'none' : `${persistence.timeout} s`,
      plain: persistence === undefined,
    },
    { name: 'prefix', text: `/${prefix}`, plain: prefix === bits },
    {
      name: 'engine',
      text: persistence?.engine ?? 'none',
      plain: persistence?.engine === undefined,
    },
    { name: 'one-packet', text: onePacket ? 'yes' : 'no', plain: !onePacket },
  ];
}

function destinationFields(destination: Destination): Field[] {
  const { forward = 'masq', weight = 1, upperThreshold = 0, lowerThreshold = 0 } = destination;
  const tunnel = forward === 'tunnel' ? tunnelText(destination) : 'none';
  return [
    { name: 'forward', text: forward, plain: false },
    { name: 'weight', text: String(weight), plain: false },
    { name: 'upper-threshold', text: String(upperThreshold), plain: upperThreshold === 0 },
    { name: 'lower-threshold', text: String(lowerThreshold), plain: lowerThreshold === 0 },
    { name: 'tunnel', text: tunnel, plain: tunnel === 'none' },
  ];
}

function tunnelText({ tunnel = { type: 'ipip' } }: Destination): string {
  const { type, port, checksum = false } = tunnel;
  const name = port === undefined || type !== 'gue' ? type : `${type}:${port}`;
  if (checksum === 'remote') return `${name} with remote checksum`;
  return checksum ? `${name} with checksum` : name;
}
