// The IPVS kernel in memory: records in, records out, refusals as error numbers. What is refused, and which reason wins
// when there are several, follows net/netfilter/ipvs/ip_vs_ctl.c of Linux 6.1 (ip_vs_genl_set_cmd); the contract suite
// and the model test hold it to the real kernel.
import { constants } from 'node:os';
import { Op } from '../native';
import { Command, LAYOUT, NOT_TRIED, Records } from '../records';
import { isOneHost } from './addresses';
import { Connections } from './connections';
import { Daemons, type Interfaces } from './daemons';
import {
  destinationIdentity,
  destinationRows,
  serviceIdentity,
  serviceKeyBytes,
  serviceRows,
  settingsBytes,
  type DestinationEntry,
  type ServiceEntry,
} from './rows';

const { EEXIST, EINVAL, ENOENT, ESRCH } = constants.errno;
const CHANGE = LAYOUT.ChangeRecord;
const SETTINGS = LAYOUT.ServiceSettings;
const DESTINATION = LAYOUT.DestinationSettings;
const KEY_FAMILY = LAYOUT.ServiceKey.family;
const NOTHING = new ArrayBuffer(0);
/** Slots of a Maglev table (CONFIG_IP_VS_MH_TAB_INDEX=12): it serves no more destinations than that. */
const MAGLEV_SLOTS = 4093;
/** A service without scheduler takes no new connections; no module stands behind the name. */
const NO_SCHEDULER = 'none';
const NO_CONNECTIONS = Object.freeze({ active: 0, inactive: 0, persistent: 0 });

/** What this kernel has. */
export interface Equipment {
  readonly schedulers: ReadonlySet<string>;
  readonly engines: ReadonlySet<string>;
  readonly interfaces: Interfaces;
  readonly connectionTableSize: number;
}

/** Thrown when a whole call fails; changes answer with numbers instead. */
export class Refusal extends Error {
  constructor(readonly errno: number) {
    super(`error ${errno}`);
  }
}

export class Kernel {
  readonly connections = new Connections();
  readonly #equipment: Equipment;
  readonly #services = new Map<string, ServiceEntry>();
  readonly #daemons: Daemons;
  readonly #timeouts = new Uint32Array([900, 120, 300]);
  /** Destinations of another family than their service: the sync protocol cannot carry them. */
  #mixed = 0;

  constructor(equipment: Equipment) {
    this.#equipment = equipment;
    this.#daemons = new Daemons(equipment.interfaces);
  }

  /** Does what the addon does for the same call. Throws Refusal. */
  call(op: Op, request: Records): ArrayBuffer {
    switch (op) {
      case Op.apply:
        return this.#apply(request, false);
      case Op.applyUntilError:
        return this.#apply(request, true);
      case Op.services:
        return serviceRows([...this.#services.values()]);
      case Op.service:
        return serviceRows(this.find(request, 0) ?? []);
      case Op.destinations:
      case Op.destinationSettings:
        return destinationRows(rowsOf(request).map((row) => this.find(request, row)?.[0]));
      case Op.info:
        return Uint32Array.of(0x010201, this.#equipment.connectionTableSize).buffer;
      case Op.timeouts:
        return this.#timeouts.slice().buffer;
      case Op.setTimeouts:
        request.u32.forEach((seconds, i) => {
          if (seconds !== 0) this.#timeouts[i] = seconds;
        });
        return NOTHING;
      case Op.zero:
        return this.#zero(request);
      case Op.flush:
        this.#services.clear();
        this.#mixed = 0;
        return NOTHING;
      case Op.daemons:
        return this.#daemons.rows();
      case Op.startDaemon:
        return done(this.#daemons.start(request, this.#mixed > 0));
      case Op.stopDaemon:
        return done(this.#daemons.stop(request));
    }
  }

  /** The service that a ChangeRecord names, in a list of its own; undefined when there is none. */
  find(request: Records, row: number): [ServiceEntry] | undefined {
    const service = this.#services.get(serviceIdentity(request, row));
    return service === undefined ? undefined : [service];
  }

  #apply(request: Records, untilError: boolean): ArrayBuffer {
    const answers = new Int32Array(rowsOf(request).length).fill(NOT_TRIED);
    for (let row = 0; row < answers.length; row++) {
      const errno = this.#change(request, row);
      answers[row] = errno;
      if (untilError && errno !== 0) break;
    }
    return answers.buffer;
  }

  #change(request: Records, row: number): number {
    const command = request.get32(row * CHANGE.size + CHANGE.command);
    const id = serviceIdentity(request, row);
    const service = this.#services.get(id);
    if (command === Command.addService) {
      return service === undefined ? this.#addService(request, row, id) : EEXIST;
    }
    if (service === undefined) return ESRCH;
    switch (command) {
      case Command.setService:
        return this.#setService(request, row, service);
      case Command.deleteService:
        for (const destination of service.destinations.values()) this.#forget(service, destination);
        this.#services.delete(id);
        return 0;
      case Command.addDestination:
      case Command.setDestination:
        return this.#putDestination(request, row, service, command === Command.addDestination);
      case Command.deleteDestination:
        return this.#deleteDestination(request, row, service);
      default:
        return EINVAL;
    }
  }

  #addService(request: Records, row: number, id: string): number {
    const settings = settingsBytes(request, row).slice();
    if (!this.#hasModules(settings)) return ENOENT;
    const key = serviceKeyBytes(request, row).slice();
    this.#services.set(id, { key, settings, destinations: new Map(), stats: undefined });
    return 0;
  }

  #setService(request: Records, row: number, service: ServiceEntry): number {
    const settings = settingsBytes(request, row).slice();
    if (!this.#hasModules(settings)) return ENOENT;
    // The scheduler declines a service it has no room for, and the old one stays.
    const toMaglev = schedulerOf(settings) === 'mh' && schedulerOf(service.settings) !== 'mh';
    if (toMaglev && service.destinations.size > MAGLEV_SLOTS) return EINVAL;
    service.settings = settings;
    return 0;
  }

  // The kernel tries to load what it does not have; here a name is there or not.
  #hasModules(settings: Uint8Array): boolean {
    const scheduler = schedulerOf(settings);
    const engine = new Records(settings.buffer as ArrayBuffer).name(SETTINGS.engine);
    const { schedulers, engines } = this.#equipment;
    return (
      (scheduler === NO_SCHEDULER || schedulers.has(scheduler)) &&
      (engine === '' || engines.has(engine))
    );
  }

  #putDestination(request: Records, row: number, service: ServiceEntry, add: boolean): number {
    const settings = settingsBytes(request, row).slice();
    const mixed = isMixed(service, settings);
    if (mixed && this.#daemons.any) return EINVAL;
    const id = destinationIdentity(request, row);
    const known = service.destinations.get(id);
    if (!add) {
      if (known === undefined) return ENOENT;
      known.settings = settings;
      return 0;
    }
    if (known !== undefined) return EEXIST;
    if (!isOneHost(request, row * CHANGE.size + CHANGE.destination)) return EINVAL;
    service.destinations.set(id, { settings, connections: NO_CONNECTIONS, stats: undefined });
    if (mixed) this.#mixed++;
    return 0;
  }

  #deleteDestination(request: Records, row: number, service: ServiceEntry): number {
    const id = destinationIdentity(request, row);
    const destination = service.destinations.get(id);
    if (destination === undefined) return ENOENT;
    this.#forget(service, destination);
    service.destinations.delete(id);
    return 0;
  }

  #forget(service: ServiceEntry, destination: DestinationEntry): void {
    if (isMixed(service, destination.settings)) this.#mixed--;
  }

  #zero(request: Records): ArrayBuffer {
    const all = request.bytes.length === 0;
    const services = all ? [...this.#services.values()] : this.find(request, 0);
    if (services === undefined) throw new Refusal(ESRCH);
    for (const service of services) {
      service.stats = undefined;
      for (const destination of service.destinations.values()) destination.stats = undefined;
    }
    return NOTHING;
  }
}

function rowsOf(request: Records): number[] {
  return Array.from({ length: request.bytes.length / CHANGE.size }, (_, row) => row);
}

function schedulerOf(settings: Uint8Array): string {
  return new Records(settings.buffer as ArrayBuffer).name(SETTINGS.scheduler);
}

// The family is a host-order u16 in both records.
function isMixed(service: ServiceEntry, settings: Uint8Array): boolean {
  return [0, 1].some((i) => service.key[KEY_FAMILY + i] !== settings[DESTINATION.family + i]);
}

function done(errno: number): ArrayBuffer {
  if (errno !== 0) throw new Refusal(errno);
  return NOTHING;
}
