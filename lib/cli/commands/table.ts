// ipvs info, timeouts, zero and flush.
import type { Ipvs } from '../../client';
import type { ServiceKey, Timeouts } from '../../model';
import { confirm } from '../ask';
import type { Io } from '../io';
import type { Printer } from '../printer';
import { WrongUse } from '../wrong';

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

export async function setTimeouts(client: Ipvs, values: Partial<Timeouts>): Promise<void> {
  if (Object.keys(values).length === 0) {
    throw new WrongUse('there is nothing to set: give --tcp, --tcp-fin or --udp');
  }
  await client.setTimeouts(values);
}

export interface SweepOptions {
  readonly service?: ServiceKey | undefined;
  readonly yes?: boolean | undefined;
}

export async function zero(client: Ipvs, io: Io, { service, yes }: SweepOptions): Promise<void> {
  if (service === undefined) {
    await confirm(
      io,
      yes,
      () => 'Set the counters of every service and of the whole table to zero?',
    );
  }
  await client.zero(service);
}

export async function flush(client: Ipvs, io: Io, { yes }: SweepOptions): Promise<void> {
  await confirm(io, yes, async () => {
    const { length } = await client.services();
    return length === 1
      ? 'Delete the one service there is, with its destinations?'
      : `Delete all ${length} services with their destinations?`;
  });
  await client.flush();
}
