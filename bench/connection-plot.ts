// Reading the connection table against its size, as an SVG.
import { timesOf } from './connection-report';
import { median } from './measure';
import { draw, type Point } from './plot';
import type { ConnectionReading } from './results';

const SERIES = [
  ['ipvsadm -Lnc', '#b3541e'],
  ['readFileSync and JavaScript', '#8a6d00'],
  ['cat', '#666666'],
  ['connections', '#1565c0'],
  ['connections, conntrack', '#2e7d32'],
] as const;

export function plot(readings: readonly ConnectionReading[]): string {
  const series = SERIES.map(([name, color]) => ({
    name,
    color,
    points: readings.flatMap((reading): Point[] => {
      const times = timesOf(reading, name);
      return times.length === 0 ? [] : [{ size: reading.count, time: median(times) }];
    }),
  }));
  const words = (time: number): string => (time >= 1000 ? `${time / 1000} s` : `${time} ms`);
  return draw(series, { sizes: 'connections', words });
}
