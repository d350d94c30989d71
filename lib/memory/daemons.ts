// The sync daemons of the kernel in memory: net/netfilter/ipvs/ip_vs_sync.c, start_sync_thread.
import { constants } from 'node:os';
import { writeAddress } from '../address';
import { LAYOUT, Records } from '../records';

const { EEXIST, EINVAL, ENETUNREACH, ENODEV, ESRCH } = constants.errno;
const DAEMON = LAYOUT.DaemonRecord;
const MASTER = 1;
const BACKUP = 2;
const HAS_MAX_LENGTH = 1;
const HAS_PORT = 2;
const HAS_TTL = 4;
const HAS_ALL = HAS_MAX_LENGTH | HAS_PORT | HAS_TTL;
const AF_INET = 2;
const AF_INET6 = 10;

/** Network interfaces by name. */
export type Interfaces = ReadonlyMap<string, { readonly mtu: number; readonly up: boolean }>;

export class Daemons {
  readonly #interfaces: Interfaces;
  readonly #running = new Map<number, Uint8Array>();

  constructor(interfaces: Interfaces) {
    this.#interfaces = interfaces;
  }

  get any(): boolean {
    return this.#running.size > 0;
  }

  /** Returns 0 or an error number. `mixed`: some destination is of another family than its service. */
  start(request: Records, mixed: boolean): number {
    if (mixed) return EINVAL;
    const state = request.get32(DAEMON.state);
    const name = request.name(DAEMON.interface);
    const device = this.#interfaces.get(name);
    if (device === undefined) return ENODEV;
    if (this.#running.has(state)) return EEXIST;
    if (state !== MASTER && state !== BACKUP) return EINVAL;
    const record = effective(request, state, device.mtu);
    if (state === MASTER && !(device.up && reaches(name, record))) return ENETUNREACH;
    this.#running.set(state, record.bytes);
    return 0;
  }

  stop(request: Records): number {
    return this.#running.delete(request.get32(DAEMON.state)) ? 0 : ESRCH;
  }

  /** DaemonRecords, master first. */
  rows(): ArrayBuffer {
    const found = [MASTER, BACKUP].flatMap((state) => this.#running.get(state) ?? []);
    const to = Records.of(DAEMON.size, found.length);
    found.forEach((bytes, row) => {
      to.bytes.set(bytes, row * DAEMON.size);
    });
    return to.buffer;
  }
}

/** The settings in force: what was left out filled in, the length kept within what the role takes. */
function effective(request: Records, state: number, mtu: number): Records {
  const to = new Records(request.buffer.slice(0, DAEMON.size));
  const has = to.get32(DAEMON.has);
  if (to.get16(DAEMON.group_family) === 0) {
    writeAddress('224.0.0.81', to.bytes, DAEMON.group);
    to.u16[DAEMON.group_family >> 1] = AF_INET;
  }
  const headers = to.get16(DAEMON.group_family) === AF_INET6 ? 48 : 28;
  const [shortest, standard] = state === BACKUP ? [1024, clamp(mtu, 1500, 65535)] : [1, 1500];
  to.u16[DAEMON.max_length >> 1] =
    has & HAS_MAX_LENGTH
      ? clamp(to.get16(DAEMON.max_length), shortest, 65535 - headers)
      : standard - headers;
  if (!(has & HAS_PORT)) to.u16[DAEMON.port >> 1] = 8848;
  if (!(has & HAS_TTL)) to.bytes[DAEMON.ttl] = 1;
  to.u32[DAEMON.has >> 2] = HAS_ALL;
  return to;
}

/** A master connects its socket; there is no route for IPv6 multicast through loopback. */
function reaches(name: string, record: Records): boolean {
  return name !== 'lo' || record.get16(DAEMON.group_family) === AF_INET;
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
