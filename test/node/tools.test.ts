// The programs that a node is set up with, when they are not what they should be: scripts stand in for them. With the addon
// and without.
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import * as native from '../../lib/native';
import { checkIpset, systemTools } from '../../lib/node/tools';

describe.each(['started by the addon', 'started by Node'])('%s', (starter) => {
  let folder: string;
  const { PATH } = process.env;

  beforeEach(() => {
    if (starter === 'started by Node')
      jest.spyOn(native, 'loadBinding').mockImplementation(() => {
        throw new Error('no addon for this machine');
      });
    folder = mkdtempSync('/tmp/ipvs-tools-');
    process.env['PATH'] = `${folder}:${PATH ?? ''}`;
  });
  afterEach(() => {
    process.env['PATH'] = PATH;
    rmSync(folder, { recursive: true });
    jest.restoreAllMocks();
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
    // Others may have ended.
    expect(timers()).toBeLessThanOrEqual(before);
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
    await expect(
      systemTools({ netns: '' }).run('tool', [], 'x'.repeat(10_000_000)),
    ).rejects.toThrow('tool: tool: no');
  });

  test('input and output are large and come whole, letters of several bytes too', async () => {
    const input = 'äöü€\n'.repeat(3_000_000);
    const output = await systemTools({ netns: '' }).run('cat', [], input);
    expect(output === input).toBe(true);
  });

  test('of one that a signal ended it says which', async () => {
    install('tool', 'kill -9 $$');
    await expect(run('tool')).rejects.toThrow('tool: ended with SIGKILL');
  });

  test('arguments and environment get there as they are', async () => {
    install('tool', 'printf "%s|" "$@" "$LC_ALL" "$PATH"');
    const words = ['', ' ', 'a b', '*', '$HOME', '"', 'ä'];
    const [all, PATH] = [words.join('|'), process.env['PATH'] ?? ''];
    expect(await run('tool', ...words)).toBe(`${all}|C|${PATH}:/usr/sbin:/usr/bin:/sbin:/bin|`);
  });

  test('one that cannot be run is named, and does not hide another further down PATH', async () => {
    writeFileSync(path.join(folder, 'cat'), 'no program', { mode: 0o644 });
    expect(await run('cat')).toBe('input');
    writeFileSync(path.join(folder, 'tool'), 'no program', { mode: 0o644 });
    await expect(run('tool')).rejects.toMatchObject({
      code: 'EACCES',
      message: expect.stringContaining('tool: cannot be run: ') as unknown,
    });
  });

  /** Children of this process, those that ended and nobody waited for included. */
  function children(): string[] {
    return readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(process.pid);
      } catch {
        return false;
      }
    });
  }
  const descriptors = (): string[] => readdirSync('/proc/self/fd').sort();

  test('many at once leave no process and no descriptor behind', async () => {
    install('tool', 'cat >/dev/null; exit 3');
    await run('true');
    const before = [children(), descriptors()];
    await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        run(i % 2 === 0 ? 'cat' : 'tool').catch(() => undefined),
      ),
    );
    await Promise.all(Array.from({ length: 10 }, () => run('none').catch(() => undefined)));
    // Some are closed in the next turns of the event loop.
    const after = () => [children(), descriptors()];
    for (let tries = 0; after().flat().length > before.flat().length && tries < 100; tries++)
      await wait(10);
    expect(after()).toEqual(before);
  });

  test('the signal ends the call at once and the program with it, deaf children of its own or not', async () => {
    const before = children();
    const ready = path.join(folder, 'ready');
    install(
      'tool',
      `trap 'exit 1' TERM; (trap '' TERM; sleep 1) & touch ${ready}; while :; do sleep 0.05; done`,
    );
    const { signal, abort } = abortable();
    const running = systemTools({ netns: '', signal }).run('tool', []);
    const failed = expect(running).rejects.toMatchObject({
      code: 'ABORT_ERR',
      message: 'tool: aborted by its signal',
      cause: 'enough',
    });
    while (!existsSync(ready)) await wait(10);
    const start = performance.now();
    abort('enough');
    await failed;
    expect(performance.now() - start).toBeLessThan(500);
    for (let tries = 0; children().length > before.length && tries < 100; tries++) await wait(20);
    expect(children()).toEqual(before);
    await expect(systemTools({ netns: '', signal }).run('tool', [])).rejects.toMatchObject({
      code: 'ABORT_ERR',
    });
  });

  function abortable() {
    const controller = new AbortController();
    return {
      signal: controller.signal,
      abort: (reason: unknown) => {
        controller.abort(reason);
      },
    };
  }
});
