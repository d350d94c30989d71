// The first plan of a process, in milliseconds of CPU: the process is this one, and plans once.
import { plan } from 'ipvs';
import { cpuTimed } from './measure';
import { states } from './plans';

async function main(): Promise<void> {
  const [desired, actual] = states();
  const milliseconds = await cpuTimed(() => {
    if (!plan(desired, actual).empty) throw new Error('not the plan it should be');
  });
  console.log(milliseconds);
}

void main();
