'use strict';
// Servers that say who they are, and a client that asks them through a service address again and again.
//   exchange.js serve PORT ADDRESS…     says "ready", and serves until its input ends
//   exchange.js ask ADDRESS PORT        answers each line of its input with what was counted since the line before, as JSON;
//                                       `keep` first opens a connection that stays and tells who answers it
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
function answer(socket) {
  return new Promise((resolve, reject) => {
    socket.once('data', (data) => resolve(String(data).trim()));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
    socket.write('who?\n');
  });
}

function connect(host, port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, timeout: 2000 });
    socket.once('connect', () => resolve(socket));
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
  const once = async () => {
    try {
      const socket = await connect(host, port);
      const who = await answer(socket);
      counts[who] = (counts[who] ?? 0) + 1;
      socket.on('error', () => {});
      socket.destroy();
    } catch (error) {
      failures.push(error.message);
    }
  };
  let going = false;
  const loop = async () => {
    while (going) await once();
  };
  const lines = readline.createInterface({ input: process.stdin });
  (async () => {
    for await (const line of lines) {
      const [word, number] = line.split(' ');
      if (word === 'go') {
        going = true;
        void loop();
      } else if (word === 'some') for (let i = 0; i < Number(number); i++) await once();
      else if (word === 'keep') kept = await connect(host, port);
      else if (word === 'drop') kept.destroy();
      const held = word === 'keep' || word === 'held' ? await answer(kept).catch(String) : undefined;
      process.stdout.write(`${JSON.stringify({ counts, failures, held })}\n`);
      counts = {};
      failures = [];
    }
    process.exit();
  })();
}
