// The comparison as text and as a plot.
import { draw, type Series } from '../plot';
import type { Comparison, Point, Programming, Size } from './results';

export function report({ sizes, cpu, hostCpus, node, load }: Comparison): string {
  const lines = [
    `Linux ${sizes[0]?.kernel ?? ''}, 1 CPU, in the lab (user-mode Linux) on ${hostCpus} × ${cpu}, Node.js ${node}`,
  ];
  if (load > 0.5) lines.push(`The machine was busy (load ${load.toFixed(1)} before we began).`);
  for (const size of sizes) lines.push('', ...sizeLines(size));
  lines.push('', ...growthLines(sizes));
  return lines.join('\n');
}

function sizeLines({ services, points, programming }: Size): string[] {
  const bare = points.find(({ path }) => path === 'bare')?.median ?? NaN;
  const one = services === 1 ? 'service' : 'services';
  return [
    row([`${services} ${one}`, 'median µs', '× bare', 'p99 µs', 'requests/s', 'CPU µs', 'runs']),
    ...points.map((point) =>
      row([
        `  ${nameOf(point)}`,
        point.median.toFixed(1),
        (point.median / bare).toFixed(2),
        point.p99.toFixed(0),
        point.requestsPerSecond.toFixed(0),
        point.cpu.toFixed(0),
        String(point.connections),
      ]),
    ),
    ...programming.map(programmingLine),
  ];
}

function programmingLine({ path, all, one, found }: Programming): string {
  const words = [all, one, found].map((value) => value.toFixed(value < 100 ? 1 : 0));
  return `  programming by ${path}: all ${words[0]} ms; one endpoint ${words[1]} ms; found and changed ${words[2]} ms`;
}

/** How much dearer the smallest number of services is than the largest, at each place. */
function growthLines(sizes: readonly Size[]): string[] {
  const [small, large] = [sizes[0], sizes.at(-1)];
  if (small === undefined || large === undefined || small === large) return [];
  const base = (path: Point['path']): Point | undefined =>
    small.points.find((p) => p.path === path);
  return large.points.map((point) => {
    const times = point.median / (base(point.path)?.median ?? NaN);
    return `${nameOf(point)}: ${times.toFixed(2)} × as long with ${large.services} services as with ${small.services}`;
  });
}

function nameOf({ path, place }: Point): string {
  return path === 'bare' ? 'no service, forwarded' : `${path}, ${place} service`;
}

const COLORS: readonly (readonly [Point['path'], Point['place'], string])[] = [
  ['iptables', 'last', '#b3541e'],
  ['iptables', 'middle', '#d98f63'],
  ['iptables', 'first', '#8a6d00'],
  ['ipvs', 'last', '#0d47a1'],
  ['ipvs', 'first', '#64b5f6'],
  ['bare', 'first', '#666666'],
];

/** Median time to set up a connection against the number of services. */
export function plot(sizes: readonly Size[]): string {
  const series = COLORS.map(([path, place, color]): Series => {
    const points = sizes.flatMap(({ services, points: all }) => {
      const of = all.filter((point) => point.path === path);
      const found = of.find((point) => point.place === place) ?? of[0];
      return found === undefined ? [] : [{ size: services, time: found.median }];
    });
    return { name: nameOf({ path, place } as Point), color, points };
  });
  const words = (time: number): string => `${time} µs`;
  return draw(series, { sizes: 'services', words, linear: true });
}

function row([first = '', ...rest]: string[]): string {
  return first.padEnd(30) + rest.map((cell) => cell.padStart(12)).join('');
}
