// How data leaves as JSON and YAML: the types of model.ts as they are, but for bigint, which JSON has not.

/** A total as JSON carries it: a number while that is exact, then text. */
export function plainTotal(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
    ? Number(value)
    : value.toString();
}

/** JSON text of a value, indented; bigint as `plainTotal` has it. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, replace, 2);
}

/** The same on one line. */
export function toJsonLine(value: unknown): string {
  return JSON.stringify(value, replace);
}

/** The value with nothing in it that JSON has not. */
export function toPlain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, replace));
}

function replace(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? plainTotal(value) : value;
}
