'use strict';
// Closes with calls in flight: calls.js NETNS close|dispose|twice
const { open } = require('../../..');

const closes = {
  close: (client) => client.close(),
  dispose: (client) => client[Symbol.asyncDispose](),
  twice: (client) => Promise.all([client.close(), client.close()]).then(() => client.close()),
};

async function main(netns, how) {
  const client = await open({ netns });
  const kinds = ['info', 'services', 'snapshot', 'timeouts', 'daemons'];
  const calls = Array.from({ length: 50 }, (_, i) => client[kinds[i % kinds.length]]());
  const settled = Promise.allSettled(calls);
  await closes[how](client);
  const results = (await settled).map(({ status, reason }) => reason?.code ?? status);
  const late = await client.info().catch(({ code, message }) => ({ code, message }));
  console.log(JSON.stringify({ results, late, closed: client.closed }));
}

main(...process.argv.slice(2));
