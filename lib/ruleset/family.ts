// The rules of one family in the kernel: read with the variant that is in use, and written a table at once.
import { IpvsError } from '../errors';
import type { Family } from '../model';
import type { Tools } from '../node/tools';
import { findRules, restoreRules, type Variant } from '../node/variant';
import { inTurns } from '../turns';
import { grouped, restoreText, type TableDifference, type Tables } from './difference';

/** The rules of a family as they were read. */
export interface FoundFamily {
  readonly family: Family;
  readonly variant: Variant;
  readonly tables: Tables;
  /** Said when both variants have rules. */
  readonly warning: string | undefined;
}

/** Which chains are ours, and which variant is to be used; undefined: the one in use. */
export interface Access {
  readonly isOurs: (table: string, chain: string) => boolean;
  readonly variant: Variant | undefined;
}

export async function readFamily(
  tools: Tools,
  family: Family,
  { isOurs, variant }: Access,
): Promise<FoundFamily> {
  const found = await findRules(tools, family, variant, (saved) =>
    [...saved].some(([table, { chains }]) => chains.some((chain) => isOurs(table, chain))),
  );
  const { saved, warning } = found;
  return { family, variant: found.variant, tables: await inTurns(grouped(saved)), warning };
}

/** Whether there is any rule of anybody. */
export function hasRules({ tables }: FoundFamily): boolean {
  return [...tables.values()].some((chains) =>
    [...chains.values()].some((rules) => rules.length > 0),
  );
}

/**
 * Does what is to be done; rejects with an error that names the line that was refused.
 * @returns the variant that did it
 */
export async function writeFamily(
  tools: Tools,
  found: FoundFamily,
  differences: readonly TableDifference[],
  { variant }: Access,
): Promise<Variant> {
  const text = await inTurns(restoreText(differences));
  const mayChange = variant === undefined && !hasRules(found);
  try {
    return await restoreRules(tools, found.family, found.variant, text, mayChange);
  } catch (error) {
    throw refusedLine(error, text, differences);
  }
}

// The programs count lines from 1, and say so in several ways: `line 12 failed`, `Error occurred at line: 12`, `line 12: `.
function refusedLine(
  error: unknown,
  text: string,
  differences: readonly TableDifference[],
): unknown {
  if (!(error instanceof IpvsError)) return error;
  const number = Number(/\bline:? (\d+)/.exec(error.message)?.[1] ?? 0);
  if (number === 0) return error;
  const lines = text.split('\n');
  const table = lines.slice(0, number).filter((line) => line === 'COMMIT').length;
  // At the end of a table the kernel is asked; which of its rules it refused it does not say.
  const line = lines[number - 1] ?? '';
  const at = line === 'COMMIT' ? 'a rule of it' : line;
  const name = differences[line === 'COMMIT' ? table - 1 : table]?.table ?? 'a table';
  const written = differences.slice(0, line === 'COMMIT' ? table - 1 : table);
  const account =
    written.length === 0
      ? 'nothing was changed'
      : `${written.map((each) => each.table).join(', ')} was written before, ${name} is unchanged: doing it again completes it`;
  const { code, operation } = error;
  return new IpvsError(`${error.message}: table ${name}: ${at} (${account})`, {
    code,
    operation,
    cause: error,
  });
}
