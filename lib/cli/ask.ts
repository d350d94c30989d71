// Asking before something is done that cannot be taken back.
import { createInterface } from 'node:readline/promises';
import type { Io } from './io';
import { NotDone, WrongUse } from './wrong';

/** Returns when the answer is yes. Where nobody can be asked, only --yes is an answer. */
export async function confirm(
  io: Io,
  yes: boolean | undefined,
  question: () => string | Promise<string>,
): Promise<void> {
  if (yes === true) return;
  if (!io.isTTY.stdin || !io.isTTY.stderr) {
    throw new WrongUse('this cannot be undone and there is no terminal to ask on: give --yes');
  }
  io.stderr.write(`${await question()} [y/N] `);
  if (!/^\s*y(?:es)?\s*$/i.test(await nextLine(io.stdin))) {
    throw new NotDone('not confirmed: nothing was changed');
  }
}

// Nothing when the input ends first.
async function nextLine(input: NodeJS.ReadableStream): Promise<string> {
  const reader = createInterface({ input, terminal: false });
  try {
    for await (const line of reader) return line;
    return '';
  } finally {
    reader.close();
  }
}
