// A plain change is written in one go, any other the long way. Both must do the same, and say the same.
import fc from 'fast-check';
import { ChangeWriter } from '../lib/changes';
import { toServiceKey } from '../lib/id';
import { Command, LAYOUT, Records, writeDestination, writeServiceChange } from '../lib/records';
import { checkedDestination, toFullService } from '../lib/settings';
import { looseDestination as destination, looseService as service } from './loose';

const SIZE = LAYOUT.ChangeRecord.size;

type Kind = 'addService' | 'addDestination';
type Written = { readonly bytes: Uint8Array } | { readonly problem: string };

function attempt(write: (to: Records) => void): Written {
  const to = Records.of(SIZE, 1);
  to.bytes.fill(0xff);
  try {
    write(to);
    return { bytes: to.bytes };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

function byTheLongWay(op: Kind, service: unknown, destination: unknown): Written {
  return attempt((to) => {
    if (op === 'addService') {
      const full = toFullService(service);
      writeServiceChange(to, 0, Command[op], full.key, full);
      return;
    }
    const key = toServiceKey(service);
    const full = checkedDestination(key, destination);
    writeServiceChange(to, 0, Command[op], key);
    writeDestination(to, 0, full);
  });
}

const change = fc.record({
  op: fc.constantFrom<Kind>('addService', 'addDestination'),
  service: fc.oneof(
    { weight: 9, arbitrary: service },
    fc.constantFrom('tcp://10.0.0.1:80', 'fwmark:7'),
  ),
  destination,
});

test('a change is written, or refused, as the long way does it, whatever came before', () => {
  let done = 0;
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      const writer = new ChangeWriter();
      for (const one of changes) {
        const written = attempt((to) => {
          writer.write(to, 0, one);
        });
        const expected = byTheLongWay(one.op, one.service, one.destination);
        expect(written).toEqual(expected);
        if ('bytes' in expected) done++;
      }
    }),
    { numRuns: 2_000 },
  );
  expect(done).toBeGreaterThan(500);
});

test('a service that changes between two of its destinations is read anew', () => {
  const writer = new ChangeWriter();
  const moving = { protocol: 'tcp', address: '10.0.0.1', port: 80 };
  const put = (): Uint8Array => {
    const to = Records.of(SIZE, 1);
    const addition = {
      op: 'addDestination',
      service: moving,
      destination: { address: '10.1.0.1', port: 1 },
    } as const;
    writer.write(to, 0, addition);
    return to.bytes.slice(LAYOUT.ChangeRecord.service, LAYOUT.ChangeRecord.settings);
  };
  const first = put();
  moving.port = 81;
  expect(put()).not.toEqual(first);
  moving.port = 80;
  expect(put()).toEqual(first);
});

test('what is written is what was checked, whatever a getter says the second time', () => {
  let reads = 0;
  const shifty = {
    address: '10.1.0.1',
    port: 80,
    get weight(): unknown {
      return reads++ % 2 === 0 ? 1 : -1;
    },
  };
  const written = attempt((to) => {
    new ChangeWriter().write(to, 0, {
      op: 'addDestination',
      service: { protocol: 'tcp', address: '10.0.0.1', port: 80 },
      destination: shifty,
    });
  });
  if ('problem' in written) throw new Error(written.problem);
  const at = LAYOUT.ChangeRecord.destination + LAYOUT.DestinationSettings.weight;
  expect(new Records(written.bytes.buffer as ArrayBuffer).get32(at)).toBe(1);
});
