// Two servers, and requests that take their time to a service in front of them, from SIGUSR2 until SIGTERM; then says how they went.
// Inside the namespace: requests.js SERVICE SERVER SERVER
'use strict';
const http = require('node:http');
const [, , service, ...hosts] = process.argv;
const SLOW = 300;

let [sent, failed, stopped] = [0, 0, false];

function request() {
  return new Promise((resolve) => {
    sent++;
    const options = { method: 'POST', agent: false, timeout: 1_500 };
    const ask = http.request(`http://${service}`, options, (answer) => {
      answer.resume().on('end', resolve);
    });
    // In two pieces: what is cut off in between loses the second.
    ask.write('one');
    setTimeout(() => ask.end('two'), SLOW);
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
  for (const host of hosts) {
    http
      .createServer((request, answer) => request.resume().on('end', () => answer.end(host)))
      .listen(8080, host, () => process.stdout.write('listening\n'));
  }
  process.once('SIGTERM', () => (stopped = true));
  process.once('SIGUSR2', async () => {
    await Promise.all(Array.from({ length: 8 }, worker));
    // A connection that was cut off never ends here, so nobody waits for that.
    process.stdout.write(JSON.stringify({ sent, failed }), () => process.exit());
  });
}
void main();
