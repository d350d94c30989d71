'use strict';
// What reading a large table costs this process, and what becomes of the memory: connections.js NETNS memory|exit|worker
// Run with --expose-gc for memory.
const { once } = require('node:events');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');
const { open } = require('../../..');

const GROUND = 1 << 19;

async function settled(enough) {
  for (let i = 0; i < 100; i++) {
    globalThis.gc();
    await sleep(20);
    if (enough(process.memoryUsage())) break;
  }
  return process.memoryUsage();
}

async function memory(netns) {
  const client = await open({ netns });
  await client.connections({ state: 'LISTEN' });
  const before = await settled(() => false);
  const held = { table: await client.connections() };
  const during = await settled(() => false);
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

async function worker(netns) {
  const threads = Array.from(
    { length: 3 },
    () => new Worker(path.join(__dirname, 'connections.js'), { workerData: { netns } }),
  );
  await Promise.all(threads.map((thread) => once(thread, 'message')));
  await Promise.all(threads.map((thread) => thread.terminate()));
  const client = await open({ netns });
  console.log(JSON.stringify({ length: (await client.connections()).length }));
  await client.close();
}

async function main(netns, what) {
  if (what === 'memory') return memory(netns);
  if (what === 'worker') return worker(netns);
  const client = await open({ netns });
  void client.connections();
  await sleep(10);
  process.exit(0);
}

async function work({ netns }) {
  const client = await open({ netns });
  const table = client.connections();
  parentPort.postMessage('reading');
  await table;
  await sleep(60_000);
}

if (isMainThread) main(...process.argv.slice(2));
else work(workerData);
