// What users rely on, told once: the kernel in memory and the real one pass the same suite, through the asynchronous and
// the synchronous client.
import { applying } from './contract/applying';
import { badInput } from './contract/bad-input';
import { connections } from './contract/connections';
import { daemons } from './contract/daemons';
import { destinations } from './contract/destinations';
import { Here, type MakePlace } from './contract/kit';
import { lifecycle } from './contract/lifecycle';
import { services } from './contract/services';
import { settings } from './contract/settings';

export type { MakePlace, Place } from './contract/kit';

/** @param many - changes in the largest batches */
export function contract(name: string, makePlace: MakePlace, many = 200_000): void {
  describe(`contract, ${name}`, () => {
    const here = new Here(makePlace);
    describe('services', () => {
      services(here);
    });
    describe('destinations', () => {
      destinations(here);
    });
    describe('settings of the namespace', () => {
      settings(here);
    });
    describe('sync daemons', () => {
      daemons(here);
    });
    describe('bad input', () => {
      badInput(here);
    });
    describe('apply', () => {
      applying(here, many);
    });
    describe('the connection table', () => {
      connections(here);
    });
    describe('lifecycle', () => {
      lifecycle(here);
    });
  });
}
