// Reading a file that may be anything: a directory, a device without end, bytes that are no text.
import { open } from 'node:fs/promises';
import { IpvsError } from '../errors';
import { parseState, type State } from './parse';

/** Bytes. Some more than any text that is taken has. */
const LONGEST = 64 * 1024 * 1024;

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file: check its name',
  ENOTDIR: 'there is no such file: check its name',
  EISDIR: 'that is a directory: name a file in it',
  EACCES: 'no permission to read it: see ls -l',
  ELOOP: 'its symbolic links lead nowhere: see ls -l',
};

/** Reads a state file. Rejects with a StateError for what is in it, an IpvsError when it cannot be read. @public */
export async function readState(file: string): Promise<State> {
  return parseState(await readText(file), { file });
}

/** The text of a file, by its name or as a stream. */
export async function readText(file: string, stream?: AsyncIterable<unknown>): Promise<string> {
  try {
    return decode(file, await gather(file, stream ?? (await open(file)).createReadStream()));
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (error instanceof IpvsError) throw error;
    throw failure(file, code, WORDS[code] ?? (error as Error).message, error);
  }
}

async function gather(file: string, stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer);
    length += bytes.length;
    if (length > LONGEST) {
      throw failure(file, 'EFBIG', `longer than ${LONGEST} bytes: split it`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function decode(file: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw failure(file, 'ERR_IPVS_INVALID', 'not UTF-8 text: save it as UTF-8');
  }
}

function failure(file: string, code: string, words: string, cause?: unknown): IpvsError {
  const operation = 'readState';
  return new IpvsError(`${operation}: ${file}: ${words}`, { code, operation, cause });
}
