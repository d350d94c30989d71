import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder that holds the running Node's own headers, if they came with it: then node-gyp downloads none. */
export function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? prefix : undefined;
}
