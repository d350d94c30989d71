// Where objects of a cluster come from: files, folders and stdin, as `kubectl get services,endpointslices -A -o json` or
// `-o yaml` prints them, compressed or not.
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { lazy } from '../lazy';
import { WrongUse } from '../wrong';
import { Gathered } from './gather';
import { JsonItems } from './json-items';

/** YAML is read at a few megabytes a second; JSON at some hundred, and in pieces. */
const YAML_MOST = 64 * 1024 * 1024;
/** Blanks before the text are kept until it begins; compressed, gigabytes of them are a small file. */
const BLANKS_MOST = 1024 * 1024;
const NAMES = /\.(?:json|ya?ml)(?:\.gz)?$/;

/** Reads all there is in files, folders, and stdin where the name is `-`. Throws WrongUse. */
export async function readObjects(
  names: readonly string[],
  stdin: NodeJS.ReadableStream,
): Promise<Gathered> {
  const gathered = new Gathered();
  for (const name of names.flatMap(filesOf)) {
    const source = name === '-' ? stdin : createReadStream(name);
    try {
      await readAll(source as AsyncIterable<Buffer | string>, gathered);
    } catch (error) {
      throw new WrongUse(`${name === '-' ? 'stdin' : name}: ${messageOf(error)}`);
    }
  }
  if (gathered.services.length === 0) {
    const found = [
      ...gathered.others.keys(),
      ...(gathered.slices.length > 0 ? ['EndpointSlice'] : []),
    ];
    throw new WrongUse(
      `${names.join(', ')}: there is no Service in it${found.length > 0 ? `, only ${found.join(', ')}` : ''}: give what kubectl get services,endpointslices -A -o json prints`,
    );
  }
  return gathered;
}

function filesOf(name: string): readonly string[] {
  if (name === '-') return [name];
  try {
    if (!statSync(name).isDirectory()) return [name];
    const files = readdirSync(name).filter((file) => NAMES.test(file));
    if (files.length > 0) return files.sort().map((file) => join(name, file));
  } catch (error) {
    throw new WrongUse(`${name}: ${messageOf(error)}`);
  }
  throw new WrongUse(`${name}: there is no .json or .yaml file in it`);
}

function messageOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'no such file or folder';
  if (code === 'EACCES') return 'no permission to read it';
  if (code?.startsWith('Z_') === true) return `it is not whole: ${message}`;
  return message;
}

async function readAll(source: AsyncIterable<Buffer | string>, gathered: Gathered): Promise<void> {
  const chunks = plain(source);
  const first = await firstText(chunks);
  if (first === undefined) return;
  const take = (value: unknown): void => {
    gathered.take(value);
  };
  if (/^\s*[[{]/.test(first.toString('latin1'))) {
    const items = new JsonItems(take);
    items.push(first);
    for await (const chunk of chunks) items.push(chunk);
    items.end();
    return;
  }
  const pieces = [first];
  let size = first.length;
  for await (const chunk of chunks) {
    pieces.push(chunk);
    size += chunk.length;
    if (size > YAML_MOST) {
      throw new Error(
        `YAML of more than ${YAML_MOST >> 20} MB would take minutes to read: print it with -o json, which is read as it comes`,
      );
    }
  }
  readYaml(Buffer.concat(pieces).toString(), take);
}

// Chunks of text, whatever the stream makes of it.
async function* plain(source: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer, undefined> {
  const chunks = source[Symbol.asyncIterator]();
  const start = await chunks.next();
  if (start.done === true) return;
  const first = Buffer.from(start.value);
  const rest = async function* (): AsyncGenerator<Buffer> {
    yield first;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      yield Buffer.from(next.value);
    }
  };
  if (first[0] !== 0x1f || first[1] !== 0x8b) {
    yield* rest();
    return;
  }
  const gunzip = createGunzip();
  const feed = (async (): Promise<void> => {
    try {
      for await (const chunk of rest()) {
        if (!gunzip.write(chunk)) await new Promise((resolve) => gunzip.once('drain', resolve));
      }
      gunzip.end();
    } catch (error) {
      gunzip.destroy(error as Error);
    }
  })();
  yield* gunzip as AsyncIterable<Buffer>;
  await feed;
}

/** The first chunk in which there is more than blanks. */
async function firstText(chunks: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
    pieces.push(next.value);
    if (/\S/.test(next.value.toString('latin1'))) return Buffer.concat(pieces);
    size += next.value.length;
    if (size > BLANKS_MOST) {
      throw new Error(
        `there is nothing but blanks in its first ${BLANKS_MOST >> 20} MB: give what kubectl get services,endpointslices -A -o json prints`,
      );
    }
  }
  return undefined;
}

/** Objects of YAML documents; the items of kubectl's lists each on its own, which takes a fraction of the memory. */
export function readYaml(text: string, take: (value: unknown) => void): void {
  const { parseAllDocuments } = lazy.yaml();
  const parse = (piece: string): readonly unknown[] => {
    const documents = parseAllDocuments(piece);
    return [...documents].map((document) => {
      const [error] = document.errors;
      if (error !== undefined)
        throw new Error(`it is not YAML: ${error.message.split('\n')[0] ?? ''}`);
      return document.toJS() as unknown;
    });
  };
  for (const document of text.split(/^---(?=\s)/m)) {
    const [head = '', list] = document.split(/^items:[ \t]*\r?\n(?=- )/m);
    if (list === undefined) {
      parse(document).forEach(take);
      continue;
    }
    const end = /^[^\s#-]/m.exec(list)?.index ?? list.length;
    for (const item of list.slice(0, end).split(/^(?=- )/m)) {
      for (const value of parse(item)) (value as unknown[] | null)?.forEach(take);
    }
    parse(head + list.slice(end)).forEach(take);
  }
}
