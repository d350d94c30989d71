// Reconciles while the module is taken away and brought back, in a kernel of its own. Prints what the rounds told.
'use strict';
const { execFileSync } = require('node:child_process');
const { readFileSync, writeFileSync } = require('node:fs');
const { open, reconcile } = require('../../../dist');

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80, scheduler: 'rr' };
const state = [{ ...web, destinations: [{ address: '192.0.2.1', port: 80 }] }];

function unload() {
  // The loop may put the service back between the two.
  const modules = readFileSync('/proc/modules', 'utf8').match(/^ip_vs_\w+/gm) ?? [];
  for (let i = 1; ; i++) {
    try {
      execFileSync('ipvsadm', ['-C'], { stdio: 'pipe' });
      execFileSync('rmmod', [...modules, 'ip_vs'], { stdio: 'pipe' });
      return;
    } catch (error) {
      if (i === 20) throw error;
    }
  }
}

async function main() {
  const client = await open();
  // Else the kernel would bring it back by itself.
  writeFileSync('/proc/sys/kernel/modprobe', '\n');
  const abort = new AbortController();
  async function* desired() {
    yield state;
    await new Promise((resolve) => abort.signal.addEventListener('abort', resolve));
  }
  const loop = reconcile(desired(), client, {
    owns: () => true,
    resync: 100,
    retry: { min: 200, max: 2_000 },
    signal: abort.signal,
  });
  const errors = [];
  let at = 'first';
  let healthyWhileGone;
  for await (const { error, plan } of loop) {
    if (at === 'first' && error === undefined && plan.empty) {
      unload();
      at = 'gone';
    } else if (at === 'gone') {
      if (error === undefined) continue;
      errors.push({ time: performance.now(), code: error.code, message: error.message });
      healthyWhileGone = loop.health.healthy;
      if (errors.length < 4) continue;
      execFileSync('modprobe', ['ip_vs_rr']);
      at = 'back';
    } else if (at === 'back' && error === undefined) {
      at = 'healed';
    } else if (at === 'healed' && plan.empty) {
      abort.abort();
    }
  }
  const gaps = errors.slice(1).map(({ time }, i) => time - errors[i].time);
  const found = await client.servers();
  const { healthy, lastError } = loop.health;
  await client.close();
  const [{ code, message }] = errors;
  console.log(
    JSON.stringify({
      code,
      message,
      gaps,
      found,
      healthy,
      healthyWhileGone,
      last: lastError?.code,
    }),
  );
}

const end = setTimeout(() => {
  console.error('it does not come to an end');
  process.exit(1);
}, 30_000);
main().then(() => clearTimeout(end));
