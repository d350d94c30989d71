'use strict';
// Reads a large table, and tells what came of it: connections.js NETNS memory|worker|exit|rows. Run with --expose-gc for
// memory. CPU and not time, as other programs want the processor too.
const { once } = require('node:events');
const path = require('node:path');
const { setImmediate: turn, setTimeout: sleep } = require('node:timers/promises');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');
const { open } = require('../../..');

const GROUND = 1 << 19;

/** Memory once it is little enough, or after as much collecting as ought to do. */
async function settled(enough, rounds = 100) {
  for (let i = 0; i < rounds; i++) {
    globalThis.gc();
    await sleep(20);
    if (enough(process.memoryUsage())) break;
  }
  return process.memoryUsage();
}

async function memory(netns) {
  const client = await open({ netns });
  await client.connections({ state: 'LISTEN' });
  const before = await settled(() => false, 10);
  const held = { table: await client.connections() };
  const during = await settled(() => false, 10);
  const { length } = held.table;
  // A view of one column outlives the table; the others go.
  held.view = held.table.columns.expires.subarray(0, 1);
  delete held.table;
  const viewed = await settled(({ external }) => external < before.external + 5 * length + GROUND);
  const [kept] = held.view;
  delete held.view;
  const after = await settled(({ external }) => external < before.external + GROUND);
  const of = (name) => [during, viewed, after].map((usage) => usage[name] - before[name]);
  console.log(JSON.stringify({ length, kept, heap: of('heapUsed'), outside: of('external') }));
  await client.close();
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** CPU of a whole reading, in milliseconds. */
async function wholeOf(client) {
  const before = cpu();
  await client.connections();
  return cpu() - before;
}

async function worker(netns) {
  const client = await open({ netns });
  const whole = await wholeOf(client);
  const threads = Array.from(
    { length: 3 },
    () => new Worker(path.join(__dirname, 'connections.js'), { workerData: { netns } }),
  );
  const exits = threads.map((thread) => once(thread, 'exit'));
  await Promise.all(threads.map((thread) => once(thread, 'message')));
  const before = cpu();
  await Promise.all(threads.map((thread) => thread.terminate()));
  const after = cpu() - before;
  const codes = (await Promise.all(exits)).flat();
  console.log(JSON.stringify({ codes, whole, after, length: (await client.connections()).length }));
  await client.close();
}

async function exit(netns) {
  const client = await open({ netns });
  const whole = await wholeOf(client);
  void client.connections();
  await turn();
  process.on('exit', () => console.log(JSON.stringify({ whole, before: cpu() })));
  process.exit(7);
}

async function rows(netns) {
  const client = await open({ netns });
  const table = await client.connections();
  console.log(JSON.stringify(Array.from(table, (row) => ({ ...row, expires: undefined }))));
  await client.close();
}

async function work({ netns }) {
  const client = await open({ netns });
  const table = client.connections();
  await turn();
  parentPort.postMessage('reading');
  await table;
}

if (isMainThread) {
  const [netns, what] = process.argv.slice(2);
  void { memory, worker, exit, rows }[what](netns);
} else {
  void work(workerData);
}
