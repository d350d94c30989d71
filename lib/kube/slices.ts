// Endpoint slices: what they say of each endpoint, by service, port and family. Slices of one service commute: however its
// endpoints are spread over them, the lists come out the same.
import { joinHostPort } from '../address';
import { show } from '../errors';
import type { Family, Protocol } from '../model';
import { parseLenient } from './cidr';
import type { Node } from './node';
import {
  booleanAt,
  compareText,
  isName,
  isPort,
  listAt,
  namespaceOf,
  recordAt,
  toRecord,
} from './read';
import type { Json, Report } from './read';
import type { Endpoint } from './types';

/** One address of a slice, with what matters for choosing it. */
export interface Member {
  readonly address: string;
  readonly local: boolean;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** Whether the zone hints name this node's zone; undefined without hints. */
  readonly zone: boolean | undefined;
  /** The same of the node hints. */
  readonly node: boolean | undefined;
  readonly place: Place;
}

/** Where an endpoint is, for weights by place. */
export interface Place {
  readonly address: string;
  readonly node: unknown;
  readonly zone: unknown;
}

/** A slice that can be used. */
interface Slice {
  readonly ports: readonly {
    readonly name: string;
    readonly protocol: Protocol;
    readonly port: number;
  }[];
  readonly members: readonly Member[];
}

/** An endpoint of one port with its conditions. */
export interface Candidate {
  readonly member: Member;
  readonly endpoint: Endpoint;
}

/** A member at a port, by its text. */
interface Found {
  readonly key: string;
  readonly member: Member;
  readonly port: number;
}

const SERVICE_LABEL = 'kubernetes.io/service-name';
const HEADLESS_LABEL = 'service.kubernetes.io/headless';

/** The slices of every service. */
export class Slices {
  readonly #slices = new Map<string, Slice[]>();

  constructor(readonly node: Node) {}

  /** Takes one slice; what is wrong with it goes to `report`. */
  add(metadata: Json, object: Json, report: Report): void {
    const labels = recordAt(metadata, 'labels', report);
    if (labels[HEADLESS_LABEL] !== undefined) return;
    const family = toFamily(object['addressType'], report);
    if (family === undefined) return;
    const service = labels[SERVICE_LABEL];
    if (!isName(service)) {
      report(
        service === undefined || service === ''
          ? `no label ${SERVICE_LABEL}: belongs to no service; passed over`
          : `label ${SERVICE_LABEL}: ${show(service)} is no service name; passed over`,
      );
      return;
    }
    const slice = {
      ports: toPorts(object, report),
      members: toMembers(object, family, this.node, report),
    };
    const key = `${family} ${namespaceOf(metadata)}/${service}`;
    const others = this.#slices.get(key);
    if (others === undefined) this.#slices.set(key, [slice]);
    else others.push(slice);
  }

  /** Endpoints of one port, each address and port once, in the order of their text. */
  candidates(
    service: string,
    family: Family,
    port: { readonly name: string; readonly protocol: Protocol },
    weightOf: ((place: Place) => number) | undefined,
  ): readonly Candidate[] {
    const found: Found[] = [];
    for (const slice of this.#slices.get(`${family} ${service}`) ?? []) {
      for (const each of slice.ports) {
        if (each.name !== port.name || each.protocol !== port.protocol) continue;
        for (const member of slice.members) {
          found.push({ key: joinHostPort(member.address, each.port), member, port: each.port });
        }
      }
    }
    found.sort(byPlace);
    const candidates: Candidate[] = [];
    for (const [i, each] of found.entries()) {
      if (i > 0 && each.key === found[i - 1]?.key) continue;
      candidates.push(toCandidate(each, weightOf));
    }
    return candidates;
  }

  /** How many addresses of the service on this node are ready. */
  localReady(service: string, family: Family): number {
    const addresses = new Set<string>();
    for (const slice of this.#slices.get(`${family} ${service}`) ?? []) {
      if (slice.ports.length === 0) continue;
      for (const member of slice.members) {
        if (member.local && member.ready) addresses.add(member.address);
      }
    }
    return addresses.size;
  }
}

// A pod may stand in two slices while its conditions change. Kubernetes takes the later one that is not terminating; as
// there is no later one among files, the better one: not terminating, ready, serving, here.
function preference(member: Member): number {
  const flags = [
    !member.terminating,
    member.ready,
    member.serving,
    member.local,
    member.node !== undefined,
    member.node === true,
    member.zone !== undefined,
    member.zone === true,
  ];
  return flags.reduce((sum, flag) => sum * 2 + (flag ? 1 : 0), 0);
}

// The better of two that have one address and port comes first.
function byPlace(a: Found, b: Found): number {
  return (
    compareText(a.key, b.key) ||
    preference(b.member) - preference(a.member) ||
    compareText(show(a.member.place.node), show(b.member.place.node)) ||
    compareText(show(a.member.place.zone), show(b.member.place.zone))
  );
}

function toCandidate(
  { member, port }: Found,
  weightOf: ((place: Place) => number) | undefined,
): Candidate {
  const { address, local } = member;
  const endpoint: Endpoint =
    weightOf === undefined
      ? { address, port, local }
      : { address, port, local, weight: weightOf(member.place) };
  return { member, endpoint };
}

function toFamily(value: unknown, report: Report): Family | undefined {
  if (value === 'IPv4') return 'ipv4';
  if (value === 'IPv6') return 'ipv6';
  if (value !== 'FQDN') {
    report(`addressType: ${show(value)} is none of IPv4, IPv6, FQDN; passed over`);
  }
  return undefined;
}

function toPorts(object: Json, report: Report): Slice['ports'] {
  const ports = listAt(object, 'ports', report).map((value, index) => {
    const port = toRecord(value) ?? {};
    const { name, port: number } = port;
    const protocol = toProtocol(port['protocol']);
    // Ports without a name or a number are the API's way to say "every port", which a proxy has no use for.
    if (name === undefined || name === null || number === undefined || number === null) return;
    if (number === 0) return;
    if ((name !== '' && !isName(name)) || !isPort(number) || protocol === undefined) {
      report(`ports[${index}]: ${shortly(port)} is no port; passed over`);
      return;
    }
    return { name, protocol, port: number };
  });
  return ports.filter((port) => port !== undefined);
}

/** TCP where nothing is said. */
export function toProtocol(value: unknown): Protocol | undefined {
  if (value === undefined || value === null || value === '' || value === 'TCP') return 'tcp';
  if (value === 'UDP') return 'udp';
  return value === 'SCTP' ? 'sctp' : undefined;
}

/** How a port looks in a message. */
export function shortly(port: Json): string {
  const parts = [port['name'], port['protocol'], port['port']].map((each) => show(each));
  return parts.filter((each) => each !== 'undefined').join(' ') || '{}';
}

function toMembers(object: Json, family: Family, node: Node, report: Report): readonly Member[] {
  const members: Member[] = [];
  let index = 0;
  for (const value of listAt(object, 'endpoints', report)) {
    const at = `endpoints[${index++}]`;
    const endpoint = toRecord(value);
    if (endpoint === undefined) {
      report(`${at}: ${show(value)} is not an object; passed over`);
      continue;
    }
    const member = toMember(endpoint, family, node, (problem) => {
      report(`${at}.${problem}`);
    });
    if (member !== undefined) members.push(member);
  }
  return members;
}

function toMember(endpoint: Json, family: Family, node: Node, report: Report): Member | undefined {
  const [first] = listAt(endpoint, 'addresses', report);
  if (first === undefined) return undefined;
  const parsed = typeof first === 'string' ? parseLenient(first) : undefined;
  if (parsed?.family !== family) {
    report(`addresses: ${show(first)} is no ${family} address; passed over`);
    return undefined;
  }
  const conditions = recordAt(endpoint, 'conditions', report);
  const ready = booleanAt(conditions, 'ready', true);
  const serving = booleanAt(conditions, 'serving', true);
  const terminating = booleanAt(conditions, 'terminating', false);
  if (ready === undefined || serving === undefined || terminating === undefined) {
    report('conditions: neither true nor false; passed over');
    return undefined;
  }
  const hints = recordAt(endpoint, 'hints', report);
  const { nodeName, zone } = endpoint;
  return {
    address: parsed.address,
    local: nodeName === node.name,
    ready,
    serving,
    terminating,
    zone: named(hints, 'forZones', node.zone, report),
    node: named(hints, 'forNodes', node.name, report),
    place: { address: parsed.address, node: nodeName, zone },
  };
}

function named(hints: Json, list: string, name: string, report: Report): boolean | undefined {
  const places = listAt(hints, list, report);
  if (places.length === 0) return undefined;
  return places.some((place) => toRecord(place)?.['name'] === name);
}
