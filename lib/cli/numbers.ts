// Numbers for people, and numbers from people.
import { WrongUse } from './wrong';

const UNITS = ['', 'k', 'M', 'G', 'T', 'P', 'E'];

/** `999`, `12.3k`, `4.0M` (powers of a thousand), or in full when that is asked for. */
export function count(value: bigint | number, exact = false): string {
  if (exact || value < 1000) return String(value);
  let rest = Number(value);
  let unit = 0;
  // 999 950 would round to 1000.0k.
  while (rest >= 999.95 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit++;
  }
  return `${rest.toFixed(1)}${UNITS[unit] ?? ''}`;
}

/** Reads the number given to an option: digits and nothing else, as 1e3, 0x10 or ' 5' are more likely mistakes. */
export function decimal(option: string): (text: string) => number {
  return (text) => {
    if (/^(?:0|[1-9]\d*)$/.test(text)) return Number(text);
    throw new WrongUse(
      `${option}: ${JSON.stringify(text)} is not a plain decimal number: write digits alone, such as 10`,
    );
  };
}
