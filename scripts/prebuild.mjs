// Makes prebuilds/<platform>-<arch>/ipvs.<libc>.node for the running Node's system with prebuildify: quiet when it
// works, everything it said when it does not. It builds a copy of what is published, because prebuildify takes the
// result out of build/, where the addon that everything else is using lies.
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeHeaders } from './node-headers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
// In the checkout, where require finds node_modules and the result can be moved from.
const stage = join(root, 'native', 'build-prebuild');
const prebuildify = createRequire(import.meta.url).resolve('prebuildify/bin.js');
const headers = nodeHeaders();

rmSync(stage, { recursive: true, force: true });
for (const path of ['package.json', 'binding.gyp', 'native/src']) {
  cpSync(join(root, path), join(stage, path), { recursive: true });
}
const target = `--target=${process.versions.node}`;
const built = spawnSync(
  process.execPath,
  [prebuildify, '--napi', '--strip', '--tag-libc', target, '--cwd', stage, '--out', root],
  {
    cwd: stage,
    encoding: 'utf8',
    // For node-gyp alone: npm would warn of a setting it does not know.
    env: { ...process.env, ...(headers === undefined ? {} : { npm_config_nodedir: headers }) },
  },
);
rmSync(stage, { recursive: true, force: true });

if (built.status === 0) {
  const folder = join('prebuilds', `${process.platform}-${process.arch}`);
  for (const name of readdirSync(join(root, folder))) console.log(`Built ${join(folder, name)}`);
} else {
  process.stdout.write(built.stdout ?? '');
  process.stderr.write(built.stderr ?? '');
  console.error(
    `No prebuild was made: prebuildify ended with ${built.error?.message ?? built.signal ?? built.status}.`,
  );
  process.exitCode = 1;
}
