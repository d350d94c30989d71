// Services and destinations in the words of ipvsadm(8), as `ipvsadm -S -n` of 1.31 writes them and `ipvsadm -R` reads them:
// no quotes, no names. Thresholds, which `-S` loses and `-R` takes, are written as well.
import { joinHostPort } from './address';
import { familyOf } from './id';
import type {
  Change,
  Destination,
  DestinationKey,
  Forward,
  Service,
  ServiceKey,
  Tunnel,
} from './model';
import { flagBits, flagsOf } from './settings';

const SERVICE_OPTIONS = { tcp: '-t', udp: '-u', sctp: '--sctp-service' } as const;
const FORWARD_OPTIONS: Readonly<Partial<Record<Forward, string>>> = { masq: '-m', tunnel: '-i' };

/** Which service: `-t 10.0.0.1:80`, `-f 8 -6`. */
export function serviceArgs(key: ServiceKey): string {
  if ('fwmark' in key) return key.family === 'ipv6' ? `-f ${key.fwmark} -6` : `-f ${key.fwmark}`;
  return `${SERVICE_OPTIONS[key.protocol]} ${joinHostPort(key.address, key.port)}`;
}

/** A service with its settings: `-t 10.0.0.1:80 -s wlc -p 300`. */
export function fullServiceArgs(service: Service): string {
  const { scheduler = 'wlc', schedulerFlags = [], persistence, onePacket = false } = service;
  let text = `${serviceArgs(service)} -s ${scheduler}`;
  if (persistence !== undefined) {
    const { timeout, prefix, engine } = persistence;
    text += ` -p ${timeout}${maskArgs(service, prefix)}`;
    if (engine !== undefined && engine !== '') text += ` --pe ${engine}`;
  }
  if (onePacket) text += ' -o';
  const flags = flagsOf(flagBits(schedulerFlags), scheduler);
  const names = flags.map((flag) => (flag.startsWith('flag-') ? flag : `${scheduler}-${flag}`));
  return names.length === 0 ? text : `${text} -b ${names.join(',')}`;
}

function maskArgs(key: ServiceKey, prefix: number | undefined): string {
  const bits = familyOf(key) === 'ipv4' ? 32 : 128;
  if (prefix === undefined || prefix === bits) return '';
  if (bits === 128) return ` -M ${prefix}`;
  const mask = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
  return ` -M ${[24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join('.')}`;
}

/** Which destination: `-r 192.0.2.10:8080`. */
export function destinationArgs(key: DestinationKey): string {
  return `-r ${joinHostPort(key.address, key.port)}`;
}

/** A destination with its settings: `-r 192.0.2.10:8080 -m -w 1`. */
export function fullDestinationArgs(destination: Destination): string {
  const { forward = 'masq', weight = 1, upperThreshold = 0, lowerThreshold = 0 } = destination;
  let text = `${destinationArgs(destination)} ${FORWARD_OPTIONS[forward] ?? '-g'} -w ${weight}`;
  if (upperThreshold !== 0) text += ` -x ${upperThreshold}`;
  if (lowerThreshold !== 0) text += ` -y ${lowerThreshold}`;
  return forward === 'tunnel' ? text + tunnelArgs(destination.tunnel) : text;
}

function tunnelArgs({ type, port, checksum = false }: Tunnel = { type: 'ipip' }): string {
  if (type === 'ipip') return ' --tun-type ipip';
  const sum = checksum === 'remote' ? 'remcsum' : checksum ? 'csum' : 'nocsum';
  return ` --tun-type ${type}${type === 'gue' ? ` --tun-port ${port ?? 0}` : ''} --tun-${sum}`;
}

/** A change as a line that `ipvsadm -R` takes, or the arguments of one call of ipvsadm. */
export function changeArgs(change: Change): string {
  switch (change.op) {
    case 'addService':
      return `-A ${fullServiceArgs(change.service)}`;
    case 'setService':
      return `-E ${fullServiceArgs(change.service)}`;
    case 'deleteService':
      return `-D ${serviceArgs(change.service)}`;
    case 'addDestination':
      return `-a ${serviceArgs(change.service)} ${fullDestinationArgs(change.destination)}`;
    case 'setDestination':
      return `-e ${serviceArgs(change.service)} ${fullDestinationArgs(change.destination)}`;
    case 'deleteDestination':
      return `-d ${serviceArgs(change.service)} ${destinationArgs(change.destination)}`;
  }
}
