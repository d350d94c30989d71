// Changes as records. Most changes of a large apply are plain: those are checked and written in one go, with nothing made on
// the way but bytes. All others, and all that is wrong, take the long way through settings.ts, which has the words; a test
// holds the two ways together.
import { writeAddress } from './address';
import { InvalidInput, show } from './errors';
import { toDestinationKey, toServiceKey } from './id';
import { Command, LAYOUT, Records } from './layout';
import type { Family, ServiceKey } from './model';
import { hasDestinationNames, INT_MAX, isRecord, isWhole, type Loose } from './plain';
import {
  AF_INET,
  AF_INET6,
  FORWARDS,
  keyOnly,
  PROTOCOL_NUMBERS,
  writeDestination,
  writeServiceChange,
} from './records';
import { toFullDestination, toFullService } from './settings';

/** A change as a client's own methods take it: named by key or by id. */
export type LooseChange = {
  readonly op: keyof typeof Command;
  readonly service: unknown;
  readonly destination?: unknown;
};

const NOTHING: Partial<LooseChange> = {};

const { size: SIZE, service: KEY_AT, settings: SETTINGS_AT } = LAYOUT.ChangeRecord;
const KEY = LAYOUT.ServiceKey;
const SETTINGS = LAYOUT.ServiceSettings;
const DESTINATION = LAYOUT.DestinationSettings;

/** Checks changes and writes them as records. */
export class ChangeWriter {
  // Destinations of one service come in a row: it is read once. Its fields are remembered, as the object may change.
  #protocol: unknown;
  #address: unknown;
  #port: unknown;
  #knownFamily: Family | undefined;
  readonly #knownRecord = Records.of(KEY.size, 1);
  // The same for services named otherwise, which never change.
  #id = '';
  #idKey: ServiceKey | undefined;
  // A name that was found right.
  #scheduler: unknown;

  write(to: Records, row: number, change: LooseChange): void {
    // Not Object(change), which costs as much as all of the rest.
    const { op, service, destination } = (change as LooseChange | null | undefined) ?? NOTHING;
    switch (op) {
      case 'addService':
      case 'setService':
        if (!this.#plainService(to, row, Command[op], service)) {
          this.#service(to, row, Command[op], service);
        }
        return;
      case 'deleteService':
        writeServiceChange(to, row, Command[op], toServiceKey(service));
        return;
      case 'addDestination':
      case 'setDestination':
        if (!this.#plainDestination(to, row, Command[op], service, destination)) {
          const key = this.#key(service);
          const full = toFullDestination(key, destination);
          writeServiceChange(to, row, Command[op], key);
          writeDestination(to, row, full);
        }
        return;
      case 'deleteDestination': {
        const full = keyOnly(toDestinationKey(destination));
        writeServiceChange(to, row, Command[op], this.#key(service));
        writeDestination(to, row, full);
        return;
      }
      default:
        throw new InvalidInput(
          `op: ${show(op)} is no change: use ${Object.keys(Command).join(', ')}`,
        );
    }
  }

  #service(to: Records, row: number, command: number, service: unknown): void {
    const full = toFullService(service);
    writeServiceChange(to, row, command, full.key, full);
    this.#scheduler = full.scheduler;
  }

  #key(service: unknown): ServiceKey {
    if (typeof service !== 'string') return toServiceKey(service);
    if (this.#idKey === undefined || service !== this.#id) {
      this.#idKey = toServiceKey(service);
      this.#id = service;
    }
    return this.#idKey;
  }

  // What follows reads each field once: what was checked is what is written, whatever getters do.

  /** Writes a service of nothing but key and scheduler; false when it is more, or wrong. */
  #plainService(to: Records, row: number, command: number, service: unknown): boolean {
    if (!isRecord(service)) return false;
    for (const name in service) if (!isPlainSetting(name)) return false;
    const { scheduler } = service;
    if (typeof scheduler !== 'string' || scheduler !== this.#scheduler) return false;
    // Port 0 goes with persistence alone.
    if (!this.#remember(service) || this.#port === 0) return false;
    const offset = this.#start(to, row, command);
    to.clear(offset + SETTINGS_AT, SETTINGS.size);
    const at = (offset + SETTINGS_AT) >> 2;
    to.u32[at + (SETTINGS.netmask >> 2)] = this.#knownFamily === 'ipv6' ? 128 : 0xffffffff;
    to.setName(offset + SETTINGS_AT + SETTINGS.scheduler, scheduler);
    return true;
  }

  /** Writes a destination without a tunnel; false when it has one, or when something is wrong. */
  #plainDestination(
    to: Records,
    row: number,
    command: number,
    service: unknown,
    destination: unknown,
  ): boolean {
    if (!isRecord(service) || !isRecord(destination)) return false;
    if (!this.#remember(service)) return false;
    if (!hasDestinationNames(destination)) return false;
    const { address, port, forward = 'masq', weight = 1 } = destination;
    const { upperThreshold = 0, lowerThreshold = 0, tunnel } = destination;
    if (typeof address !== 'string' || !isWhole(port, 65535) || tunnel !== undefined) return false;
    if (!isWhole(weight, INT_MAX) || !isWhole(upperThreshold, INT_MAX)) return false;
    if (!isWhole(lowerThreshold, INT_MAX) || lowerThreshold > upperThreshold) return false;
    const crosses = forward === 'tunnel';
    if (!crosses && forward !== 'masq' && forward !== 'route') return false;
    if (forward !== 'masq' && port !== this.#port) return false;

    const at = this.#start(to, row, command) + SETTINGS_AT;
    const family = writeAddress(address, to.bytes, at + DESTINATION.address);
    if (family === undefined || (family !== this.#knownFamily && !crosses)) return false;
    to.u16[(at + DESTINATION.family) >> 1] = family === 'ipv6' ? AF_INET6 : AF_INET;
    to.u16[(at + DESTINATION.port) >> 1] = port;
    to.u32[(at + DESTINATION.forward) >> 2] = FORWARDS.indexOf(forward);
    to.u32[(at + DESTINATION.weight) >> 2] = weight;
    to.u32[(at + DESTINATION.upper_threshold) >> 2] = upperThreshold;
    to.u32[(at + DESTINATION.lower_threshold) >> 2] = lowerThreshold;
    to.clear(at + DESTINATION.tunnel_type, DESTINATION.size - DESTINATION.tunnel_type);
    return true;
  }

  /** Reads the key of a service named by protocol, address and port, unless it is the one of before. */
  #remember(service: Loose): boolean {
    const { protocol, address, port, family, fwmark } = service;
    if (family !== undefined || fwmark !== undefined) return false;
    const known = this.#knownFamily !== undefined && address === this.#address;
    if (known && port === this.#port && protocol === this.#protocol) return true;
    this.#knownFamily = undefined;
    if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') return false;
    if (typeof address !== 'string' || !isWhole(port, 65535)) return false;
    const record = this.#knownRecord;
    record.clear(0, KEY.size);
    const found = writeAddress(address, record.bytes, KEY.address);
    if (found === undefined) return false;
    record.u16[KEY.family >> 1] = found === 'ipv6' ? AF_INET6 : AF_INET;
    record.u16[KEY.protocol >> 1] = PROTOCOL_NUMBERS[protocol];
    record.u16[KEY.port >> 1] = port;
    this.#protocol = protocol;
    this.#address = address;
    this.#port = port;
    this.#knownFamily = found;
    return true;
  }

  /** Writes the command and the service's key; returns where the row is. All bytes of the settings are left to the caller. */
  #start(to: Records, row: number, command: number): number {
    const offset = row * SIZE;
    to.u32[offset >> 2] = command;
    to.copy(offset + KEY_AT, KEY.size, this.#knownRecord);
    return offset;
  }
}

// Comparing names that are constants is faster than looking them up.
function isPlainSetting(name: string): boolean {
  return name === 'protocol' || name === 'address' || name === 'port' || name === 'scheduler';
}
