// Results as text, and the targets they are held against.
import { connectionLines } from './connection-report';
import { desiredLines, desiredTargets } from './desired-report';
import { median } from './measure';
import type { Holding, Inside, Keeping, Pure, Results, Target, Task, Timed } from './results';

/** The targets that these results say something about. */
export function targets(
  { tasks, holding, keeping, desired }: Inside,
  pure: readonly Pure[],
  plans: readonly Timed[],
): Target[] {
  const found: Target[] = [];
  const atMost = (name: string, value: number, limit: number, unit = ''): void => {
    found.push({ name, value, limit: `≤ ${limit}${unit}`, met: value <= limit });
  };
  for (const task of tasks) {
    const size = `${task.services} × 5`;
    if (task.task === 'add') {
      for (const name of ['apply', 'apply, synchronous']) {
        for (const floor of ['floor', 'floor, one answer a datagram']) {
          atMost(`add ${size}: ${name} / ${floor}`, ratio(task, name, floor), 1.25);
        }
      }
      const value = ratio(task, 'ipvsadm -R', 'apply');
      found.push({
        name: `add ${size}: ipvsadm -R / apply`,
        value,
        limit: '≥ 10',
        met: value >= 10,
      });
    } else {
      atMost(`read ${size}: snapshot / floor`, ratio(task, 'snapshot', 'floor'), 1.3);
    }
  }
  for (const task of desired) found.push(...desiredTargets(task));
  for (const { name, held } of pure) {
    atMost(`event loop held, ${name}, alone`, held.longest, 10, ' ms');
  }
  const [unchanged] = plans;
  if (unchanged !== undefined) {
    atMost(`${unchanged.name}, CPU`, median(unchanged.times), 150, ' ms');
  }
  for (const one of holding) {
    const value = longest(one.library) - longest(one.control);
    atMost(`event loop held, ${one.task}, in the lab, less the control`, value, 10, ' ms');
  }
  for (const one of keeping) {
    const [first, last] = ends(one);
    atMost(`${one.count} × ${one.name}: descriptors more`, last.descriptors - first.descriptors, 0);
    atMost(`${one.count} × ${one.name}: resident memory more`, mebibytes(growth(one)), 8, ' MB');
  }
  return found;
}

export function report(results: Results): string {
  const { kernel, cpus, node, cpu, hostCpus, lab, tasks, holding, keeping, weights, pure, plans } =
    results;
  const where = lab ? `in the lab (user-mode Linux) on ${hostCpus} × ${cpu}` : `on ${cpu}`;
  const lines = [`Linux ${kernel}, ${cpus} CPU, ${where}, Node.js ${node}`];
  if (results.load > 0.5) {
    const words = `load ${results.load.toFixed(1)} before we began`;
    lines.push(
      `The machine was busy (${words}): expect medians and ratios some ten per cent off, and longer holds.`,
    );
  }
  for (const task of tasks) lines.push('', ...taskLines(task));
  for (const task of results.desired) lines.push('', ...desiredLines(task));
  if (holding.length > 0) lines.push('', ...holdingLines(holding));
  if (pure.length > 0) lines.push('', ...pureLines(pure));
  for (const { name, times } of plans) {
    lines.push(row([name, `${median(times).toFixed(0)} ms of CPU`]));
  }
  if (keeping.length > 0) lines.push('', ...keepingLines(keeping));
  for (const { name, bytes } of weights) {
    lines.push(row([name, `${mebibytes(bytes).toFixed(1)} MB`]));
  }
  for (const reading of results.connections) lines.push('', ...connectionLines(reading));
  lines.push('', 'Targets');
  for (const { name, value, limit, met } of results.targets) {
    lines.push(row([name, value.toFixed(2), limit, met ? 'met' : 'NOT MET']));
  }
  return lines.join('\n');
}

function taskLines(task: Task): string[] {
  const verb = task.task === 'add' ? 'Add' : 'Read back';
  const head = row([
    `${verb} ${task.services} services × 5`,
    'median ms',
    '× floor',
    'best ms',
    'runs',
  ]);
  const base = median(task.competitors[0]?.times ?? []);
  return [
    head,
    ...task.competitors.map(({ name, times }) =>
      row([
        name,
        median(times).toFixed(1),
        (median(times) / base).toFixed(2),
        Math.min(...times).toFixed(1),
        String(times.length),
      ]),
    ),
  ];
}

function holdingLines(holding: readonly Holding[]): string[] {
  return [
    row(['Event loop held, in the lab', 'library ms', 'control ms', 'difference', 'GC pause ms']),
    ...holding.map(({ task, library, control }) => {
      const [ours, idle] = [longest(library), longest(control)];
      const pause = median(library.map(({ collecting }) => collecting));
      return row([task, ...[ours, idle, ours - idle, pause].map((ms) => ms.toFixed(1))]);
    }),
  ];
}

function pureLines(pure: readonly Pure[]): string[] {
  return [
    row(['JavaScript side alone, on the machine', 'CPU µs each', 'held ms', 'GC pause ms']),
    ...pure.map(({ name, microseconds, held }) =>
      row([name, microseconds.toFixed(3), held.longest.toFixed(1), held.collecting.toFixed(1)]),
    ),
  ];
}

function keepingLines(keeping: readonly Keeping[]): string[] {
  return [
    row(['Kept after doing it again and again', 'descriptors', 'MB resident', 'MB heap']),
    ...keeping.map((one) => {
      const [first, last] = ends(one);
      const span = (from: number, to: number): string =>
        `${mebibytes(from).toFixed(1)} → ${mebibytes(to).toFixed(1)}`;
      return row([
        `${one.count} × ${one.name}`,
        `${first.descriptors} → ${last.descriptors}`,
        span(first.rss, last.rss),
        span(first.heap, last.heap),
      ]);
    }),
  ];
}

function ends({ usage }: Keeping): [Keeping['usage'][number], Keeping['usage'][number]] {
  const [first, last] = [usage.at(0), usage.at(-1)];
  if (first === undefined || last === undefined) throw new RangeError('nothing was measured');
  return [first, last];
}

/** Resident bytes more in the second half than in the first: heaps breathe, so single looks would not do. */
function growth({ usage }: Keeping): number {
  const half = usage.length >> 1;
  const resident = usage.map(({ rss }) => rss);
  return median(resident.slice(-half)) - median(resident.slice(0, half));
}

/** Median of what each round found the longest. */
function longest(rounds: Holding['library']): number {
  return median(rounds.map((round) => round.longest));
}

/**
 * How many times longer one takes: the median over the rounds of the ratio within a round, as a busy machine slows both
 * down. What ran less often than the other is compared by its median.
 */
function ratio({ competitors }: Task, of: string, to: string): number {
  const one = timesOf(competitors, of);
  const other = timesOf(competitors, to);
  if (one.length !== other.length) return median(one) / median(other);
  return median(one.map((time, round) => time / (other[round] ?? NaN)));
}

function timesOf(competitors: readonly Timed[], name: string): readonly number[] {
  return competitors.find((competitor) => competitor.name === name)?.times ?? [];
}

function mebibytes(bytes: number): number {
  return bytes / 2 ** 20;
}

function row([first = '', ...rest]: string[]): string {
  return first.padEnd(62) + rest.map((cell) => cell.padStart(16)).join('');
}
