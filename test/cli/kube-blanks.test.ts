import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { readObjects } from '../../lib/cli/kube/input';

test('a dump that comes in one large piece is no blanks', async () => {
  const service = { kind: 'Service', metadata: { name: 'a', note: 'x'.repeat(2 * 1024 * 1024) } };
  const { services } = await readObjects(['-'], Readable.from([JSON.stringify(service)]));
  expect(services).toHaveLength(1);
});

test('blanks without end are refused, compressed or not, before they fill the memory', async () => {
  const blanks = Buffer.alloc(2 * 1024 * 1024, ' ');
  for (const text of [blanks, gzipSync(blanks)]) {
    await expect(readObjects(['-'], Readable.from([text]))).rejects.toThrow(
      'stdin: there is nothing but blanks in its first 1 MB',
    );
  }
});
