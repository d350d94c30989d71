// Which iptables a node uses: the rules of the legacy one and those of nf_tables live side by side in a kernel, and rules
// written with the wrong one come before or after those of everybody else.
import { IpvsError } from '../errors';
import type { Family } from '../model';
import { inTurns } from '../turns';
import { parsing, type Saved } from './rules';
import type { Tools } from './tools';

export type Variant = 'nft' | 'legacy';

/** The names of the programs. */
export function programsOf(family: Family, variant: Variant): { save: string; restore: string } {
  const name = `${family === 'ipv6' ? 'ip6tables' : 'iptables'}-${variant}`;
  return { save: `${name}-save`, restore: `${name}-restore` };
}

export interface FoundRules {
  readonly variant: Variant;
  readonly saved: Saved;
  /** Said when both variants have rules. */
  readonly warning?: string;
}

/**
 * Reads the rules of one family with the variant that is in use: the one that has rules, or the newer one that works.
 * @param known - the variant that was found before, which is then the only one asked
 * @param isOurs - tells rules that are ours: where only one variant has some, it is that one
 */
export async function findRules(
  tools: Tools,
  family: Family,
  known: Variant | undefined,
  isOurs: (saved: Saved) => boolean = () => false,
): Promise<FoundRules> {
  if (known !== undefined) return { variant: known, saved: await save(tools, family, known) };
  const [nft, legacy] = await Promise.allSettled([
    save(tools, family, 'nft'),
    save(tools, family, 'legacy'),
  ]);
  if (legacy.status === 'rejected') {
    if (nft.status === 'rejected') throw nft.reason;
    return { variant: 'nft', saved: nft.value };
  }
  if (nft.status === 'rejected') {
    // Without permission the legacy one prints nothing and calls that a success.
    if (countRules(legacy.value) === 0 && isForbidden(nft.reason)) throw nft.reason;
    return { variant: 'legacy', saved: legacy.value };
  }
  return choose(family, nft.value, legacy.value, isOurs);
}

function choose(
  family: Family,
  nft: Saved,
  legacy: Saved,
  isOurs: (saved: Saved) => boolean,
): FoundRules {
  const counts = { nft: countRules(nft), legacy: countRules(legacy) };
  const ours = { nft: isOurs(nft), legacy: isOurs(legacy) };
  const takesLegacy = ours.nft === ours.legacy ? counts.legacy > counts.nft : ours.legacy;
  const found: FoundRules = takesLegacy
    ? { variant: 'legacy', saved: legacy }
    : { variant: 'nft', saved: nft };
  if (counts.nft === 0 || counts.legacy === 0) return found;
  return {
    ...found,
    warning: `both variants of iptables have rules (${family}: ${counts.nft} nft, ${counts.legacy} legacy): used the ${found.variant} one; remove the rules of the other`,
  };
}

async function save(tools: Tools, family: Family, variant: Variant): Promise<Saved> {
  return inTurns(parsing(await tools.run(programsOf(family, variant).save, [])));
}

function countRules(saved: Saved): number {
  let count = 0;
  for (const { rules } of saved.values()) count += rules.length;
  return count;
}

// How long to wait for another program that holds the lock, in seconds.
const LOCK = ['-w', '5', '-W', '100000'];

/**
 * Restores rules over what is there, each table at once or not at all.
 * @param mayChange - whether the legacy variant may take what the kernel has no nf_tables for
 * @returns the variant that took them: a kernel may read nf_tables and yet have none for this family
 */
export async function restoreRules(
  tools: Tools,
  family: Family,
  variant: Variant,
  text: string,
  mayChange = true,
): Promise<Variant> {
  const args = [...LOCK, '--noflush'];
  try {
    await tools.run(programsOf(family, variant).restore, args, text);
    return variant;
  } catch (error) {
    // Nothing of a restore that failed is done.
    if (variant !== 'nft' || !mayChange || !isUnsupported(error)) throw error;
    await tools.run(programsOf(family, 'legacy').restore, args, text);
    return 'legacy';
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof IpvsError && /permission denied|not permitted/i.test(error.message);
}

function isUnsupported(error: unknown): boolean {
  return error instanceof IpvsError && /not supported/.test(error.message);
}
