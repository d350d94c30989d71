'use strict';
// What a program that installed the package finds, however it imports it.
const assert = require('node:assert/strict');

async function check({ IpvsError, open, openSync }, { memoryIpvs }, version) {
  assert.match(version, /^(?:\d+\.\d+\.\d+)?$/);
  assert.equal(typeof openSync, 'function');

  // The addon loads and asks the kernel; most machines that build packages have none with IPVS.
  const error = await open().then(
    (client) => client.close(),
    (reason) => reason,
  );
  if (error !== undefined) {
    assert.ok(error instanceof IpvsError);
    assert.equal(error.code, 'ERR_IPVS_UNAVAILABLE');
    assert.match(error.message, /^open: this kernel has no IPVS: .*modprobe ip_vs/);
  }

  const client = memoryIpvs();
  await client.addService({ protocol: 'tcp', address: '10.0.0.1', port: 80 });
  const [service] = await client.services();
  assert.equal(service.scheduler, 'wlc');
  await client.close();
}

module.exports = { check };
