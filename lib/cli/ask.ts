// Asking before something is done that cannot be taken back.
import { createInterface } from 'node:readline/promises';
import type { Io } from './io';
import { NotDone, WrongUse } from './wrong';

/** Where nobody can be asked, only --yes is an answer. */
export function mustBeAskable({ isTTY }: Io): void {
  if (isTTY.stdin && isTTY.stderr) return;
  throw new WrongUse('this cannot be undone and there is no terminal to ask on: give --yes');
}

/** Returns when the answer is yes. */
export async function confirm(io: Io, question: string): Promise<void> {
  io.stderr.write(`${question} [y/N] `);
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
