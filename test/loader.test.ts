// Whoever cannot load the addon reads one sentence; it must name what is missing and a command that mends it.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import ts from 'typescript';
import { whyNotLoaded } from '../lib/native';

const root = path.join(__dirname, '..');
const MENDS = /(apt-get install libnl-3-200|npm (?:explore|rebuild) ipvs)/;

describe('the words for a complaint of the loader', () => {
  test.each([
    [
      'libnl-3.so.200: cannot open shared object file: No such file or directory',
      'libnl-3.so.200 is not installed',
    ],
    [
      'libnl-3.so.200: cannot open shared object file: No such file or directory',
      'libnl-3.so.200 is not installed',
    ],
    [
      'No native build was found for platform=linux arch=riscv64 runtime=node abi=115 uv=1 libc=glibc node=20.20.2\n    loaded from: /app/node_modules/ipvs\n',
      'there is no addon for this machine',
    ],
    [
      "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /app/ipvs.node)",
      'this system is older than the addon that came along',
    ],
    [
      "/lib64/libstdc++.so.6: version `GLIBCXX_3.4.26' not found (required by /app/ipvs.node)",
      'this system is older than the addon that came along',
    ],
    ['/app/ipvs.node: invalid ELF header', 'the addon does not load'],
  ])('%s', (complaint, words) => {
    const sentence = whyNotLoaded(complaint);
    expect(sentence).toContain(words);
    expect(sentence).toMatch(MENDS);
    expect(sentence).not.toContain('\n');
  });
});

describe('an addon that does not load', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-loader-'));
    writeFileSync(path.join(folder, 'package.json'), '{ "name": "ipvs" }');
    mkdirSync(path.join(folder, 'dist'));
    for (const name of ['native', 'errors']) {
      const source = readFileSync(path.join(root, 'lib', `${name}.ts`), 'utf8');
      const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
      const { outputText } = ts.transpileModule(source, { compilerOptions });
      writeFileSync(path.join(folder, 'dist', `${name}.js`), outputText);
    }
    const loader = path.join('node_modules', 'node-gyp-build');
    cpSync(path.join(root, loader), path.join(folder, loader), { recursive: true });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** Loads the addon in a process of its own; `before` runs there first. Returns the error it ended with. */
  function load(before = '', wrap: readonly string[] = []): { code?: string; message?: string } {
    const program = `${before};
      try { require('./dist/native').loadBinding(); console.log('{}'); }
      catch ({ code, message }) { console.log(JSON.stringify({ code, message })); }`;
    const [command, ...args] = [...wrap, process.execPath, '-e', program];
    const child = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
    expect(child).toMatchObject({ status: 0, stderr: '' });
    return JSON.parse(child.stdout) as { code?: string; message?: string };
  }

  function addon(edit: (bytes: Buffer) => void = () => undefined): void {
    const bytes = readFileSync(path.join(root, 'build/Release/ipvs.node'));
    edit(bytes);
    mkdirSync(path.join(folder, 'build/Release'), { recursive: true });
    writeFileSync(path.join(folder, 'build/Release/ipvs.node'), bytes);
  }

  test('it loads when all is well', () => {
    addon();
    expect(load()).toEqual({});
  });

  test('none was built', () => {
    const { code, message } = load();
    expect(code).toBe('ERR_IPVS_UNAVAILABLE');
    expect(message).toMatch(MENDS);
    expect(message).toContain(`there is no addon for this machine (${process.arch}, glibc)`);
  });

  test('none for musl', () => {
    const { message } = load(`process.report.getReport = () => ({ header: {} })`);
    expect(message).toContain(`(${process.arch}, musl)`);
    expect(message).toMatch(MENDS);
  });

  test('none for Electron', () => {
    const { message } = load(
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, electron: '40.0.0' } })`,
    );
    expect(message).toContain(`(${process.arch}, glibc, Electron)`);
    expect(message).toMatch(MENDS);
  });

  test('not on Linux', () => {
    const { code, message } = load(
      `Object.defineProperty(process, 'platform', { value: 'darwin' })`,
    );
    expect(code).toBe('ERR_IPVS_UNAVAILABLE');
    expect(message).toContain('IPVS is a part of Linux, and this is darwin');
  });

  test('built for a newer glibc', () => {
    addon((bytes) => {
      const at = bytes.indexOf('\0GLIBC_2.') + 1;
      expect(at).toBeGreaterThan(0);
      bytes.write('GLIBC_9.', at);
    });
    const { code, message } = load();
    expect(code).toBe('ERR_IPVS_UNAVAILABLE');
    expect(message).toMatch(/this system is older .*version `GLIBC_9\./);
    expect(message).toMatch(MENDS);
  });

  test('damaged', () => {
    addon((bytes) => bytes.fill(0, 0, 16));
    expect(load()).toEqual({
      code: 'ERR_IPVS_UNAVAILABLE',
      message: expect.stringMatching(/the addon does not load .*npm/) as string,
    });
  });

  // A file that cannot be opened hides the library, in a mount namespace that only the child is in.
  const hide = ['unshare', '--map-root-user', '--mount'] as const;
  test('libnl is missing', async () => {
    addon();
    const socket = path.join(folder, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      const script = `for file in $(ldd build/Release/ipvs.node | awk '/libnl-3/ { print $3 }'); do mount --bind ${socket} "$file"; done; exec "$@"`;
      const { code, message } = load('', [...hide, 'sh', '-c', script, 'sh']);
      expect(code).toBe('ERR_IPVS_UNAVAILABLE');
      expect(message).toBe(
        'open: libnl-3.so.200 is not installed: on Debian and Ubuntu: apt-get install libnl-3-200; ' +
          'on Fedora and RHEL: dnf install libnl3; on Alpine: apk add libnl3',
      );
    } finally {
      server.close();
    }
  });
});
