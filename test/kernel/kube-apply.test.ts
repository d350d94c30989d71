// ipvs kube apply and cleanup, on a namespace of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { open } from '../../lib/client';
import type { NodeReport } from '../../lib/node';
import { Shell, type Result } from '../cli/shell';
import { LOCAL, service, slice } from '../kube/objects';
import { Namespace, run } from './helpers';

jest.setTimeout(120_000);

const SERVED = `-A -t 172.30.0.10:80 -s rr
-a -t 172.30.0.10:80 -r 10.1.0.5:8080 -m -w 1
`;

let namespace: Namespace;
let folder: string;
beforeAll(() => {
  for (const name of ['dummy', 'iptable_nat']) run('modprobe', name);
});
beforeEach(() => {
  namespace = new Namespace();
  folder = mkdtempSync('/tmp/ipvs-kube-apply-');
  write([service()]);
});
afterEach(() => {
  namespace.delete();
  rmSync(folder, { recursive: true });
});

function write(services: readonly object[]): void {
  const items = [
    ...services.map((each) => ({ apiVersion: 'v1', kind: 'Service', ...each })),
    { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', ...slice([LOCAL]) },
  ];
  writeFileSync(path.join(folder, 'c.json'), JSON.stringify({ kind: 'List', items }));
}

function kube(verb: string, ...words: readonly string[]): Promise<Result> {
  const record = path.join(folder, 'node.json');
  const fixed = ['--netns', namespace.name, '--record', record];
  return new Shell(open).words(['kube', verb, ...fixed, ...words]);
}

function apply(...words: readonly string[]): Promise<Result> {
  const file = path.join(folder, 'c.json');
  return kube('apply', '-f', file, '--node', 'here', '--family', 'ipv4', ...words);
}

const saved = () => namespace.ipvsadm('-S', '-n');

test('a dry run says what would be done and does nothing; apply does it, and twice changes nothing', async () => {
  const dry = await apply('--dry-run', '--output', 'json');
  expect(dry).toMatchObject({ status: 0, stderr: '' });
  const { lines } = JSON.parse(dry.stdout) as NodeReport;
  expect(lines).toContain('+ address 172.30.0.10');
  expect(saved()).toBe('');
  expect(await apply()).toEqual({ status: 0, stdout: `${lines.join('\n')}\n`, stderr: '' });
  expect(saved()).toBe(SERVED);
  expect(await apply()).toEqual({ status: 0, stdout: '', stderr: '' });
});

test('where something goes and nobody can be asked, only --yes is an answer', async () => {
  await apply();
  write([service({ clusterIP: '172.30.0.11' })]);
  const refused = await apply();
  expect(refused).toMatchObject({ status: 2, stdout: '' });
  expect(refused.stderr).toContain('give --yes');
  expect(saved()).toBe(SERVED);
  expect(await apply('--yes')).toMatchObject({ status: 0, stderr: '' });
  expect(saved()).toBe(SERVED.replaceAll('172.30.0.10', '172.30.0.11'));
});

test('--drain is a number of seconds, and --wait ends at once where nothing drains', async () => {
  const wrong = await apply('--drain', 'soon');
  expect(wrong).toMatchObject({ status: 2, stdout: '' });
  expect(wrong.stderr).toContain('--drain: "soon" is not a plain decimal number');
  expect(await apply('--drain', '5', '--wait')).toMatchObject({ status: 0, stderr: '' });
  expect(saved()).toBe(SERVED);
});

test('cleanup wants --yes, and takes everything back', async () => {
  await apply();
  const refused = await kube('cleanup');
  expect(refused).toMatchObject({ status: 2, stdout: '' });
  expect(refused.stderr).toContain('give --yes');
  expect(saved()).toBe(SERVED);
  expect(await kube('cleanup', '--yes')).toMatchObject({ status: 0, stderr: '' });
  expect(saved()).toBe('');
  expect(namespace.run('ipset', 'save')).toBe('');
  expect(namespace.ip('-o', 'link')).not.toContain('kube-ipvs0');
});
