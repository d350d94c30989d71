// ipvs info, timeouts, zero and flush.
import type { Ipvs } from '../../client';
import type { ServiceKey } from '../../model';
import { confirm } from '../ask';
import type { Io } from '../io';
import type { Printer } from '../printer';

export async function info(client: Ipvs, printer: Printer): Promise<void> {
  const facts = await client.info();
  await printer.one(facts, () => ({
    columns: [{ title: 'VERSION' }, { title: 'CONNECTION TABLE SIZE', align: 'right' }],
    rows: [[facts.version, String(facts.connectionTableSize)]],
  }));
}

export async function timeouts(client: Ipvs, printer: Printer): Promise<void> {
  const { tcp, tcpFin, udp } = await client.timeouts();
  await printer.one({ tcp, tcpFin, udp }, () => ({
    columns: ['TCP', 'TCP FIN', 'UDP'].map((title) => ({ title, align: 'right' })),
    rows: [[`${tcp}s`, `${tcpFin}s`, `${udp}s`]],
  }));
}

export async function zero(
  client: Ipvs,
  io: Io,
  service: ServiceKey | undefined,
  answered: boolean,
): Promise<void> {
  if (!answered) {
    await confirm(io, 'Set the counters of every service and of the whole table to zero?');
  }
  await client.zero(service);
}

export async function flush(client: Ipvs, io: Io, answered: boolean): Promise<void> {
  if (!answered) {
    const { length } = await client.services();
    const what = length === 1 ? 'the one service there is' : `all ${length} services`;
    await confirm(io, `Delete ${what}, with every destination?`);
  }
  await client.flush();
}
