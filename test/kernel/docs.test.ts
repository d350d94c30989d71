// What the documents show is what happens.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import ts from 'typescript';
import { programs, root, sessions } from '../documents';
import { Namespace } from './helpers';

jest.setTimeout(60_000);

let folder: string;
let namespace: Namespace;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-docs-'));
  mkdirSync(path.join(folder, 'node_modules'));
  symlinkSync(root, path.join(folder, 'node_modules/ipvs'));
  writeFileSync(path.join(folder, 'ipvs'), `#!/bin/sh\nexec node ${root}/dist/cli/main.js "$@"\n`, {
    mode: 0o755,
  });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  namespace = new Namespace();
});
afterEach(() => {
  namespace.delete();
});

test.each(programs)('$name runs, and prints what is shown', ({ name, source, output }) => {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const file = path.join(folder, `${name}.mjs`);
  writeFileSync(file, ts.transpileModule(source, { compilerOptions }).outputText);
  expect(namespace.run('node', file)).toBe(output);
});

test.each(sessions)('the session in $document goes as shown', ({ text }) => {
  let transcript = '';
  for (const [, command = ''] of text.matchAll(/^\$ (.*)$/gm)) {
    const printed = namespace.run('sh', '-c', `PATH=${folder}:$PATH; ${command}`);
    transcript += `$ ${command}\n${printed}`;
  }
  expect(transcript).toBe(text);
});
