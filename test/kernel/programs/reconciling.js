// Goes to and fro between two states, draining, until it is killed.
'use strict';
const { setImmediate: breathe } = require('node:timers/promises');
const { open, reconcile } = require(process.argv[2]);
const [, , , netns, foreign] = process.argv;

const service = (i, hosts) => ({
  protocol: 'tcp',
  address: `10.1.0.${i}`,
  port: 80,
  destinations: hosts.map((host) => ({ address: `192.0.2.${host}`, port: 80, weight: host })),
});
const states = [
  Array.from({ length: 90 }, (_, i) => service(i + 1, [1, 2, 3])),
  Array.from({ length: 70 }, (_, i) => service(i + 1, [3, 4, 5])),
];
async function main() {
  const client = await open({ netns });
  async function* desired() {
    for (let i = 0; ; i++) {
      yield states[i % 2];
      await breathe();
    }
  }
  const owns = (key) => key.address !== foreign;
  for await (const { error } of reconcile(desired(), client, {
    owns,
    drain: { timeout: 1 },
    maxLoss: 1,
  })) {
    if (error) throw error;
    process.stdout.write('on the way\n');
  }
}
void main();
