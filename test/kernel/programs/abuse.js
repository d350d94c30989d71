'use strict';
// Everything wrong that one can do to the addon itself, and to what stands on it. It may refuse, never crash. abuse.js NETNS
const path = require('node:path');
const { runInNewContext } = require('node:vm');
const { structuredClone: clone, WebAssembly } = globalThis;
const { open, openSync } = require('../../..');
const addon = require('node-gyp-build')(path.join(__dirname, '../../..'));

const netns = `/run/netns/${process.argv[2]}`;
const request = new Uint8Array(76);
const detached = new Uint8Array(76);
clone(detached.buffer, { transfer: [detached.buffer] });
const values = [
  undefined,
  null,
  true,
  -1,
  0.5,
  NaN,
  Infinity,
  2 ** 32 + 1,
  10n,
  '',
  'x\0y',
  Symbol('s'),
  [],
  {},
  () => undefined,
  request,
  detached,
  new Uint8Array(0),
  new Uint8Array(75),
  new Uint8Array(new SharedArrayBuffer(76)),
  new Uint8Array(request.buffer, 1, 12),
  new Uint16Array(38),
  new DataView(new ArrayBuffer(76)),
  new ArrayBuffer(76),
  Buffer.alloc(76, 0xff),
  new Proxy(request, {}),
  runInNewContext('new Uint8Array(76)'),
];

let refused = 0;
async function attempt(fn) {
  try {
    await fn();
  } catch (error) {
    if (typeof error.message !== 'string') throw new Error('not an error', { cause: error });
    refused++;
  }
}

async function main() {
  const handle = addon.openSync(netns, 1000);
  const other = addon.openSync(netns, 1000);
  const methods = [
    'call',
    'callSync',
    'release',
    'connections',
    'connectionsSync',
    'cancel',
    'close',
    'closeSync',
  ];
  const prototype = Object.getPrototypeOf(handle);
  const derived = Object.create(handle);

  for (const value of [...values, prototype, addon, derived, new Proxy(handle, {})]) {
    for (const name of methods) {
      await attempt(() => prototype[name].call(value, 2, request));
      await attempt(() => prototype[name].call(value, new Uint8Array(80), 1));
    }
    for (const name of ['open', 'openSync', 'layout']) {
      await attempt(() => addon[name].call(value, '', 0));
    }
    await attempt(() => Reflect.construct(handle.constructor, [value]));
    await attempt(() => handle.constructor.call(value, value));
    await attempt(() => Object.setPrototypeOf({}, prototype).callSync(5, request));
  }
  for (const one of values) {
    await attempt(() => addon.open(one, 1000));
    await attempt(() => addon.openSync(one, 1000));
    await attempt(() => addon.open(netns, one));
    await attempt(() => addon.openSync(netns, one));
    for (const two of values) {
      await attempt(() => handle.call(one, two));
      await attempt(() => handle.callSync(one, two));
      await attempt(() => handle.connections(one, two));
    }
    await attempt(() => handle.connectionsSync(one));
    await attempt(() => handle.cancel(one));
    await attempt(() => handle.release(one));
  }
  // Every operation with requests of every kind: too short, too long, of zeros, of ones, of noise.
  for (let op = 0; op < 20; op++) {
    for (const size of [0, 1, 12, 52, 76, 77, 152, 7600]) {
      for (const byte of [0, 1, 2, 0x7f, 0xff]) {
        const bytes = new Uint8Array(size).fill(byte);
        await attempt(() => handle.callSync(op, bytes));
      }
      const noise = Uint8Array.from({ length: size }, (_, i) => (i * 2654435761) >>> 13);
      await attempt(() => handle.call(op, noise));
    }
  }
  // Queries for the connection table of every kind: sources and families that there are not, prefixes that are too long.
  for (const size of [0, 79, 80, 81]) {
    for (let byte = 0; byte < 256; byte++) {
      const bytes = new Uint8Array(size).fill(byte);
      await attempt(() => handle.connectionsSync(bytes));
      for (let source = 0; size === 80 && source < 6; source++) {
        bytes[4] = source;
        await attempt(() => handle.connectionsSync(bytes));
        if (byte % 16 === 15) await attempt(() => handle.connections(bytes, byte));
      }
    }
  }
  // What knows devices knows no connections.
  const route = await addon.openRoute(netns, 1000);
  const query = new Uint8Array(80);
  query[4] = 1;
  await attempt(() => route.connections(query, 1));
  await attempt(() => route.connectionsSync(query));
  await route.close();
  // A reply that was given back, twice and under way, and memory that cannot be.
  const nothing = new Uint8Array(0);
  const [rows, info] = await Promise.all([handle.call(2, nothing), handle.call(5, nothing)]);
  for (const reply of [rows, rows, info, handle.callSync(5, nothing)]) {
    handle.release(reply);
    if (reply.byteLength !== 0) throw new Error('it still has its memory');
  }
  const fixed = new WebAssembly.Memory({ initial: 1 }).buffer;
  handle.release(fixed);
  if (fixed.byteLength === 0) throw new Error('it lost its memory');
  // The request is copied before the call returns: what happens to it afterwards does not matter.
  for (const count of [1, 20_000]) {
    const early = new Uint8Array(76 * count);
    const pending = handle.call(3, early).catch(() => refused++);
    clone(early.buffer, { transfer: [early.buffer] });
    await pending;
  }

  const racing = Array.from({ length: 20 }, () => attempt(() => other.call(2, new Uint8Array(0))));
  other.closeSync();
  other.closeSync();
  await Promise.all([...racing, other.close(), other.close()]);
  await attempt(() => other.callSync(2, new Uint8Array(0)));
  await handle.close();
  await abuseClients();
  console.log(JSON.stringify({ refused: refused > 1000 }));
}

/** The methods of what users hold, on anything and with anything. */
async function abuseClients() {
  const client = await open({ netns: process.argv[2] });
  const sync = openSync({ netns: process.argv[2] });
  const table = sync.connections();
  const watch = client.watchConnections();
  // Whatever it makes of it, it is an error or a result.
  const take = async (result) => {
    const found = await result;
    if (typeof found?.return === 'function') await found.return();
  };
  const strangers = [...values, client, sync, table, watch];
  for (const [object, names] of [
    [client, ['connections', 'watchConnections', 'servers', 'snapshot', 'apply']],
    [sync, ['connections', 'servers', 'snapshot', 'apply']],
    [table, ['at', 'countBy', 'top', Symbol.iterator]],
    [watch, ['next', 'return', 'throw', Symbol.asyncIterator]],
  ]) {
    for (const name of names) {
      const method = object[name];
      if (method === undefined) continue;
      for (const value of strangers) {
        const iterate = (found) => (name === Symbol.iterator ? [...found] : take(found));
        if (value !== object) await attempt(() => iterate(method.call(value)));
        if (object !== watch) {
          await attempt(() => iterate(method.call(object, value)));
          await attempt(() => iterate(method.call(object, undefined, value)));
          await attempt(() => iterate(method.call(object, {}, { signal: value, source: value })));
        }
      }
    }
  }
  await watch.return();
  sync.close();
  await client.close();
}

main();
