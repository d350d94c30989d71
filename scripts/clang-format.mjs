// Checks the layout of native/; with --fix, corrects it.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = ['src', 'test', 'fuzz'].flatMap((folder) =>
  readdirSync(join(root, 'native', folder))
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => join('native', folder, name)),
);
const mode = process.argv.includes('--fix') ? ['-i'] : ['--dry-run', '-Werror'];
const { error, status } = spawnSync('clang-format', [...mode, ...files], {
  cwd: root,
  stdio: 'inherit',
});

if (error?.code === 'ENOENT') {
  console.error(
    'clang-format is not installed, so native/ was not checked: apt-get install clang-format',
  );
} else if (status !== 0) {
  console.error('native/ is not formatted: node scripts/clang-format.mjs --fix');
}
process.exitCode = status === 0 ? 0 : 1;
