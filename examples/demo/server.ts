// A server of the demo: answers every HTTP request and every UDP datagram with its name, over IPv4 and IPv6; with `seen`, also
// with the address that it was asked from.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';

const [, , name = '', how] = process.argv;

function answerTo(address: string | undefined): string {
  return how === 'seen' ? `${name} ${(address ?? '').replace(/^::ffff:/, '')}` : name;
}

async function main(): Promise<void> {
  // The demo has ended, however it did.
  process.once('disconnect', () => process.exit());

  const web = createServer((request, response) => {
    const answer = answerTo(request.socket.remoteAddress);
    if (request.url === '/download') download(response, answer);
    else response.end(answer);
  });
  await once(web.listen(8080, '::'), 'listening');

  const datagrams = createSocket('udp6');
  datagrams.on('message', (_, from) => {
    datagrams.send(answerTo(from.address), from.port, from.address);
  });
  datagrams.bind(5300, '::');
  await once(datagrams, 'listening');

  process.send?.('ready');
}

/** An answer in five parts, half a second apart; the name comes last. */
function download(response: ServerResponse, answer: string): void {
  let parts = 0;
  const timer = setInterval(() => {
    parts += 1;
    if (parts < 5) {
      response.write('.');
      return;
    }
    clearInterval(timer);
    response.end(answer);
  }, 500);
}

void main();
