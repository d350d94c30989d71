import fc from 'fast-check';
import { ChangeWriter } from '../lib/changes';
import { IpvsError } from '../lib/errors';
import { serviceKey } from '../lib/id';
import type { Service } from '../lib/model';
import { loadBinding } from '../lib/native';
import {
  Command,
  LAYOUT,
  readDaemon,
  readDestination,
  readInfo,
  readService,
  readServiceKey,
  Records,
  rowCount,
  writeDaemon,
} from '../lib/records';
import { toFullDestination, toFullService } from '../lib/settings';
import { anyService, destinationOf } from './arbitraries';

const { ChangeRecord, ServiceRow, DestinationRow } = LAYOUT;

test('C++ and TypeScript describe the same records', () => {
  const native = JSON.parse(loadBinding().layout()) as Record<string, Record<string, number>>;
  for (const [record, fields] of Object.entries(LAYOUT)) {
    expect([record, native[record]]).toEqual([record, expect.objectContaining(fields)]);
  }
});

// A row as the addon would answer it: the settings of a change, copied to where a dump has them.
function rowOf(change: Records, size: number, at: number, from: number, length: number): Records {
  const row = Records.of(size, 1);
  row.bytes.set(change.bytes.subarray(from, from + length), at);
  return row;
}

test('a service survives the border in both directions', () => {
  fc.assert(
    fc.property(anyService, (service: Service) => {
      const change = Records.of(ChangeRecord.size, 1);
      new ChangeWriter().write(change, 0, { op: 'addService', service });
      const length = LAYOUT.ServiceKey.size + LAYOUT.ServiceSettings.size;
      const row = rowOf(change, ServiceRow.size, ServiceRow.service, ChangeRecord.service, length);
      const { stats, ...read } = readService(row, 0);
      expect(stats.connections).toBe(0n);
      expect(toFullService(read)).toEqual(toFullService(service));
    }),
  );
});

test('a destination survives the border in both directions', () => {
  const service = serviceKey('tcp://10.0.0.1:80');
  fc.assert(
    fc.property(destinationOf(service), (destination) => {
      const change = Records.of(ChangeRecord.size, 1);
      new ChangeWriter().write(change, 0, { op: 'addDestination', service, destination });
      expect(change.get32(0)).toBe(Command.addDestination);
      expect(readServiceKey(change, ChangeRecord.service)).toEqual(service);
      const row = rowOf(
        change,
        DestinationRow.size,
        DestinationRow.destination,
        ChangeRecord.destination,
        LAYOUT.DestinationSettings.size,
      );
      const full = toFullDestination(service, destination);
      expect(toFullDestination(service, readDestination(row, 0))).toEqual(full);
    }),
  );
});

test('a change leaves nothing behind of what was in its place', () => {
  const writer = new ChangeWriter();
  const fresh = Records.of(ChangeRecord.size, 1);
  const used = Records.of(ChangeRecord.size, 1);
  used.bytes.fill(0xff);
  const change = { op: 'deleteService', service: 'fwmark:7' } as const;
  writer.write(fresh, 0, change);
  writer.write(used, 0, change);
  expect(used.bytes).toEqual(fresh.bytes);
});

test('counters beyond 2^53 are exact', () => {
  const row = Records.of(ServiceRow.size, 1);
  new DataView(row.buffer).setBigUint64(LAYOUT.StatsRecord.bytes_in, 2n ** 64n - 1n, true);
  expect(readService(row, 0).stats.bytes.in).toBe(2n ** 64n - 1n);
});

test('what another program put into the kernel is shown, however odd', () => {
  const service = Records.of(ServiceRow.size, 1);
  service.u16[(ServiceRow.service + LAYOUT.ServiceKey.family) >> 1] = 2;
  service.u16[(ServiceRow.service + LAYOUT.ServiceKey.protocol) >> 1] = 47;
  expect(readService(service, 0)).toMatchObject({ protocol: 'ip-47', scheduler: '' });
  const destination = Records.of(DestinationRow.size, 1);
  destination.u32[(DestinationRow.destination + LAYOUT.DestinationSettings.forward) >> 2] = 6;
  expect(readDestination(destination, 0).forward).toBe('method-6');
});

test('half a record in a reply is an error, not a row', () => {
  expect(() => rowCount(new ArrayBuffer(100), ServiceRow.size)).toThrow(IpvsError);
  expect(() => rowCount(new ArrayBuffer(100), ServiceRow.size)).toThrow(/100 bytes/);
});

test('a version is printed as the kernel means it', () => {
  const reply = new Uint32Array([0x010201, 4096]).buffer;
  expect(readInfo(reply)).toEqual({ version: '1.2.1', connectionTableSize: 4096 });
});

test('a sync daemon survives the border, with and without its optional settings', () => {
  const plain = { role: 'backup', interface: 'eth0', syncId: 0 } as const;
  const full = { ...plain, group: 'ff02::81', port: 8849, ttl: 3, maxLength: 1400 } as const;
  for (const daemon of [plain, full]) {
    const bytes = writeDaemon(daemon);
    expect(readDaemon(new Records(bytes.buffer as ArrayBuffer), 0)).toEqual(daemon);
  }
});
