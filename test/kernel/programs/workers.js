'use strict';
// Worker threads with clients of their own: workers.js NETNS terminate|finish
const { once } = require('node:events');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');
const { open } = require('../../..');

const WORKERS = 5;
const CALLS = 200;

async function work({ netns, number }) {
  const client = await open({ netns });
  const service = { protocol: 'tcp', address: `10.2.0.${number}`, port: 80 };
  await client.addService(service);
  const calls = Array.from({ length: CALLS }, () => client.snapshot());
  parentPort.postMessage('under way');
  await Promise.all(calls);
  await client.deleteService(service);
  await client.close();
}

async function main(netns, end) {
  const workers = Array.from({ length: WORKERS }, (_, number) => {
    return new Worker(path.join(__dirname, 'workers.js'), { workerData: { netns, number } });
  });
  const exits = workers.map((worker) => once(worker, 'exit'));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  if (end === 'terminate') {
    await sleep(20);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const codes = (await Promise.all(exits)).flat();
  // The thread pool still works for those who remain.
  const client = await open({ netns });
  console.log(JSON.stringify({ codes, services: (await client.services()).length }));
}

if (isMainThread) main(...process.argv.slice(2));
else work(workerData);
