'use strict';
// Everything wrong that one can do to the addon itself. It may refuse, never crash. abuse.js NETNS
const path = require('node:path');
const { runInNewContext } = require('node:vm');
const { structuredClone: clone } = globalThis;
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
  const methods = ['call', 'callSync', 'close', 'closeSync'];
  const prototype = Object.getPrototypeOf(handle);
  const derived = Object.create(handle);

  for (const value of [...values, prototype, addon, derived, new Proxy(handle, {})]) {
    for (const name of methods) await attempt(() => prototype[name].call(value, 2, request));
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
    }
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
  // The request is copied before the call returns: what happens to it afterwards does not matter.
  const early = new Uint8Array(76);
  const pending = handle.call(3, early).catch(() => refused++);
  clone(early.buffer, { transfer: [early.buffer] });
  await pending;

  const racing = Array.from({ length: 20 }, () => attempt(() => other.call(2, new Uint8Array(0))));
  other.closeSync();
  other.closeSync();
  await Promise.all([...racing, other.close(), other.close()]);
  await attempt(() => other.callSync(2, new Uint8Array(0)));
  await handle.close();
  console.log(JSON.stringify({ refused: refused > 1000 }));
}

main();
