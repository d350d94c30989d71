// Builds build/Release/ipvs.node with node-gyp: quiet when it works, everything it said when it does not.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { nodeHeaders } from './node-headers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
const headers = nodeHeaders();
// Not `rebuild`, which takes the addon away from whoever is using it until the new one is there.
const args = ['configure', 'build', ...(headers === undefined ? [] : ['--nodedir', headers])];
const built = spawnSync(process.execPath, [nodeGyp, ...args], { cwd: root, encoding: 'utf8' });

if (built.status === 0) {
  console.log('Built build/Release/ipvs.node');
} else {
  process.stdout.write(built.stdout ?? '');
  process.stderr.write(built.stderr ?? '');
  console.error(
    `The addon was not built: node-gyp ended with ${built.error?.message ?? built.signal ?? built.status}.`,
  );
  console.error('It needs g++ 12, make, python3, pkg-config, libnl-3-dev.');
  process.exitCode = 1;
}
