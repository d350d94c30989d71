// Requests through a service while it is changed under them. Runs inside the namespace; writes what failed in each chapter.
'use strict';
const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');
const { open, plan, reconcile } = require(process.argv[2]);

const WEB = { protocol: 'tcp', address: '198.51.100.1', port: 80 };
const HOSTS = ['10.0.1.2', '10.0.2.2', '10.0.3.2'];
const OTHERS = { protocol: 'tcp', address: '198.51.100.2', port: 81, destinations: [] };
const destination = (address, weight = 1) => ({ address, port: 8080, weight });
const web = (hosts, more = {}) => ({ ...WEB, scheduler: 'rr', ...more, destinations: hosts });

let failed = 0;
let sent = 0;
let stopped = false;

function request() {
  return new Promise((resolve) => {
    sent++;
    const ask = http.get(
      { host: WEB.address, port: WEB.port, agent: false, timeout: 1500 },
      (answer) => {
        answer.resume().on('end', resolve);
      },
    );
    ask.on('timeout', () => ask.destroy(new Error('timeout')));
    ask.on('error', () => {
      failed++;
      resolve();
    });
  });
}

async function worker() {
  while (!stopped) await request();
}

async function main() {
  const servers = HOSTS.map((host) =>
    http
      .createServer((_, answer) => void sleep(40).then(() => answer.end(host)))
      .listen(8080, host),
  );
  const client = await open();
  const results = {};
  const options = {
    owns: () => true,
    maxLoss: 1,
    drain: { timeout: 10_000, only: (key) => key.protocol === 'tcp' },
  };
  const reach = async (state) => {
    for await (const { error } of reconcile(
      (async function* () {
        yield state;
      })(),
      client,
      options,
    )) {
      if (error) throw error;
    }
  };
  await client.setTimeouts({ tcpFin: 1 });
  const [a, b, c] = HOSTS;
  await reach([web([destination(a)])]);
  const workers = Array.from({ length: 6 }, worker);
  const chapter = async (name, work) => {
    const before = { sent, failed };
    await work();
    await sleep(300);
    results[name] = { sent: sent - before.sent, failed: failed - before.failed };
  };
  await chapter('scale up', () => reach([web([destination(a), destination(b), destination(c)])]));
  await chapter('scale down', () => reach([web([destination(b), destination(c)])]));
  await chapter('weight', () =>
    reach([web([destination(b, 5), destination(c)], { scheduler: 'rr' })]),
  );
  await chapter('scheduler', () =>
    reach([web([destination(b, 5), destination(c)], { scheduler: 'wrr' })]),
  );
  await chapter('unrelated', () =>
    reach([web([destination(b, 5), destination(c)], { scheduler: 'wrr' }), OTHERS]),
  );
  await chapter('delete and add', async () => {
    for (let i = 0; i < 3; i++) {
      await client.deleteService(WEB);
      await sleep(20);
      await client.apply(plan([web([destination(a)])], []));
      await sleep(100);
    }
    await sleep(1500);
  });
  stopped = true;
  await Promise.all(workers);
  for (const server of servers) server.close();
  await client.close();
  process.stdout.write(JSON.stringify(results));
  process.exit(0);
}
void main();
