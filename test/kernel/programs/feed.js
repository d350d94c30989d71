'use strict';
// Fills the connection table of this namespace the way a director fills that of its backup: with sync messages, which
// a backup daemon, started for it, turns into entries as real as any other. feed.js RUNS, where RUNS is JSON: the Run[] of
// test/kernel/feed.ts. Prints how many entries it sent; ends with an error if the kernel dropped any message.
const { execFileSync } = require('node:child_process');
const { createSocket } = require('node:dgram');
const { readFileSync } = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { promisify } = require('node:util');
const { openSync } = require('../../..');
const { splitHostPort, writeAddress } = require('../../../dist/address');

const GROUP = '224.0.0.81';
const PORT = 8848;

// A message of version 1: 8 bytes, then at most 255 entries of 36 bytes (IPv4) or 72 (IPv6), and what an engine adds.
const HEADER = 8;
const MOST = 255;
const SIZES = { ipv4: 36, ipv6: 72 };
const PROTOCOLS = { ip: 0, tcp: 6, udp: 17, sctp: 132 };
/** The state in which a connection counts as active. */
const ESTABLISHED = { tcp: 1, sctp: 8 };
const INACTIVE = 0x100;
const TEMPLATE = 0x1000;
const ENGINE_DATA = 2;
const ENGINE_NAME = 3;

/** Bytes on their way at once: fewer than a socket's default buffer takes, with what the kernel counts on top. */
const WINDOW = 32 << 10;
/** Messages travel in one piece: the kernel counts fragments several times over, and drops what it has no room for. */
const MTU = 20_000;
const DEVICE = 'feed0';
const ADDRESS = '198.18.0.1';

function endpoint(text) {
  const { host, port } = splitHostPort(text);
  const bytes = Buffer.alloc(16);
  const family = writeAddress(host, bytes, 0);
  return { family, bytes: family === 'ipv4' ? bytes.subarray(0, 4) : bytes, port: Number(port) };
}

/** Writes the address that lies `distance` after another. */
function writeAfter(base, distance, to, at) {
  base.copy(to, at);
  const last = at + base.length - 4;
  to.writeUInt32BE((to.readUInt32BE(last) + distance) >>> 0, last);
}

function option(type, text) {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([Buffer.from([type, bytes.length]), bytes]);
}

function optionsOf(engine) {
  if (engine === undefined) return Buffer.alloc(0);
  return Buffer.concat([option(ENGINE_DATA, engine.data), option(ENGINE_NAME, engine.name)]);
}

/** How entries of a run are written: number `i` of them at a place, which tells where it ends. */
function writer(run) {
  const { protocol = 'tcp', states = [1], template = false, timeout = 3600, fwmark = 0 } = run;
  const client = endpoint(run.client);
  const services = run.services.map(endpoint);
  const destinations = run.destinations.map(endpoint);
  const options = optionsOf(run.engine);
  const fixed = SIZES[client.family];
  const width = client.bytes.length;
  const write = (to, at, i) => {
    const state = states[i % states.length];
    const service = services[i % services.length];
    const destination = destinations[Math.floor(i / services.length) % destinations.length];
    const flags = template ? TEMPLATE : state === ESTABLISHED[protocol] ? 0 : INACTIVE;
    to[at] = client.family === 'ipv6' ? 1 : 0;
    to[at + 1] = PROTOCOLS[protocol];
    to.writeUInt16BE(fixed + options.length, at + 2);
    to.writeUInt32BE(flags, at + 4);
    to.writeUInt16BE(state, at + 8);
    to.writeUInt16BE(template ? 0 : client.port + (i % (65536 - client.port)), at + 10);
    to.writeUInt16BE(service.port, at + 12);
    to.writeUInt16BE(destination.port, at + 14);
    to.writeUInt32BE(fwmark, at + 16);
    to.writeUInt32BE(timeout, at + 20);
    writeAfter(client.bytes, i, to, at + 24);
    service.bytes.copy(to, at + 24 + width);
    destination.bytes.copy(to, at + 24 + 2 * width);
    options.copy(to, at + fixed);
    return at + fixed + options.length;
  };
  // Entries start at multiples of four bytes.
  return { size: (fixed + options.length + 3) & ~3, write };
}

function* messages(runs) {
  for (const run of runs) {
    const { count } = run;
    const { size, write } = writer(run);
    for (let sent = 0; sent < count; sent += MOST) {
      const number = Math.min(MOST, count - sent);
      const message = Buffer.alloc(HEADER + number * size);
      let end = HEADER;
      for (let i = 0; i < number; i++) end = write(message, HEADER + i * size, sent + i);
      message.writeUInt16BE(end, 2);
      message[4] = number;
      message[5] = 1;
      yield message.subarray(0, end);
    }
  }
}

/** Datagrams that were read in this namespace, and those that found no room. Not what waits at the socket: some may not even be there. */
function arrivals() {
  const [names, numbers] = readFileSync('/proc/net/snmp', 'latin1')
    .split('\n')
    .filter((line) => line.startsWith('Udp:'))
    .map((line) => line.split(' '));
  const of = (name) => Number(numbers[names.indexOf(name)]);
  return { read: of('InDatagrams'), lost: of('RcvbufErrors') };
}

async function taken(count, before) {
  for (;;) {
    const now = arrivals();
    if (now.lost !== before.lost) throw new Error('the daemon lost messages');
    if (now.read - before.read >= count) return;
    await sleep(1);
  }
}

async function send(runs) {
  const socket = createSocket('udp4');
  await new Promise((bound) => socket.bind(0, ADDRESS, bound));
  socket.setMulticastInterface(ADDRESS);
  const sendOne = promisify(socket.send.bind(socket));
  const before = arrivals();
  let sent = 0;
  let under = 0;
  for (const message of messages(runs)) {
    if (under + message.length > WINDOW) {
      await taken(sent, before);
      under = 0;
    }
    await sendOne(message, PORT, GROUP);
    sent++;
    under += message.length;
  }
  await taken(sent, before);
  socket.close();
}

async function main(runs) {
  const ip = (...words) => execFileSync('ip', words);
  ip('link', 'add', DEVICE, 'mtu', String(MTU), 'type', 'dummy');
  ip('addr', 'add', `${ADDRESS}/32`, 'dev', DEVICE);
  ip('link', 'set', DEVICE, 'up');
  const ipvs = openSync();
  ipvs.startDaemon({ role: 'backup', interface: DEVICE, syncId: 0, maxLength: MTU });
  try {
    await send(runs);
  } finally {
    ipvs.stopDaemon({ role: 'backup' });
    ip('link', 'delete', DEVICE);
    ipvs.close();
  }
  console.log(runs.reduce((sum, { count }) => sum + count, 0));
}

main(JSON.parse(process.argv[2]));
