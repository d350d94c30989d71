// Watching real connections from their beginning to their end.
import path from 'node:path';
import type { Connection, ConnectionChange } from '../../lib';
import { inNamespace } from './helpers';
import { traffic, type Flow } from './traffic';

jest.setTimeout(120_000);

test('connections open, change their state and close', async () => {
  await inNamespace(async (namespace) => {
    for (const last of [1, 11, 101]) {
      namespace.ip('addr', 'add', `10.0.0.${last}/32`, 'dev', 'lo');
    }
    const client = await namespace.open();
    const flows: Flow[] = [];
    for (const protocol of ['tcp', 'udp'] as const) {
      const key = { protocol, address: '10.0.0.1', port: 80 };
      await client.addService(key);
      await client.addDestination(key, { address: '10.0.0.11', port: 80 });
      const [service, destination] = ['10.0.0.1', '10.0.0.11'];
      flows.push({ protocol, client: '10.0.0.101', service, destination, port: 80, count: 2 });
    }
    await client.setTimeouts({ udp: 1 });
    const seen: ConnectionChange[] = [];
    const controller = new AbortController();
    const count = (kind: string, protocol: string): number =>
      seen.filter((one) => one.kind === kind && one.connection.protocol === protocol).length;
    let release: (() => Promise<void>) | undefined;
    const opened = traffic(namespace, flows).then((it) => (release = it));
    for await (const change of client.watchConnections({
      interval: 100,
      filter: { client: '10.0.0.0/24' },
      signal: controller.signal,
    })) {
      seen.push(change);
      // UDP goes first, by its timeout; then TCP is let go of.
      if (count('closed', 'udp') === 2 && count('opened', 'tcp') === 2) {
        await opened;
        await release?.();
        release = undefined;
      }
      if (new Set(seen.filter(({ kind }) => kind === 'changed').map(port)).size === 2) break;
    }
    expect([count('opened', 'udp'), count('opened', 'tcp')]).toEqual([2, 2]);
    expect(seen.find(({ kind }) => kind === 'opened')?.connection).toMatchObject({
      client: { address: '10.0.0.101' },
      virtual: { address: '10.0.0.1', port: 80 },
      destination: { address: '10.0.0.11', port: 80 },
    });
    for (const change of seen) {
      if (change.kind !== 'changed') continue;
      expect(change.from).not.toBe(change.connection.state);
      expect(change.connection.protocol).toBe('tcp');
    }
    await client.close();
  });
});

function port({ connection }: ConnectionChange): number {
  return connection.client.port;
}

test('the command lists, counts and stops quietly, as a program', async () => {
  await inNamespace(async (namespace) => {
    for (const last of [1, 11, 101]) {
      namespace.ip('addr', 'add', `10.0.0.${last}/32`, 'dev', 'lo');
    }
    const client = await namespace.open();
    const key = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
    await client.addService(key);
    await client.addDestination(key, { address: '10.0.0.11', port: 80 });
    const [service, destination] = ['10.0.0.1', '10.0.0.11'];
    const release = await traffic(namespace, [
      { protocol: 'tcp', client: '10.0.0.101', service, destination, port: 80, count: 3 },
    ]);
    const program = `node ${path.join(__dirname, '../../dist/cli/main.js')}`;
    const [list = '', counts, first] = namespace
      .run(
        'bash',
        '-c',
        `set -e -o pipefail
         ${program} connections --output ndjson --state established; echo ---
         ${program} connections --count-by state,client; echo ---
         ${program} connections --output json | head -1`,
      )
      .split('---\n');
    const strip = (row: Connection): object => ({ ...row, expires: 0 });
    expect(
      list
        .trim()
        .split('\n')
        .map((line) => strip(JSON.parse(line) as Connection)),
    ).toEqual([...(await client.connections())].map(strip));
    expect(counts).toBe('CONNECTIONS  STATE        CLIENT\n          3  ESTABLISHED  10.0.0.101\n');
    expect(first).toBe('[\n');
    await release();
    await client.close();
  });
});
