// Testing a program that uses this library, without a kernel: ipvs/testing has one in memory that answers and refuses as
// the real one does. Here drain.ts is tested, with the test runner of Node.js: node --test unit-test.js
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceId } from 'ipvs';
import { MemoryKernel } from 'ipvs/testing';
import { drain } from './drain';

const WEB: ServiceId = 'tcp://198.51.100.1:80';

async function webService(kernel: MemoryKernel): Promise<void> {
  await using ipvs = kernel.open();
  await ipvs.addService({ protocol: 'tcp', address: '198.51.100.1', port: 80 });
  await ipvs.addDestination(WEB, { address: '10.0.1.2', port: 8080, weight: 5 });
}

void test('a destination with connections stays, with weight 0, until they are gone', async () => {
  const kernel = new MemoryKernel();
  await webService(kernel);
  kernel.setTraffic(WEB, '10.0.1.2:8080', { activeConnections: 2 });

  // Each time drain looks, one connection more has ended.
  const seen: string[] = [];
  await using ipvs = kernel.open();
  await drain(ipvs, WEB, '10.0.1.2:8080', {
    every: 1,
    progress({ weight, activeConnections }) {
      seen.push(`weight ${weight}, ${activeConnections} active`);
      kernel.setTraffic(WEB, '10.0.1.2:8080', {
        activeConnections: Math.max(0, activeConnections - 1),
      });
    },
  });

  assert.deepEqual(seen, ['weight 0, 2 active', 'weight 0, 1 active', 'weight 0, 0 active']);
  assert.deepEqual(await ipvs.destinations(WEB), []);
});

void test('draining what is not there fails', async () => {
  const kernel = new MemoryKernel();
  await webService(kernel);
  await using ipvs = kernel.open();
  await assert.rejects(drain(ipvs, WEB, '10.9.9.9:8080'), /no destination 10\.9\.9\.9:8080/);
});
