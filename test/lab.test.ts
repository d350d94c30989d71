import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { PassThrough, Writable } from 'node:stream';

import { labAvailable, runInLab } from '../lib/lab';
import { lab, memory, shell } from './lab';

// Each test boots a kernel of its own, in half a second.
jest.setTimeout(60_000);

let scratch: string;
beforeEach(() => {
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'lab-test-'));
});
afterEach(() => {
  fs.rmSync(scratch, { recursive: true, force: true });
});

describe('how the command ends', () => {
  test('its exit status is the result', async () => {
    const { status, signal } = await lab(['sh', '-c', 'exit 42']);
    expect({ status, signal }).toEqual({ status: 42, signal: null });
  });

  test('an exit status over 128 is no signal', async () => {
    const { status, signal } = await lab(['sh', '-c', 'exit 137']);
    expect({ status, signal }).toEqual({ status: 137, signal: null });
  });

  test('a signal is named', async () => {
    const { status, signal } = await lab(['sh', '-c', 'kill -USR1 $$']);
    expect({ status, signal }).toEqual({ status: null, signal: 'SIGUSR1' });
  });

  test('a program that does not exist rejects with ENOENT', async () => {
    await expect(lab(['no-such-program'])).rejects.toMatchObject({
      name: 'LabError',
      code: 'ENOENT',
      message: "the lab cannot run 'no-such-program': no such file or directory",
    });
  });

  test('a directory that does not exist rejects with its name', async () => {
    await expect(lab(['true'], 'ignore', { cwd: '/no/such' })).rejects.toThrow(
      "the lab cannot enter the directory '/no/such': no such file or directory",
    );
  });

  test('a kernel that stops first rejects with its last words', async () => {
    const crash = 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger';
    await expect(lab(['sh', '-c', crash])).rejects.toThrow(
      /stopped before the command ended[^]*sysrq triggered crash/,
    );
  });

  test('what it left running is ended with it', async () => {
    expect(await shell('sleep 1000 & echo over')).toBe('over\n');
  });
});

describe('what the command gets', () => {
  test('any characters in arguments', async () => {
    const odd = [
      'a b',
      '',
      '$HOME',
      "it's",
      '"',
      'new\nline',
      'é☃\u{1f600}',
      '*',
      '--',
      '\\',
      '\x01\x7f',
    ];
    const { stdout } = await lab(['printf', '%s\\0', ...odd]);
    expect(stdout.toString().split('\0').slice(0, -1)).toEqual(odd);
  });

  test('any characters in the environment', async () => {
    const odd = { 'a.b': 'c d', LINES: 'x\ny=z', 'npm_config_//r/:_auth': "'", EMPTY: '' };
    const { stdout } = await lab(['env', '-0'], 'ignore', {
      env: { PATH: process.env['PATH'], ...odd },
    });
    const entries = stdout
      .toString()
      .split('\0')
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]);
    expect(Object.fromEntries(entries)).toMatchObject(odd);
  });

  test('a program whose name looks like an assignment', async () => {
    const program = path.join(scratch, 'a=b c');
    fs.writeFileSync(program, '#!/bin/sh\necho "ran $1"\n', { mode: 0o755 });
    expect((await lab([program, 'it'])).stdout.toString()).toBe('ran it\n');
  });

  test('the directory', async () => {
    const directory = path.join(scratch, "it's a ☃");
    fs.mkdirSync(directory);
    expect(await shell('pwd', { cwd: directory })).toBe(`${directory}\n`);
  });

  test('the mask for new files', async () => {
    const before = process.umask(0o027);
    try {
      expect(await shell('umask')).toBe('0027\n');
    } finally {
      process.umask(before);
    }
  });

  test('all rights', async () => {
    expect(await shell('id -u')).toBe('0\n');
  });

  test('the memory asked for', async () => {
    const kilobytes = Number(await shell("awk '/MemTotal/ { print $2 }' /proc/meminfo"));
    expect(kilobytes).toBeGreaterThan(400_000);
    expect(kilobytes).toBeLessThan(530_000);
  });

  test('files that stay when the kernel is gone', async () => {
    const file = path.join(scratch, 'file');
    const sum = await shell(`head -c 3000000 /dev/urandom | tee ${file} | md5sum`);
    expect(await shell(`md5sum <${file}`)).toBe(sum);
    expect(fs.statSync(file).size).toBe(3_000_000);
  });
});

describe('streams', () => {
  test('output and error stay apart', async () => {
    const { stdout, stderr } = await lab(['sh', '-c', 'echo out; echo err >&2']);
    expect([stdout.toString(), stderr.toString()]).toEqual(['out\n', 'err\n']);
  });

  test('bytes pass as they are, both ways', async () => {
    const bytes = Buffer.concat([Buffer.from([...Array(256).keys()]), randomBytes(300_000)]);
    const { stdout } = await lab(['cat'], bytes);
    expect(stdout.equals(bytes)).toBe(true);
  });

  test('the end of the input is seen', async () => {
    const { stdout } = await lab(['sh', '-c', 'wc -c; echo after'], Buffer.from('12345'));
    expect(stdout.toString()).toBe('5\nafter\n');
  });

  test('input that the command does not read holds nothing up', async () => {
    const { status } = await lab(['true'], Buffer.alloc(5_000_000));
    expect(status).toBe(0);
  });

  test('nothing of a large output is lost', async () => {
    const { stdout } = await lab(['head', '-c', '50000000', '/dev/zero']);
    expect(stdout.length).toBe(50_000_000);
  });

  test('a slow reader loses nothing either', async () => {
    let count = 0;
    const slow = new Writable({
      write(chunk: Buffer, _encoding, done) {
        count += chunk.length;
        setTimeout(done, 5);
      },
    });
    await runInLab({
      command: ['head', '-c', '1000000', '/dev/zero'],
      memory,
      stdio: ['ignore', slow, 'ignore'],
    });
    expect(count).toBe(1_000_000);
  });

  test('output arrives while the command runs', async () => {
    const input = new PassThrough();
    const heard: string[] = [];
    const answer = new Writable({
      write(chunk: Buffer, _encoding, done) {
        heard.push(chunk.toString());
        if (heard.length === 1) input.end('answer\n');
        done();
      },
    });
    await runInLab({
      command: ['sh', '-c', 'echo question; read -r line; echo "$line"'],
      memory,
      stdio: [input, answer, 'ignore'],
    });
    expect(heard).toEqual(['question\n', 'answer\n']);
  });

  test('a reader that goes away ends the writer', async () => {
    const gone = new Writable({
      write(_chunk, _encoding, done) {
        done(new Error('gone'));
      },
    });
    const { signal } = await runInLab({
      command: ['yes'],
      memory,
      stdio: ['ignore', gone, 'ignore'],
    });
    expect(signal).toBe('SIGPIPE');
  });
});

describe('the kernel', () => {
  test('loads IPVS and a scheduler when they are asked for', async () => {
    const table = await shell('ipvsadm -A -t 10.0.0.1:80 -s mh; cat /proc/net/ip_vs');
    expect(table).toContain('TCP  0A000001:0050 mh');
  });

  test('plain modprobe finds its modules', async () => {
    expect(await shell('modprobe ip_vs_sed; lsmod')).toContain('ip_vs_sed');
  });

  test('has network namespaces, and hosts in them that reach each other', async () => {
    const script = `
      for host in left right; do ip netns add $host; done
      ip link add name leftmost netns left type veth peer name rightmost netns right
      ip -n left address add 10.9.0.1/24 dev leftmost; ip -n left link set leftmost up
      ip -n right address add 10.9.0.2/24 dev rightmost; ip -n right link set rightmost up
      ip netns exec left bash -c ': </dev/tcp/10.9.0.2/9' 2>&1 | grep -o refused | head -n1`;
    expect(await shell(script)).toBe('refused\n');
  });

  test('has the loopback interface up', async () => {
    expect(await shell('cat /sys/class/net/lo/flags')).toBe('0x9\n');
  });

  test('is another one in each of several labs at once', async () => {
    const tables = await Promise.all(
      [1, 2, 3].map((n) =>
        shell(`ipvsadm -A -t 10.0.0.${n}:80; sleep 0.5; ipvsadm -Ln | grep -o '10.0.0.*:80'`),
      ),
    );
    expect(tables).toEqual(['10.0.0.1:80\n', '10.0.0.2:80\n', '10.0.0.3:80\n']);
  });

  test('is not booted again where there is IPVS, which is left as it is', async () => {
    const script = path.join(__dirname, '..', 'scripts', 'lab.mjs');
    const inner = `${process.execPath} ${script} --where-possible -- sh -c 'ipvsadm -Ln | tail -n +4; ipvsadm -A -t 10.0.0.2:80; uname -r'`;
    const release = (await shell('uname -r')).trim();
    expect(
      await shell(`ipvsadm -A -t 10.0.0.1:80; ${inner}; ipvsadm -Ln | grep -o '10.0.0.*:80'`),
    ).toBe(`${release}\n10.0.0.1:80\n`);
  });
});

test('without user-mode Linux, says what to install', () => {
  expect(labAvailable('/no/linux.uml').reason).toBe(
    'the lab needs user-mode Linux, and /no/linux.uml is not there: apt-get install user-mode-linux kmod (Debian 12)',
  );
});
