// What a map says, looked at before it becomes text: a map may be made by hand, and a line of a restore is a command.
import { InvalidInput, show } from '../errors';
import { isPort } from '../kube/read';
import type { Endpoint, Frontend, ServicePort } from '../kube/types';

// What may stand between the quotes of a comment, and cannot be taken for an option.
const NAME = /^[A-Za-z0-9][-\w./:[\]]*$/;
/** xt_comment takes 255 characters, of which the longest of ours takes 59 beside the name. */
const NAME_MAX = 191;
const ADDRESS = /^[0-9a-f.:]{2,45}$/;
const RANGE = /^[0-9a-f.:]{2,45}\/\d{1,3}$/;
const PROTOCOLS: readonly unknown[] = ['tcp', 'udp', 'sctp'];

/** Checks everything of a port that gets into rules. Throws InvalidInput. */
export function checkPort(port: ServicePort): void {
  const { name, protocol, frontends, endpoints, affinity, healthCheckNodePort } = port;
  if (typeof name !== 'string' || !NAME.test(name)) refuse(name);
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

function checkFrontend({ kind, address, port, sourceRanges }: Frontend, name: string): void {
  if (kind !== 'nodePort' && !ADDRESS.test(address)) refuse(address, name);
  if (!isPort(port)) refuse(port, name);
  for (const range of sourceRanges ?? []) if (!RANGE.test(range)) refuse(range, name);
}

function checkEndpoint({ address, port, weight = 1 }: Endpoint, name: string): void {
  if (!ADDRESS.test(address)) refuse(address, name);
  if (!isPort(port)) refuse(port, name);
  if (weight !== 1) checkCount(weight, name);
}

function checkCount(value: unknown, name: string): void {
  if (!Number.isInteger(value) || (value as number) < 0) refuse(value, name);
}

function refuse(value: unknown, name?: string): never {
  const where = name === undefined ? '' : ` (${name})`;
  throw new InvalidInput(
    `map: ${show(value)}${where} cannot stand in a rule: use what serviceMap() or fromServers() gave`,
  );
}
