'use strict';
// Opens clients, some with calls in flight, and closes none. Run with --expose-gc.
const { readdirSync } = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { open, openSync } = require('../../..');

const descriptors = () => readdirSync('/proc/self/fd').length;

async function forget(netns) {
  for (let i = 0; i < 100; i++) {
    openSync({ netns }).info();
    await (await open({ netns })).services();
    void (await open({ netns })).snapshot();
  }
}

async function main(netns) {
  const first = await open({ netns });
  await first.close();
  const before = descriptors();
  await forget(netns);
  let after = descriptors();
  for (let i = 0; i < 50 && after > before; i++) {
    globalThis.gc();
    await sleep(20);
    after = descriptors();
  }
  console.log(JSON.stringify({ before, after }));
}

main(...process.argv.slice(2));
