// What a map says, looked at before it becomes text: a map may be made by hand, and a line of a restore is a command.
import { InvalidInput, show } from '../errors';
import { isPort } from '../kube/read';
import type { Endpoint, Frontend, ServicePort } from '../kube/types';
import type { Family } from '../model';

// What may stand between the quotes of a comment, and cannot be taken for an option.
const NAME = /^[A-Za-z0-9][-\w./:[\]]*$/;
/** xt_comment takes 255 characters, of which the longest of ours takes 59 beside the name. */
const NAME_MAX = 191;
const ADDRESS = /^[0-9a-f.:]{2,45}$/;
const RANGE = /^[0-9a-f.:]{2,45}\/\d{1,3}$/;
const INT_MAX = 2147483647;
const PROTOCOLS: readonly unknown[] = ['tcp', 'udp', 'sctp'];
const KINDS: readonly unknown[] = ['clusterIP', 'externalIP', 'loadBalancer', 'nodePort'];
const POLICIES: readonly unknown[] = ['cluster', 'local'];

/** The ports of a family, checked for their shape; those of the other are not looked into. Throws InvalidInput. */
export function portsOf(ports: readonly ServicePort[], family: Family): readonly ServicePort[] {
  const own = ports.filter((port) => !isOfOther(port, family));
  for (const port of own) checkShape(port);
  return own;
}

/** Whether a port is of the other family, whatever else it may be. */
export function isOfOther(port: ServicePort, family: Family): boolean {
  return isRecord(port) && port.family === (family === 'ipv4' ? 'ipv6' : 'ipv4');
}

/** Checks that a port has the shape of one, so that it can be looked at. Throws InvalidInput. */
export function checkShape(port: unknown): asserts port is ServicePort {
  if (!isRecord(port)) {
    throw new InvalidInput(`map: ${show(port)} is no service port: ${INSTEAD}`);
  }
  const { name, protocol, family, frontends, endpoints, affinity } = port;
  const whole =
    (family === 'ipv4' || family === 'ipv6') &&
    typeof name === 'string' &&
    typeof protocol === 'string' &&
    isRecord(endpoints) &&
    areRecords(frontends) &&
    (endpoints['cluster'] === undefined || areRecords(endpoints['cluster'])) &&
    (endpoints['local'] === undefined || areRecords(endpoints['local'])) &&
    (affinity === undefined || isRecord(affinity));
  if (!whole) throw new InvalidInput(`map: ${show(name)} is no service port: ${INSTEAD}`);
}

const INSTEAD = 'use what serviceMap() or fromServers() gave';

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function areRecords(value: unknown): boolean {
  return Array.isArray(value) && value.every(isRecord);
}

/** Checks everything of a port that gets into rules. Throws InvalidInput. */
export function checkPort(port: ServicePort): void {
  const { name, protocol, frontends, endpoints, affinity, healthCheckNodePort } = port;
  if (!NAME.test(name)) refuse(name);
  if (name.length > NAME_MAX) {
    throw new InvalidInput(
      `map: ${show(name)} is too long for a rule: ${name.length} characters, and comments have room for ${NAME_MAX}`,
    );
  }
  if (!PROTOCOLS.includes(protocol)) refuse(protocol, name);
  for (const frontend of frontends) checkFrontend(frontend, name);
  for (const list of [endpoints.cluster, endpoints.local]) {
    for (const endpoint of list ?? []) checkEndpoint(endpoint, name);
  }
  if (affinity !== undefined) {
    checkCount(affinity.timeout, name);
    if (affinity.prefix !== undefined) checkCount(affinity.prefix, name);
  }
  if (healthCheckNodePort !== undefined && !isPort(healthCheckNodePort)) {
    refuse(healthCheckNodePort, name);
  }
}

function checkFrontend(frontend: Frontend, name: string): void {
  const { kind, address, port, policy, sourceRanges } = frontend;
  if (!KINDS.includes(kind)) refuse(kind, name);
  if (!POLICIES.includes(policy)) refuse(policy, name);
  if (kind !== 'nodePort' && !fits(ADDRESS, address)) refuse(address, name);
  if (!isPort(port)) refuse(port, name);
  if (sourceRanges === undefined) return;
  if (!Array.isArray(sourceRanges)) refuse(sourceRanges, name);
  for (const range of sourceRanges) if (!fits(RANGE, range)) refuse(range, name);
}

// A list of one text would pass for that text.
function fits(form: RegExp, value: unknown): boolean {
  return typeof value === 'string' && form.test(value);
}

function checkEndpoint({ address, port, weight = 1 }: Endpoint, name: string): void {
  if (!fits(ADDRESS, address)) refuse(address, name);
  if (!isPort(port)) refuse(port, name);
  if (weight !== 1) checkCount(weight, name);
}

function checkCount(value: unknown, name: string): void {
  const count = typeof value === 'number' && Number.isInteger(value);
  if (!count || value < 0 || value > INT_MAX) refuse(value, name);
}

function refuse(value: unknown, name?: string): never {
  const where = name === undefined ? '' : ` (${name})`;
  throw new InvalidInput(`map: ${show(value)}${where} cannot stand in a rule: ${INSTEAD}`);
}
