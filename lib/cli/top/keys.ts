// What the keys of `ipvs top` do: from bytes to keys, and from a key to what is shown next. No terminal here.
import type { Ordering, Sort } from './order';

export interface State extends Ordering {
  readonly destinations: boolean;
  readonly paused: boolean;
  readonly help: boolean;
  /** Lines scrolled past. */
  readonly offset: number;
  /** What the key asks of the program, besides another screen. */
  readonly ask: 'nothing' | 'quit' | 'suspend' | 'redraw';
}

export const FIRST: State = {
  sort: 'connections',
  reverse: false,
  destinations: true,
  paused: false,
  help: false,
  offset: 0,
  ask: 'nothing',
};

const NAMED: Readonly<Record<string, string>> = {
  '\x03': 'ctrl-c',
  '\x0c': 'ctrl-l',
  '\x1a': 'ctrl-z',
  '\x1b': 'escape',
  '\x1b[A': 'up',
  '\x1b[B': 'down',
  '\x1bOA': 'up',
  '\x1bOB': 'down',
  '\x1b[5~': 'page-up',
  '\x1b[6~': 'page-down',
  '\x1b[H': 'home',
  '\x1b[F': 'end',
  '\x1b[1~': 'home',
  '\x1b[4~': 'end',
  '\x1bOH': 'home',
  '\x1bOF': 'end',
  ' ': 'space',
};

// A sequence (its end may be in the next read), the Escape key alone, or a character.
// eslint-disable-next-line no-control-regex -- these are what a terminal sends
const KEY = /\x1b\[[0-9;?]*[A-Za-z~]|\x1bO[A-Za-z]|\x1b(?:\[[0-9;?]*|O)$|[^]/gu;
// eslint-disable-next-line no-control-regex -- likewise
const WHOLE = /^\x1b(?:\[[0-9;?]*[A-Za-z~]|O[A-Za-z])$/;
/** No sequence is longer: what is, is noise. */
const LONGEST = 16;

/** Reads keys from what a terminal sends, in whatever pieces it comes. */
export class KeyReader {
  #rest = '';

  read(text: string): string[] {
    const pieces = (this.#rest + text).match(KEY) ?? [];
    this.#rest = '';
    const last = pieces.at(-1);
    if (last !== undefined && last.length > 1 && NAMED[last] === undefined && isCut(last)) {
      pieces.pop();
      if (last.length <= LONGEST) this.#rest = last;
    }
    return pieces.map((piece) => NAMED[piece] ?? piece);
  }
}

function isCut(piece: string): boolean {
  return piece.startsWith('\x1b') && !WHOLE.test(piece);
}

const SORT_KEYS: Readonly<Record<string, Sort>> = {
  c: 'connections',
  p: 'packets',
  b: 'bytes',
  a: 'active',
  i: 'inactive',
  n: 'name',
};

/** The state after a key; `page` is how many lines of rows are shown. */
export function press(before: State, key: string, page: number): State {
  const state: State = { ...before, ask: 'nothing' };
  if (key === 'ctrl-c' || key === 'q') return { ...state, ask: 'quit' };
  if (key === 'ctrl-z') return { ...state, ask: 'suspend' };
  if (key === 'ctrl-l') return { ...state, ask: 'redraw' };
  // Any other key leaves the help.
  if (state.help) return { ...state, help: false };
  const sort = Object.hasOwn(SORT_KEYS, key) ? SORT_KEYS[key] : undefined;
  if (sort !== undefined) return { ...state, sort, reverse: false, offset: 0 };
  switch (key) {
    case 'r':
      return { ...state, reverse: !state.reverse, offset: 0 };
    case 'd':
      return { ...state, destinations: !state.destinations, offset: 0 };
    case 'space':
      return { ...state, paused: !state.paused };
    case 'h':
    case '?':
      return { ...state, help: true };
    case 'up':
    case 'k':
      return scroll(state, -1);
    case 'down':
    case 'j':
      return scroll(state, 1);
    case 'page-up':
      return scroll(state, -page);
    case 'page-down':
      return scroll(state, page);
    case 'home':
      return { ...state, offset: 0 };
    case 'end':
      return { ...state, offset: Number.MAX_SAFE_INTEGER };
    default:
      return state;
  }
}

// Too far down is put right where the rows are counted.
function scroll(state: State, by: number): State {
  return { ...state, offset: Math.max(0, state.offset + by) };
}

/** What the help shows. */
export const HELP: readonly (readonly [keys: string, does: string])[] = [
  ['c p b', 'sort by connections, packets or bytes per second'],
  ['a i n', 'sort by active or inactive connections, or by name'],
  ['r', 'the other way round'],
  ['d', 'services alone, or with their destinations'],
  ['Space', 'stand still, and go on'],
  ['Up Down PgUp PgDn Home End', 'scroll'],
  ['h ?', 'this help'],
  ['q Ctrl-C', 'quit'],
];
