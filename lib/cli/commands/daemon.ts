// ipvs daemon list and start.
import type { Ipvs } from '../../client';
import type { SyncDaemon } from '../../model';
import type { Printer } from '../printer';
import type { Table } from '../table';

/** Options of `daemon start`. */
export type DaemonFlags = Omit<SyncDaemon, 'role' | 'syncId'> & { readonly syncId?: number };

export async function listDaemons(client: Ipvs, printer: Printer): Promise<void> {
  const daemons = await client.daemons();
  if (daemons.length === 0) {
    printer.hint('No sync daemon runs. Start one with: ipvs daemon start master --interface eth0');
  }
  await printer.list(daemons, () => daemonTable(daemons));
}

export async function startDaemon(
  client: Ipvs,
  role: SyncDaemon['role'],
  flags: DaemonFlags,
): Promise<void> {
  const { interface: name, syncId = 0, group, port, ttl, maxLength } = flags;
  await client.startDaemon({
    role,
    interface: name,
    syncId,
    ...(group === undefined ? {} : { group }),
    ...(port === undefined ? {} : { port }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(maxLength === undefined ? {} : { maxLength }),
  });
}

function daemonTable(daemons: readonly SyncDaemon[]): Table {
  const number = (value: number | undefined): string => (value === undefined ? '' : String(value));
  return {
    columns: [
      { title: 'ROLE' },
      { title: 'INTERFACE' },
      { title: 'SYNC ID', align: 'right' },
      { title: 'GROUP' },
      { title: 'PORT', align: 'right' },
      { title: 'TTL', align: 'right' },
      { title: 'MAX LENGTH', align: 'right' },
    ],
    rows: daemons.map((daemon) => [
      daemon.role,
      daemon.interface,
      String(daemon.syncId),
      daemon.group ?? '',
      number(daemon.port),
      number(daemon.ttl),
      number(daemon.maxLength),
    ]),
  };
}
