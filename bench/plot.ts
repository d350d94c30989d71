// Time against size as an SVG. On logarithmic axes what grows in proportion is a line at 45 degrees, what grows with the
// square is twice as steep; on a linear one what is twice as high takes twice as long.
const [WIDTH, HEIGHT] = [720, 440];
const FRAME = { left: 70, right: 210, top: 30, bottom: 50 };

export interface Series {
  readonly name: string;
  readonly color: string;
  readonly points: readonly Point[];
}

export interface Point {
  readonly size: number;
  /** In the unit that `words` of the axis writes. */
  readonly time: number;
}

export interface Axes {
  /** What is counted along the lower axis. */
  readonly sizes: string;
  readonly words: (time: number) => string;
  readonly linear?: boolean;
}

interface Scale {
  readonly ticks: readonly number[];
  /** From 0 at the start of the axis to 1 at its end. */
  readonly at: (value: number) => number;
}

/** Powers of ten around all of them. */
function logarithmic(values: readonly number[]): Scale {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...values))), low + 1);
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks, at: (value) => (Math.log10(value) - low) / (high - low) };
}

/** From zero in some five round steps. */
function linear(values: readonly number[]): Scale {
  const most = Math.max(...values);
  const power = 10 ** Math.floor(Math.log10(most / 5));
  const step = power * ([1, 2, 5, 10].find((times) => most / (times * power) <= 6) ?? 10);
  const count = Math.ceil(most / step);
  const ticks = Array.from({ length: count + 1 }, (_, i) => i * step);
  return { ticks, at: (value) => value / (count * step) };
}

/** Draws what has points. */
export function draw(all: readonly Series[], axes: Axes): string {
  const series = all.filter(({ points }) => points.length > 0);
  const points = series.flatMap((one) => one.points);
  const sizes = logarithmic(points.map(({ size }) => size));
  const times = (axes.linear === true ? linear : logarithmic)(points.map(({ time }) => time));
  const edges = { right: WIDTH - FRAME.right, bottom: HEIGHT - FRAME.bottom };
  const x = (size: number): number => FRAME.left + sizes.at(size) * (edges.right - FRAME.left);
  const y = (time: number): number => edges.bottom - times.at(time) * (edges.bottom - FRAME.top);
  const body = [
    ...sizes.ticks.flatMap((size) => [
      line(x(size), FRAME.top, x(size), edges.bottom),
      text(x(size), edges.bottom + 20, 'middle', size.toLocaleString('en').replaceAll(',', ' ')),
    ]),
    ...times.ticks.flatMap((time) => [
      line(FRAME.left, y(time), edges.right, y(time)),
      text(FRAME.left - 8, y(time) + 4, 'end', axes.words(time)),
    ]),
    ...series.map((one) => curve(one, x, y)),
    ...legend(series, edges.right + 10, y),
    text((FRAME.left + edges.right) / 2, HEIGHT - 8, 'middle', axes.sizes),
  ];
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`;
  return `${head}\n<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>\n${body.join('\n')}\n</svg>\n`;
}

function curve(
  { color, points }: Series,
  x: (size: number) => number,
  y: (time: number) => number,
): string {
  const at = ({ size, time }: Point): [string, string] => [x(size).toFixed(1), y(time).toFixed(1)];
  const path = points.map((point) => at(point).join(' ')).join('L');
  const dots = points.map((point) => {
    const [cx, cy] = at(point);
    return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${color}"/>`;
  });
  return `<path d="M${path}" fill="none" stroke="${color}" stroke-width="2"/>${dots.join('')}`;
}

/** Names beside the last points, one below the other. */
function legend(series: readonly Series[], left: number, y: (time: number) => number): string[] {
  let free = FRAME.top;
  return series
    .map(({ name, color, points }) => ({ name, color, at: y(points.at(-1)?.time ?? 1) }))
    .sort((one, other) => one.at - other.at)
    .map(({ name, color, at }) => {
      const down = Math.max(at + 4, free);
      free = down + 17;
      return text(left, down, 'start', name, color);
    });
}

function text(at: number, down: number, anchor: string, content: string, color = '#333'): string {
  return `<text x="${at.toFixed(1)}" y="${down.toFixed(1)}" text-anchor="${anchor}" fill="${color}">${content}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" stroke="#ddd"/>`;
}
