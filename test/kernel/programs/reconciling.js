// Goes to and fro between two states, draining, until it is killed; says at each moment what it is about to do.
'use strict';
const { writeSync } = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { open, reconcile } = require(process.argv[2]);
const [, , , netns, foreign, ...words] = process.argv;
const [services] = words.map(Number);

const service = (i, hosts) => ({
  protocol: 'tcp',
  address: `10.1.${i >> 8}.${i & 255}`,
  port: 80,
  destinations: hosts.map((host) => ({ address: `192.0.2.${host}`, port: 80, weight: host })),
});
const states = [
  Array.from({ length: services }, (_, i) => service(i, [1, 2, 3])),
  Array.from({ length: services >> 1 }, (_, i) => service(i, [3, 4, 5])),
];
const DRAIN = 40;

// At once, or it would be told after it happened.
const say = (stage) => writeSync(1, `${stage}\n`);

async function main() {
  const client = await open({ netns });
  const backend = {
    snapshot: () => client.snapshot(),
    async servers() {
      say('reading');
      const found = await client.servers();
      say('planning');
      return found;
    },
    async apply(changes, options) {
      say('applying');
      const outcomes = await client.apply(changes, options);
      say('between');
      return outcomes;
    },
  };
  async function* desired() {
    for (let i = 0; ; i++) {
      yield states[i % 2];
      await sleep(3 * DRAIN);
    }
  }
  const options = { owns: (key) => key.address !== foreign, drain: { timeout: DRAIN }, maxLoss: 1 };
  for await (const { error, plan } of reconcile(desired(), backend, options)) {
    if (error) throw error;
    if (plan.draining.length > 0) say('draining');
  }
}
void main();
