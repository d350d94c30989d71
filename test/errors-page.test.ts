// docs/errors.md has every code, and says of each what the library says.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { explain } from '../lib/explain';

const root = path.join(__dirname, '..');
// As people read it: wrapped lines are one, and list marks and code marks are not there.
const page = readFileSync(path.join(root, 'docs/errors.md'), 'utf8').replace(/\s+/g, ' ');

const LAST_ERRNO = 133;
const OPERATIONS = [
  'open',
  'addService',
  'setService',
  'deleteService',
  'addDestination',
  'setDestination',
  'deleteDestination',
  'setTimeouts',
  'startDaemon',
  'stopDaemon',
  'connections',
];
const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const mixed = { address: '2001:db8::1', port: 80 };

test('every code has its place', () => {
  const source = readFileSync(path.join(root, 'lib/errors.ts'), 'utf8');
  const [, union = ''] = /export type IpvsErrorCode =(.*?);/s.exec(source) ?? [];
  const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code);
  expect(codes).toContain('ERR_IPVS_UNAVAILABLE');
  const headings = [...page.matchAll(/### ((?:`\w+`(?:, )?)+)/g)].map(([, names]) => names).join();
  expect(codes.filter((code) => !headings.includes(`\`${code}\``))).toEqual([]);
});

test('the words are those of the messages', () => {
  const missing = new Set<string>();
  for (let errno = 1; errno <= LAST_ERRNO; errno++) {
    for (const operation of OPERATIONS) {
      const requests = [{ operation }, { operation, service, destination: mixed }];
      for (const request of requests) {
        const { code, message } = explain(errno, request);
        const words = message.slice(message.indexOf(': ', message.lastIndexOf('80')) + 2);
        if (!page.includes(words) && !words.endsWith(`(${code}): see ipvs doctor`)) {
          missing.add(`${code}: ${words}`);
        }
      }
    }
  }
  expect([...missing]).toEqual([]);
});
