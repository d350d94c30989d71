// What no state needs, and a hostile text may try.

/** No state is that deep, and deeper ones exhaust a parser's stack. */
export const DEPTH = 64;
export const TOO_DEEP = `nested more than ${DEPTH} deep: no state is`;
