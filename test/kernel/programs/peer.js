'use strict';
// A host of test/kernel/kube-world.ts: answers on port 8080, TCP and UDP, with who it is and as whom it sees the other side,
// and asks others when told to. Lines of JSON in and out:
//   {id, protocol, address, port, count, patience}   {id, said: ["10.1.1.5 10.1.1.1", "ECONNREFUSED", "nothing", ...]}
//   {id, seen: TOKEN}                                {id, said: [whether a datagram with that token arrived]}
// `token` is what datagrams hold.
const { createSocket } = require('node:dgram');
const { connect, createServer } = require('node:net');
const { createInterface } = require('node:readline');
const { clearTimeout, setImmediate, setTimeout } = require('node:timers');

const PORT = 8080;
const plain = (address) => address.replace(/^::ffff:/, '');

const seen = new Set();

createServer((socket) => {
  socket.on('error', () => undefined);
  socket.end(`${plain(socket.localAddress)} ${plain(socket.remoteAddress)}`);
}).listen(PORT, '::', ready);

// A datagram does not say where it went; with one address a family, that is no question.
for (const [type, any] of [
  ['udp4', '0.0.0.0'],
  ['udp6', '::'],
]) {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  socket.on('message', (message, { address, port }) => {
    seen.add(String(message));
    socket.send(`${process.env[type] ?? ''} ${address}`, port, address);
  });
  socket.on('listening', ready);
  socket.bind(PORT, any);
}

let starting = 3;
function ready() {
  starting -= 1;
  if (starting === 0) process.stdout.write('ready\n');
}

function overTcp({ address, port, patience }) {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let said = 'nothing';
    socket.setTimeout(patience, () => socket.destroy());
    socket.on('data', (data) => (said = String(data)));
    socket.on('error', ({ code }) => (said = code));
    socket.on('close', () => resolve(said));
  });
}

function overUdp({ address, port, patience, token }) {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const end = (said) => {
      clearTimeout(timer);
      socket.close();
      resolve(said);
    };
    const timer = setTimeout(end, patience, 'nothing');
    socket.once('error', ({ code }) => end(code));
    socket.once('message', (message) => end(String(message)));
    socket.connect(port, address, (error) => !error && socket.send(token));
  });
}

async function answer({ id, ...asked }) {
  const said = [];
  if (asked.seen === undefined) {
    const ask = asked.protocol === 'tcp' ? overTcp : overUdp;
    said.push(...(await Promise.all(Array.from({ length: asked.count }, () => ask(asked)))));
  } else {
    // What has arrived is read before the question is answered.
    for (let i = 0; i < 3; i++) await new Promise(setImmediate);
    said.push(seen.has(asked.seen));
  }
  process.stdout.write(`${JSON.stringify({ id, said })}\n`);
}

createInterface({ input: process.stdin })
  .on('line', (line) => void answer(JSON.parse(line)))
  .on('close', () => process.exit());
