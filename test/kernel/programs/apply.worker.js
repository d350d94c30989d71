'use strict';
const { parentPort, workerData } = require('node:worker_threads');
const { openSync } = require('../../..');
const { changes, SERVICES, DESTINATIONS } = require('./table');

openSync({ netns: workerData.netns }).apply(changes(SERVICES, DESTINATIONS), {
  progress: ({ done }) => parentPort.postMessage(done),
});
