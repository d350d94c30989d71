import { CONNECTION_LAYOUT, readColumns } from '../lib/connection-records';
import { loadBinding } from '../lib/native';

test('C++ and TypeScript describe the same records', () => {
  const native = JSON.parse(loadBinding().layout()) as Record<string, Record<string, number>>;
  for (const [record, fields] of Object.entries(CONNECTION_LAYOUT)) {
    expect([record, native[record]]).toEqual([record, fields]);
  }
});

test('columns that do not fit together are no table', () => {
  const widths = [1, 1, 1, 16, 16, 16, 2, 2, 2, 4, 1];
  const reply = [...widths.map((width) => 2 * width), 16, 28, 5].map(
    (size) => new ArrayBuffer(size),
  );
  expect(readColumns(reply)?.columns.expires).toHaveLength(2);
  const withoutOrigin = reply.with(10, new ArrayBuffer(0));
  expect(readColumns(withoutOrigin)?.columns.origin).toHaveLength(0);
  widths.forEach((width, i) => {
    expect(readColumns(reply.with(i, new ArrayBuffer(3 * width)))).toBeUndefined();
  });
  expect(readColumns(reply.slice(1))).toBeUndefined();
});
