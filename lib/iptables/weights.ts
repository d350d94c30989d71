// Shares as rules say them, one after the other, each of what those before it left: back to weights.

/** The kernel keeps 31 bits of a probability, and what writes it ten digits. */
const ERROR = 5e-10;
const EXACT = 4 * ERROR;
const MOST = 65535;

/**
 * The least whole weights that make these probabilities, of which the last is 1. Undefined where there are none up to
 * 65535.
 */
export function weightsOf(probabilities: readonly number[]): readonly number[] | undefined {
  if (isEven(probabilities)) return probabilities.map(() => 1);
  // In units of the last: its weight is 1, and each is to what comes after it as its chance is to the rest.
  let rest = 1;
  let error = 0;
  let unit = 1;
  const ratios = [1];
  for (const chance of probabilities.slice(0, -1).reverse()) {
    const ratio = (rest * chance) / (1 - chance);
    error += ERROR / (chance * (1 - chance));
    ratios.push(ratio);
    rest += ratio;
    unit *= denominator(ratio * unit, error);
    if (!(unit <= MOST)) return undefined;
  }
  const weights = ratios.reverse().map((ratio) => Math.round(ratio * unit));
  return weights.every((weight) => weight >= 1 && weight <= MOST) && makes(weights, probabilities)
    ? weights
    : undefined;
}

function isEven(probabilities: readonly number[]): boolean {
  const { length } = probabilities;
  return probabilities.every((chance, i) => Math.abs(chance - 1 / (length - i)) < EXACT);
}

function makes(weights: readonly number[], probabilities: readonly number[]): boolean {
  let rest = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.every((weight, i) => {
    const close = Math.abs(weight / rest - (probabilities[i] ?? 0)) < EXACT;
    rest -= weight;
    return close;
  });
}

/** The least number that makes a whole number of it, as near as the digits tell; Infinity where none up to 65535 does. */
function denominator(value: number, error: number): number {
  // Of the convergents of its continued fraction.
  let before = 0;
  let now = 1;
  for (let rest = value; now <= MOST;) {
    const product = value * now;
    const near = Math.abs(product - Math.round(product));
    if (near < Math.min(0.2, 1e-6 + product * error)) return now;
    rest = 1 / (rest - Math.floor(rest));
    [before, now] = [now, Math.floor(rest) * now + before];
  }
  return Infinity;
}
