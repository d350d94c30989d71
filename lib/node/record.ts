// What was done to a node, kept in a file, so that the next run knows what is its own and clean-up can put things back.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { IpvsError } from '../errors';
import type { Family, ServiceKey } from '../model';
import type { Drain } from './drains';
import type { Variant } from './variant';

/** Everything that lies in the file. */
export interface NodeRecord {
  readonly version: 1;
  /** How many times something was applied here: tells one plan's record from another's. */
  readonly revision: number;
  /** The device that addresses are bound to, and whether this library made it. */
  readonly device?: { readonly name: string; readonly made: boolean };
  /** Addresses bound to a device that was there before. */
  readonly addresses: readonly string[];
  /** Settings as they were before: path under /proc/sys and value. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Virtual services that are ours. */
  readonly services: readonly ServiceKey[];
  /** Names of ip sets that are ours. */
  readonly sets: readonly string[];
  /** A family's rules: which chains are ours, of which program they are, and what the kernel made of them. */
  readonly rules: Readonly<Partial<Record<Family, RulesRecord>>>;
  /** Destinations that leave and still have connections. */
  readonly draining: readonly Drain[];
}
export interface RulesRecord {
  readonly chains: readonly (readonly [table: string, chains: readonly string[]])[];
  readonly variant: Variant;
  /** Fingerprint of the program. Empty while it is being written. */
  readonly program: string;
  /** Fingerprint of what the kernel made of it. */
  readonly kernel: string;
}

export const EMPTY_RECORD: NodeRecord = {
  version: 1,
  revision: 0,
  addresses: [],
  sysctls: {},
  services: [],
  sets: [],
  rules: {},
  draining: [],
};

/** A record with the file it lies in, and the text it had there. */
export interface KeptRecord {
  readonly file: string;
  /** Undefined where there was no file. */
  readonly text: string | undefined;
  readonly record: NodeRecord;
}

/** The record, or an empty one where there is none yet. */
export async function readRecord(file: string): Promise<KeptRecord> {
  const text = await readText(file);
  if (text === undefined) return { file, text, record: EMPTY_RECORD };
  try {
    const record = JSON.parse(text) as Partial<NodeRecord>;
    if (record.version !== 1) throw new Error(`its version is ${String(record.version)}, not 1`);
    return { file, text, record: { ...EMPTY_RECORD, ...record } };
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** The text of a record; undefined where there is none. */
export async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
}

// A record that is lost would leave things behind that nobody owns, so it is never silently begun anew.
function unreadable(file: string, cause: unknown): IpvsError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new IpvsError(
    `node: the record of what was done to this node cannot be read: ${file}: ${why}: mend it, or delete it, and what it spoke of stays`,
    { code: (cause as NodeJS.ErrnoException).code ?? 'ERR_IPVS_INVALID', operation: 'node', cause },
  );
}

/** Writes it whole or not at all. */
export async function writeRecord(file: string, record: NodeRecord): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
  const next = `${file}.${process.pid}.new`;
  await writeFile(next, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(next, file);
}

export async function deleteRecord(file: string): Promise<void> {
  await rm(file, { force: true });
}
