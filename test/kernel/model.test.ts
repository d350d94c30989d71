// The kernel in memory against the real one: the same random calls get the same answers, and leave the same behind.
// A failure prints its seed; FC_SEED=<seed> runs it again.
import fc from 'fast-check';
import type { Ipvs } from '../../lib/client';
import { MemoryKernel } from '../../lib/memory';
import { DEVICE, DOWN_DEVICE, FOREIGN_DEVICE, stateOf } from '../contract/kit';
import type { Place } from '../contract';
import { perform, sequence, type Action } from './actions';
import { kernelPlace } from './helpers';

const SEQUENCES = 500;

let place: Place;
beforeAll(async () => {
  place = await kernelPlace('asynchronous');
});
afterAll(() => place.release());

function inMemory(): Ipvs {
  return new MemoryKernel({
    interfaces: [
      { name: 'lo', mtu: 65536 },
      { name: DEVICE },
      { name: DOWN_DEVICE, up: false },
      { name: FOREIGN_DEVICE },
    ],
  }).open();
}

async function clear(client: Ipvs): Promise<void> {
  await client.flush();
  for (const { role } of await client.daemons()) await client.stopDaemon({ role });
  await client.setTimeouts({ tcp: 900, tcpFin: 120, udp: 300 });
}

test(`${SEQUENCES} random sequences of calls end alike`, async () => {
  const seed = process.env['FC_SEED'];
  // How often each call was answered and refused: a generator that only makes nonsense would prove nothing.
  const tally = new Map<string, number>();
  const agree = async (actions: readonly Action[]): Promise<void> => {
    const real = place.client;
    const model = inMemory();
    await clear(real);
    for (const it of actions) {
      const [answer, expected] = [await perform(real, it), await perform(model, it)];
      expect({ it, answer }).toEqual({ it, answer: expected });
      count(tally, `${it.op} ${Object.keys(answer as object)[0] ?? ''}`);
    }
    expect(await stateOf(real)).toEqual(await stateOf(model));
  };
  await fc.assert(fc.asyncProperty(sequence, agree), {
    numRuns: SEQUENCES,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  });
  if (process.env['FC_TALLY'] !== undefined) console.log(Object.fromEntries([...tally].sort()));
  for (const op of [
    'addService',
    'setService',
    'deleteService',
    'addDestination',
    'setDestination',
  ]) {
    expect(tally.get(`${op} answer`)).toBeGreaterThan(20);
    expect(tally.get(`${op} refusal`)).toBeGreaterThan(20);
  }
}, 240_000);

function count(tally: Map<string, number>, what: string): void {
  tally.set(what, (tally.get(what) ?? 0) + 1);
}
