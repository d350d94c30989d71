// ip sets as the kernel has them, over the border.
import { loadBinding, SetsOp, type SetsHandle } from '../native';
import { explain, PLACE_WORDS } from './explain';
import { SetDecoder, writeNames } from './set-records';
import type { ActualSet } from './sets';

/** The ip sets of one network namespace. Every call rejects with an IpvsError. */
export interface SetReader {
  /** Those of the names that exist; sets of others are not looked at, however large they are. */
  read(names: readonly string[]): Promise<Map<string, ActualSet>>;
  close(): Promise<void>;
}

const TIMEOUT = 30_000;

const WORDS: Readonly<Record<string, string>> = {
  ...PLACE_WORDS,
  EINVAL: 'the kernel has no ip sets: modprobe ip_set',
  ENOTSUP: 'the kernel has no netfilter: use one built with CONFIG_NETFILTER',
};

/** @param netns - a path; empty for the caller's own namespace */
export async function openSets(netns: string): Promise<SetReader> {
  try {
    return new NativeSets(await loadBinding().openSets(netns, TIMEOUT));
  } catch (error) {
    throw explain('openSets', error, WORDS);
  }
}

class NativeSets implements SetReader {
  readonly #handle: SetsHandle;
  readonly #decoder = new SetDecoder();

  constructor(handle: SetsHandle) {
    this.#handle = handle;
  }

  async read(names: readonly string[]) {
    try {
      return this.#decoder.read(await this.#handle.call(SetsOp.sets, writeNames(names)));
    } catch (error) {
      throw explain('ipSets', error, WORDS);
    }
  }

  close() {
    return this.#handle.close();
  }
}
