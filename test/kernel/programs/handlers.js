'use strict';
// Takes its service out of the table on the way out: handlers.js NETNS beforeExit|exit
const { open, openSync } = require('../../..');

const [netns, event] = process.argv.slice(2);
const service = { protocol: 'tcp', address: '10.3.0.1', port: 80 };

process.once(event, () => {
  const client = openSync({ netns });
  client.deleteService(service);
  client.close();
  console.log('deleted');
});

async function main() {
  const client = await open({ netns });
  await client.addService(service);
  if (event === 'exit') process.exit();
}

main();
