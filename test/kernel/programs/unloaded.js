// Unloads ip_vs under an open client, in a kernel of its own, and prints what a call says then and after it is back.
'use strict';
const { execFileSync } = require('node:child_process');
const { open } = require('../../../dist');

async function main() {
  const client = await open();
  execFileSync('rmmod', ['ip_vs']);
  const error = await client.connections().catch((thrown) => thrown);
  execFileSync('modprobe', ['ip_vs']);
  const { length } = await client.connections();
  await client.close();
  const { code, operation, message } = error;
  console.log(JSON.stringify({ code, operation, message, length }));
}

main();
