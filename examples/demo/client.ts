// The client of the demo: sends the requests it is told to, over real sockets, and counts who answered.
import { createSocket } from 'node:dgram';
import { Agent, get } from 'node:http';
import type { Socket } from 'node:net';
import type { Load, Order, Tally } from './messages';

const PATIENCE = 8000;
/** Requests of one load that may be open at once. */
const OPEN = 16;

interface Running {
  readonly load: Load;
  readonly timer: NodeJS.Timeout;
  tally: Tally;
  open: number;
}

const loads = new Map<number, Running>();

/**
 * One connection a request, reset once the whole answer is there. A connection that ends politely stays in the kernel's
 * table for two minutes more (TIME_WAIT), a reset one for ten seconds: the demo would like to see it go.
 */
class OneRequestAgent extends Agent {
  override keepSocketAlive(socket: Socket): boolean {
    socket.resetAndDestroy();
    return false;
  }
}
const agent = new OneRequestAgent({ keepAlive: true });

function start(load: Load): void {
  const running: Running = {
    load,
    timer: setInterval(() => {
      next(running);
    }, load.every),
    tally: { id: load.id, sent: 0, failed: 0, answers: {} },
    open: 0,
  };
  loads.set(load.id, running);
}

function next(running: Running): void {
  const { load, tally } = running;
  if (tally.sent === load.total) clearInterval(running.timer);
  else if (running.open < OPEN) void request(running);
}

async function request(running: Running): Promise<void> {
  running.open += 1;
  running.tally = { ...running.tally, sent: running.tally.sent + 1 };
  try {
    const name = await (running.load.protocol === 'tcp' ? fetchName : askName)(running.load);
    const { answers } = running.tally;
    running.tally = {
      ...running.tally,
      answers: { ...answers, [name]: (answers[name] ?? 0) + 1 },
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    running.tally = { ...running.tally, failed: running.tally.failed + 1, reason };
  }
  running.open -= 1;
}

/** Over TCP, with HTTP. */
function fetchName({ address, port, path, from, patience = PATIENCE }: Load): Promise<string> {
  return new Promise((resolve, reject) => {
    const local = from === undefined ? {} : { localAddress: from };
    const how = { host: address, port, path, agent, timeout: patience, ...local };
    const asked = get(how, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body.replace(/^\.+/, ''));
        else reject(new Error(`status ${response.statusCode ?? 'missing'}`));
      });
    });
    asked.on('error', reject);
    asked.on('timeout', () => asked.destroy(new Error(`no answer in ${patience / 1000} s`)));
  });
}

/** Over UDP: one datagram there, one back. */
function askName({ address, port, from, patience = PATIENCE }: Load): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => {
      socket.emit('error', new Error(`no answer in ${patience / 1000} s`));
    }, patience);
    const close = (): void => {
      clearTimeout(timer);
      socket.close();
    };
    socket.once('message', (answer) => {
      close();
      resolve(answer.toString());
    });
    socket.once('error', (error) => {
      close();
      reject(error);
    });
    if (from !== undefined) socket.bind({ address: from });
    socket.send('who are you?', port, address);
  });
}

function report(): void {
  for (const { tally } of loads.values()) process.send?.(tally);
}

process.once('disconnect', () => process.exit());
process.on('message', (order: Order) => {
  if ('start' in order) start(order.start);
  else clearInterval(loads.get(order.stop)?.timer);
});
setInterval(report, 100);
process.send?.('ready');
