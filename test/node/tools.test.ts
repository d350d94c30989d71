// The programs that a node is set up with, when they are not what they should be: scripts stand in for them.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { checkIpset, systemTools } from '../../lib/node/tools';

let folder: string;
const { PATH } = process.env;

beforeEach(() => {
  folder = mkdtempSync('/tmp/ipvs-tools-');
  process.env['PATH'] = `${folder}:${PATH ?? ''}`;
});
afterEach(() => {
  process.env['PATH'] = PATH;
  rmSync(folder, { recursive: true });
});

function install(name: string, script: string): void {
  writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(path.join(folder, name), 0o755);
}

const run = (program: string, ...args: readonly string[]): Promise<string> =>
  systemTools({ netns: '' }).run(program, args, 'input');

test('one that is missing is named, with what brings it', async () => {
  await expect(run('iptables-none-save')).rejects.toMatchObject({
    code: 'ENOENT',
    message:
      'iptables-none-save: not installed: install it: apt-get install iptables (1.8 or later)',
  });
});

test('nothing keeps the process once it is known that one is missing', async () => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  await expect(run('iptables-none-save')).rejects.toThrow();
  expect(timers()).toBe(before);
});

test('one that is missing behind nsenter, too', async () => {
  install(
    'nsenter',
    'echo "nsenter: failed to execute ipset: No such file or directory" >&2; exit 127',
  );
  await expect(systemTools({ netns: '/run/netns/x' }).run('ipset', [])).rejects.toMatchObject({
    code: 'ENOENT',
    message: 'ipset: not installed: install it: apt-get install ipset',
  });
});

test('an ipset that is too old is refused, a newer one is not', async () => {
  const tools = systemTools({ netns: '' });
  install('ipset', 'echo "ipset v4.5, protocol version 4."');
  await expect(checkIpset(tools)).rejects.toThrow(
    'ipset: version 4.5 is too old: install 6.0 or later',
  );
  install('ipset', 'echo "ipset v7.17, protocol version: 7"');
  await expect(checkIpset(tools)).resolves.toBeUndefined();
});

test.each([
  ["ipset v6.11: Unknown argument: `skbinfo'", 'it is too old for this'],
  ['Another app is currently holding the xtables lock; waited 5s', 'another program is at work'],
  ['iptables-restore: Permission denied (you must be root)', 'run it as root'],
])('of `%s` it says what to do', async (complaint, advice) => {
  install('tool', `cat >/dev/null; echo "${complaint.replaceAll('`', '\\`')}" >&2; exit 1`);
  await expect(run('tool')).rejects.toMatchObject({
    code: 'ERR_IPVS_TOOL',
    message: expect.stringContaining(advice) as unknown,
  });
});

test('one that ends before it has read all of its input is told of, and nothing else breaks', async () => {
  install('tool', 'echo "tool: no" >&2; exit 2');
  await expect(systemTools({ netns: '' }).run('tool', [], 'x'.repeat(10_000_000))).rejects.toThrow(
    'tool: tool: no',
  );
});
