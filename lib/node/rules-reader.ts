// The rules of a node, read by programs only where they may have changed since they were read last.
import { createHash } from 'node:crypto';
import type { Family } from '../model';
import { loadBinding, RulesOp, type RulesHandle } from '../native';
import { explain, PLACE_WORDS } from './explain';
import type { Tools } from './tools';
import { findRules, type FoundRules, type Variant } from './variant';

/** The rules of one network namespace. */
export interface RulesReader {
  /**
   * As {@link findRules}. Rules of iptables-legacy that are, byte for byte, as when they were read last are not read again;
   * of nf_tables that cannot be known, as its rules are in no such form.
   */
  find(tools: Tools, family: Family, known: Variant | undefined): Promise<FoundRules>;
  close(): Promise<void>;
}

const TIMEOUT = 30_000;
const FAMILIES = { ipv4: 2, ipv6: 10 } as const;

/** @param netns - a path; empty for the caller's own namespace */
export async function openRules(netns: string): Promise<RulesReader> {
  try {
    return new NativeRules(await loadBinding().openRules(netns, TIMEOUT));
  } catch (error) {
    throw explain('openRules', error, PLACE_WORDS);
  }
}

class NativeRules implements RulesReader {
  readonly #handle: RulesHandle;
  readonly #last = new Map<Family, { readonly mark: string; readonly found: FoundRules }>();

  constructor(handle: RulesHandle) {
    this.#handle = handle;
  }

  async find(tools: Tools, family: Family, known: Variant | undefined) {
    if (known !== 'legacy') return findRules(tools, family, known);
    const mark = await this.#mark(family);
    const last = this.#last.get(family);
    if (mark !== undefined && last?.mark === mark) return last.found;
    const found = await findRules(tools, family, known);
    // What was changed and changed back meanwhile would else be taken for what is there.
    if (mark !== undefined && mark === (await this.#mark(family)))
      this.#last.set(family, { mark, found });
    return found;
  }

  close() {
    return this.#handle.close();
  }

  // A kernel may not tell; the programs say why, or know another way.
  async #mark(family: Family): Promise<string | undefined> {
    const request = new Uint8Array(new Uint32Array([FAMILIES[family]]).buffer);
    const reply = await this.#handle.call(RulesOp.legacyRules, request).catch(() => undefined);
    if (reply === undefined) return undefined;
    return createHash('sha256').update(new Uint8Array(reply)).digest('hex');
  }
}
