// What was found out about desired state, as text, and its targets.
import { median } from './measure';
import type { DesiredTask, Target, Timed } from './results';

export function desiredLines({ task, services, competitors }: DesiredTask): string[] {
  return [
    row([`Desired state, ${services} × 10, ${task}`, 'median ms', 'best ms', 'runs']),
    ...competitors.map(({ name, times }) =>
      row([name, median(times).toFixed(2), Math.min(...times).toFixed(2), String(times.length)]),
    ),
  ];
}

export function desiredTargets({ task, services, competitors }: DesiredTask): Target[] {
  const size = `${services} × 10`;
  if (task === 'nothing changed') {
    const slow = 'reconcile with one dump a service, a round';
    const value = ratio(competitors, slow, 'reconcile, a round');
    const name = `${size}: round with one dump a service / round`;
    return [{ name, value, limit: '≥ 5', met: value >= 5 }];
  }
  if (!task.endsWith('destinations changed')) return [];
  return ['apply', 'apply, synchronous'].map((who) => {
    const value = ratio(competitors, who, 'floor');
    const name = `${size}, ${task}: ${who} / floor`;
    return { name, value, limit: '≤ 1.2', met: value <= 1.2 };
  });
}

/** Of medians, as not all ran as often. */
function ratio(competitors: readonly Timed[], of: string, to: string): number {
  const timesOf = (wanted: string): readonly number[] =>
    competitors.find(({ name }) => name === wanted)?.times ?? [];
  return median(timesOf(of)) / median(timesOf(to));
}

function row([first = '', ...rest]: string[]): string {
  return first.padEnd(62) + rest.map((cell) => cell.padStart(16)).join('');
}
