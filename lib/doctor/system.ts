// The machine, as the doctor sees it: few questions, so that a test can be any machine.

/** What can be asked of a machine. Nothing here throws: what cannot be had is undefined. */
export interface System {
  /** Such as `linux`. */
  readonly platform: string;
  /** Such as `6.1.176` (uname -r). */
  readonly release: string;
  /** The text of a file; undefined when there is none, or it may not be read. */
  readFile(path: string): string | undefined;
  /** The names in a directory; empty when there is none. */
  readDirectory(path: string): readonly string[];
  /** What keeps the addon from loading, or undefined when it loads. */
  addonProblem(): string | undefined;
}

export function thisSystem(): System {
  throw new Error('not yet');
}
