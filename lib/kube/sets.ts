// The ip sets that rules look into, by the names kube-proxy gave them, and the lines that `ipset restore` takes.
import type { Family } from '../model';
import type { IpSet } from './types';

/** Every set, with its type. The last three are not kube-proxy's. */
const TYPES = {
  'KUBE-LOOP-BACK': 'hash:ip,port,ip',
  'KUBE-CLUSTER-IP': 'hash:ip,port',
  'KUBE-EXTERNAL-IP': 'hash:ip,port',
  'KUBE-EXTERNAL-IP-LOCAL': 'hash:ip,port',
  'KUBE-LOAD-BALANCER': 'hash:ip,port',
  'KUBE-LOAD-BALANCER-LOCAL': 'hash:ip,port',
  'KUBE-LOAD-BALANCER-FW': 'hash:ip,port',
  'KUBE-LOAD-BALANCER-SOURCE-CIDR': 'hash:ip,port,net',
  'KUBE-LOAD-BALANCER-SOURCE-IP': 'hash:ip,port,ip',
  'KUBE-NODE-PORT-TCP': 'bitmap:port',
  'KUBE-NODE-PORT-LOCAL-TCP': 'bitmap:port',
  'KUBE-NODE-PORT-UDP': 'bitmap:port',
  'KUBE-NODE-PORT-LOCAL-UDP': 'bitmap:port',
  'KUBE-NODE-PORT-SCTP-HASH': 'hash:ip,port',
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH': 'hash:ip,port',
  'KUBE-HEALTH-CHECK-NODE-PORT': 'bitmap:port',
  'KUBE-IPVS-IPS': 'hash:ip',
  'KUBE-NO-ENDPOINTS': 'hash:ip,port',
  'KUBE-NO-LOCAL-ENDPOINTS': 'hash:ip,port',
  'KUBE-EXTERNAL-MARK': 'hash:ip,port',
} as const;

export type SetName = keyof typeof TYPES;

/** The kernel's IPSET_MAXNAMELEN, less the NUL. */
const NAME_MAX = 31;
const MAXELEM = 65536;

/** The sets of one family while they are filled. */
export class Sets {
  readonly #entries = new Map<SetName, Set<string>>();

  constructor(readonly family: Family) {}

  add(set: SetName, entry: string): void {
    const entries = this.#entries.get(set);
    if (entries === undefined) this.#entries.set(set, new Set([entry]));
    else entries.add(entry);
  }

  has(set: SetName): boolean {
    return this.#entries.has(set);
  }

  /** The kernel's name of the set. */
  name(set: SetName): string {
    return this.family === 'ipv4' ? set : set.replace('KUBE-', 'KUBE-6-').slice(0, NAME_MAX);
  }

  /** All of them, empty ones too, with their kernel names. */
  all(): readonly (readonly [string, IpSet])[] {
    return (Object.keys(TYPES) as SetName[]).map((set) => {
      const entries = [...(this.#entries.get(set) ?? [])];
      const type = TYPES[set];
      const { family } = this;
      return [this.name(set), { type, family, create: this.#create(set, entries.length), entries }];
    });
  }

  #create(set: SetName, count: number): string {
    if (TYPES[set] === 'bitmap:port') return 'range 0-65535';
    let maxelem = MAXELEM;
    while (maxelem < count) maxelem *= 2;
    const family = this.family === 'ipv4' ? 'inet' : 'inet6';
    const extra = set === 'KUBE-EXTERNAL-MARK' ? ' skbinfo' : '';
    return `family ${family} hashsize 1024 maxelem ${maxelem}${extra}`;
  }
}

/** The names of all sets in both families, for whoever takes them away. @public */
export function setNames(): readonly string[] {
  return (['ipv4', 'ipv6'] as const).flatMap((family) =>
    new Sets(family).all().map(([name]) => name),
  );
}

/** Sets as input of `ipset restore -exist`: made where absent, and filled. @public */
export function ipsetRestore(sets: ReadonlyMap<string, IpSet>): string {
  const lines: string[] = [];
  for (const [name, { type, create }] of sets) lines.push(`create ${name} ${type} ${create}`);
  for (const [name, { entries }] of sets) {
    for (const entry of entries) lines.push(`add ${name} ${entry}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}
