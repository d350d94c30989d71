// What ipvsadm makes with its command lines is what our calls make: both tables look the same to ipvsadm and to us.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ipvs } from '../../lib/client';
import { MemoryKernel } from '../../lib/memory';
import { DEVICE, stateOf } from '../contract/kit';
import { Namespace } from './helpers';
import { SCENES } from './transcripts';

const VIEWS = [
  '-Sn',
  '-Ln',
  '-Ln --stats --exact',
  '-Ln --rate',
  '-Ln --thresholds',
  '-Ln --persistent-conn',
  '-Ln --tun-info',
  '-L --daemon',
  '-L --timeout',
];

jest.setTimeout(60_000);

let ours: Namespace;
let theirs: Namespace;
let client: Ipvs;
let observer: Ipvs;
const model = new MemoryKernel({ interfaces: [{ name: DEVICE }] }).open();

beforeAll(async () => {
  ours = new Namespace();
  theirs = new Namespace();
  for (const namespace of [ours, theirs]) namespace.addDevice(DEVICE);
  client = await ours.open();
  observer = await theirs.open();
});
afterAll(async () => {
  await client.close();
  await observer.close();
  ours.delete();
  theirs.delete();
});

test.each(SCENES)('$name', async ({ steps }) => {
  for (const [line, call] of steps) {
    theirs.ipvsadm(...line.split(' '));
    await call(client);
    await call(model);
    // ipvsadm waits for ever when it stops a daemon whose thread has not run (daemon.test.ts).
    if (line.includes('-daemon')) await sleep(20);
  }
  for (const view of VIEWS) {
    const seen = ours.ipvsadm(...view.split(' '));
    expect({ view, seen }).toEqual({ view, seen: theirs.ipvsadm(...view.split(' ')) });
  }
  const state = await stateOf(client);
  expect(state).toEqual(await stateOf(observer));
  expect(state).toEqual(await stateOf(model));
});
