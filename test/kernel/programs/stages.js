'use strict';
// Dies in the middle of something: stages.js NETNS STAGE END
const { setImmediate: breathe } = require('node:timers/promises');
const { once } = require('node:events');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { open } = require('../../..');
const { changes, SERVICES, DESTINATIONS } = require('./table');

const [netns, stage, end] = process.argv.slice(2);

const ends = {
  exit: () => process.exit(7),
  kill: () => process.kill(process.pid, 'SIGKILL'),
  terminate: () => process.kill(process.pid, 'SIGTERM'),
  throw: () => {
    throw new Error('on purpose');
  },
  // Nothing awaits and nothing is closed: the process ends when the work under way is done.
  forget: () => undefined,
};

const stages = {
  async opening() {
    void open({ netns });
  },
  async applying() {
    const client = await open({ netns });
    await new Promise((halfway, failed) => {
      client.apply(changes(SERVICES, DESTINATIONS), { progress: halfway }).catch(failed);
    });
  },
  async 'applying in a worker'() {
    const worker = new Worker(path.join(__dirname, 'apply.worker.js'), { workerData: { netns } });
    await once(worker, 'message');
  },
  async dumping() {
    const client = await open({ netns });
    await client.apply(changes(1000, 5));
    void client.snapshot();
    await breathe();
  },
  async closing() {
    const client = await open({ netns });
    for (let i = 0; i < 50; i++) client.services().catch(() => undefined);
    void client.close();
  },
};

stages[stage]().then(ends[end]);
