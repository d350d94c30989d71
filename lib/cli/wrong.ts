// Wrong use of the command: found before anything is done, and exit status 2.

/** Says which option or argument is wrong, how, and what would be right. */
export class WrongUse extends Error {}

/** An operation that did not come to pass though nothing was used wrongly, such as a question answered with no. */
export class NotDone extends Error {}
