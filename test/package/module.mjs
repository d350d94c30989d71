import { IpvsError, open, openSync } from 'ipvs';
import { memoryIpvs, MemoryKernel } from 'ipvs/testing';
import consumer from './consumer.js';

await consumer.check({ IpvsError, open, openSync }, { memoryIpvs, MemoryKernel }, '');
