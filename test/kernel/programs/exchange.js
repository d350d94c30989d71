'use strict';
// Servers that say who they are, and a client that asks them through a service address again and again.
//   exchange.js serve PORT ADDRESS…     says "ready", and serves until its input ends
//   exchange.js ask ADDRESS PORT        answers each line of its input with what was counted since the line before, as JSON;
//                                       `keep` first opens a connection that stays and tells who answers it
const { once } = require('node:events');
const net = require('node:net');
const readline = require('node:readline');

const [role, ...args] = process.argv.slice(2);
if (role === 'serve') serve(Number(args[0]), args.slice(1));
else ask(args[0], Number(args[1]));

function serve(port, addresses) {
  let left = addresses.length;
  for (const address of addresses) {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write(`${address}\n`));
    });
    server.listen(port, address, () => --left === 0 && process.stdout.write('ready\n'));
  }
  process.stdin.on('end', () => process.exit()).resume();
}

// Asks on a connection of its own, or one that is kept.
async function answer(socket) {
  if (socket.destroyed) throw new Error('closed');
  const data = once(socket, 'data', { signal: AbortSignal.timeout(2000) });
  socket.write('who?\n');
  return String((await data)[0]).trim();
}

function connect(host, port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, timeout: 2000 });
    socket.once('connect', () => {
      // From here on a wait is an answer's.
      socket.setTimeout(0);
      resolve(socket);
    });
    socket.once('error', reject);
    socket.once('timeout', () => {
      socket.destroy();
      reject(new Error('timeout'));
    });
  });
}

function ask(host, port) {
  let counts = {};
  let failures = [];
  let kept;
  const askOnce = async () => {
    try {
      const socket = await connect(host, port);
      const who = await answer(socket).finally(() => socket.destroy());
      counts[who] = (counts[who] ?? 0) + 1;
    } catch (error) {
      failures.push(error.message);
      // What fails at once would leave no turn for anything else.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  let going = false;
  const loop = async () => {
    while (going) await askOnce();
  };
  const lines = readline.createInterface({ input: process.stdin });
  // Also while it asks: whoever gave the orders may be gone.
  process.stdin.on('end', () => process.exit());
  (async () => {
    for await (const line of lines) {
      const [word, number] = line.split(' ');
      if (word === 'go') {
        going = true;
        void loop();
      } else if (word === 'some') for (let i = 0; i < Number(number); i++) await askOnce();
      else if (word === 'keep') kept = await connect(host, port);
      else if (word === 'drop') kept.destroy();
      const held =
        word === 'keep' || word === 'held' ? await answer(kept).catch(String) : undefined;
      process.stdout.write(`${JSON.stringify({ counts, failures, held })}\n`);
      counts = {};
      failures = [];
    }
    process.exit();
  })();
}
