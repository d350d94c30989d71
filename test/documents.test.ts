// What the documents show compiles, and their links lead somewhere. That it runs is tested in the lab.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import ts from 'typescript';
import { documents, programs, root } from './documents';

test('every program compiles', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-docs-'));
  try {
    const files = programs.map(({ name, source }) => {
      const file = path.join(folder, `${name}.mts`);
      writeFileSync(file, source);
      return file;
    });
    const program = ts.createProgram(files, {
      module: ts.ModuleKind.Node16,
      moduleResolution: ts.ModuleResolutionKind.Node16,
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      paths: {
        ipvs: [path.join(root, 'lib/index.ts')],
        'ipvs/iptables': [path.join(root, 'lib/iptables.ts')],
        'ipvs/kube': [path.join(root, 'lib/kube.ts')],
        'ipvs/node': [path.join(root, 'lib/node.ts')],
        'ipvs/state': [path.join(root, 'lib/state.ts')],
        'ipvs/testing': [path.join(root, 'lib/memory.ts')],
      },
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noUnusedLocals: true,
      types: ['node', 'jest'],
      typeRoots: [path.join(root, 'node_modules/@types')],
      noEmit: true,
    });
    const host = {
      getCanonicalFileName: (name: string) => name,
      getCurrentDirectory: () => folder,
      getNewLine: () => '\n',
    };
    expect(programs.length).toBeGreaterThan(0);
    expect(ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), host)).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each(documents)('the links of %s lead somewhere', (document) => {
  const text = readFileSync(path.join(root, document), 'utf8').replace(/^```.*?^```$/gms, '');
  const broken: string[] = [];
  for (const [, link = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(link)) continue;
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path.join(root, document) : path.join(root, document, '..', file);
    if (!existsSync(target)) broken.push(link);
    else if (anchor !== undefined && !anchorsOf(target).includes(anchor)) broken.push(link);
  }
  expect(broken).toEqual([]);
});

// Headings as links name them: lower case, words joined by hyphens.
function anchorsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replace(/\s/g, '-'),
  );
}
