// ipvs list: the table of services and their destinations.
import type { Ipvs } from '../../client';
import { serviceId } from '../../id';
import { ipvsadmLines } from '../../ipvsadm';
import type { ServiceKey, VirtualServerStatus } from '../../model';
import { inOrder } from '../../order';
import type { Printer } from '../printer';
import { serverTable, type View } from '../views';

export interface ListOptions {
  /** That one alone; otherwise all. */
  readonly service?: ServiceKey | undefined;
  readonly view?: View | undefined;
  /** Numbers in full, not as `12.3k`. */
  readonly exact?: boolean | undefined;
}

export async function list(client: Ipvs, printer: Printer, options: ListOptions): Promise<void> {
  const servers = inOrder(await read(client, options.service));
  if (servers.length === 0) {
    printer.hint('There are no services. Add one with: ipvs service add tcp://10.0.0.1:80');
  }
  const { view = 'connections', exact = false } = options;
  await printer.list(
    servers,
    () => serverTable(servers, view, exact),
    () => ipvsadmLines(servers),
  );
}

async function read(client: Ipvs, key: ServiceKey | undefined): Promise<VirtualServerStatus[]> {
  if (key === undefined) return client.snapshot();
  // Fails when there is no such service.
  const destinations = await client.destinations(key);
  const service = await client.service(key);
  if (service === undefined) {
    throw new Error(`${serviceId(key)} was deleted while it was read: see ipvs list`);
  }
  return [{ ...service, destinations }];
}
