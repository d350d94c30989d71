'use strict';
// Opens and closes many times and says what is left over: many.js NETNS TIMES. Run with --expose-gc.
const { readdirSync } = require('node:fs');
const { open, openSync } = require('../../..');

function left() {
  globalThis.gc();
  return { fds: readdirSync('/proc/self/fd').length, rss: process.memoryUsage.rss() };
}

async function cycle(netns, times) {
  for (let i = 0; i < times; i += 2) {
    const client = await open({ netns });
    await client.services();
    await client.close();
    const sync = openSync({ netns });
    sync.services();
    sync.close();
  }
}

async function main(netns, times) {
  await cycle(netns, times / 4);
  const before = left();
  await cycle(netns, times);
  console.log(JSON.stringify({ before, after: left() }));
}

main(process.argv[2], Number(process.argv[3]));
