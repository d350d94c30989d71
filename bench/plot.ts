// Time against size as an SVG, both axes logarithmic: what grows in proportion is a line at 45 degrees, what grows with the
// square is twice as steep.
import { timesOf } from './connection-report';
import { median } from './measure';
import type { ConnectionReading } from './results';

const SERIES = [
  ['ipvsadm -Lnc', '#b3541e'],
  ['readFileSync and JavaScript', '#8a6d00'],
  ['cat', '#666666'],
  ['connections', '#1565c0'],
  ['connections, conntrack', '#2e7d32'],
] as const;
const [WIDTH, HEIGHT] = [720, 440];
const FRAME = { left: 70, right: 210, top: 30, bottom: 50 };

interface Point {
  readonly size: number;
  readonly time: number;
}

/** Powers of ten around all of them. */
function range(values: readonly number[]): [number, number] {
  return [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
}

function words(milliseconds: number): string {
  return milliseconds >= 1000 ? `${milliseconds / 1000} s` : `${milliseconds} ms`;
}

export function plot(readings: readonly ConnectionReading[]): string {
  const series = SERIES.map(([name, color]) => ({
    name,
    color,
    points: readings.flatMap((reading): Point[] => {
      const times = timesOf(reading, name);
      return times.length === 0 ? [] : [{ size: reading.count, time: median(times) }];
    }),
  })).filter(({ points }) => points.length > 0);
  const points = series.flatMap((one) => one.points);
  const [left, right] = range(points.map(({ size }) => size));
  const [low, high] = range(points.map(({ time }) => time));
  const x = (size: number): number =>
    FRAME.left + ((Math.log10(size) - left) / (right - left)) * (WIDTH - FRAME.left - FRAME.right);
  const y = (time: number): number =>
    HEIGHT -
    FRAME.bottom -
    ((Math.log10(time) - low) / (high - low)) * (HEIGHT - FRAME.top - FRAME.bottom);
  const powers = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
  const text = (
    at: number,
    down: number,
    anchor: string,
    content: string,
    color = '#333',
  ): string =>
    `<text x="${at.toFixed(1)}" y="${down.toFixed(1)}" text-anchor="${anchor}" fill="${color}">${content}</text>`;
  const line = (x1: number, y1: number, x2: number, y2: number): string =>
    `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" stroke="#ddd"/>`;
  const edges = { right: WIDTH - FRAME.right, bottom: HEIGHT - FRAME.bottom };
  // Names stand beside the last points, one below the other.
  const ends = series
    .map(({ name, color, points: [...all] }) => ({ name, color, at: y(all.at(-1)?.time ?? 1) }))
    .sort((one, other) => one.at - other.at);
  let free = FRAME.top;
  const names = ends.map(({ name, color, at }) => {
    const down = Math.max(at + 4, free);
    free = down + 17;
    return text(edges.right + 10, down, 'start', name, color);
  });
  const body = [
    ...powers(left, right).flatMap((size) => [
      line(x(size), FRAME.top, x(size), edges.bottom),
      text(x(size), edges.bottom + 20, 'middle', size.toLocaleString('en').replaceAll(',', ' ')),
    ]),
    ...powers(low, high).flatMap((time) => [
      line(FRAME.left, y(time), edges.right, y(time)),
      text(FRAME.left - 8, y(time) + 4, 'end', words(time)),
    ]),
    ...series.map(({ color, points: all }) => {
      const path = all
        .map(({ size, time }) => `${x(size).toFixed(1)} ${y(time).toFixed(1)}`)
        .join('L');
      const dots = all.map(
        ({ size, time }) =>
          `<circle cx="${x(size).toFixed(1)}" cy="${y(time).toFixed(1)}" r="3.5" fill="${color}"/>`,
      );
      return `<path d="M${path}" fill="none" stroke="${color}" stroke-width="2"/>${dots.join('')}`;
    }),
    ...names,
    text((FRAME.left + edges.right) / 2, HEIGHT - 8, 'middle', 'connections'),
  ];
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`;
  return `${head}\n<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>\n${body.join('\n')}\n</svg>\n`;
}
