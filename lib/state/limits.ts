// What no state needs, and a hostile text may try.

/** No state is that deep, and deeper ones exhaust a parser's stack. */
export const DEPTH = 64;
