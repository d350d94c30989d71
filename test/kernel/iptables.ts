// The tools of iptables in a network namespace of its own: many runs in one go, as each costs the lab a while.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Family } from '../../lib';
import { Namespace } from './helpers';

export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
/** Takes everything out of both tables. */
export const NOTHING = '*filter\nCOMMIT\n*nat\nCOMMIT\n';

/** Something to be restored. */
export interface Step {
  readonly family: Family;
  readonly text: string;
  /** Over what is there, as whoever keeps the rules does it. @defaultValue `true` */
  readonly noflush?: boolean;
  /** Have both makes of iptables look at it first. @defaultValue `false` */
  readonly test?: boolean;
}

export class Tables {
  readonly #namespace = new Namespace();
  readonly #directory = mkdtempSync(join(tmpdir(), 'ipvs-tables-'));

  /** Restores one after the other, and says what all tables have after each. Throws for one that is refused. */
  restore(steps: readonly Step[]): readonly string[] {
    const file = (i: number, end: string): string => join(this.#directory, `${i}.${end}`);
    const script = steps.map(({ family, text, noflush = true, test = false }, i) => {
      writeFileSync(file(i, 'in'), text);
      const program = family === 'ipv4' ? 'iptables' : 'ip6tables';
      const flags = noflush ? '--noflush --counters' : '--counters';
      const from = `< ${file(i, 'in')}`;
      return [
        `echo step ${i}: >&2`,
        ...(test
          ? ['nft', 'legacy'].map((make) => `${program}-${make}-restore --test ${flags} ${from}`)
          : []),
        `${program}-legacy-restore ${flags} ${from}`,
        `${program}-legacy-save > ${file(i, 'out')}`,
      ].join(' && ');
    });
    const args = ['netns', 'exec', this.#namespace.name, 'sh', '-ec', script.join('\n')];
    const done = spawnSync('ip', args, { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(explain(done.stderr, steps));
    return steps.map((_, i) => readFileSync(file(i, 'out'), 'utf8'));
  }

  delete(): void {
    this.#namespace.delete();
    rmSync(this.#directory, { recursive: true });
  }
}

// What the tool says of the last step, and the line it means.
function explain(said: string, steps: readonly Step[]): string {
  const [, step, last = ''] = /.*step (\d+):(.*)$/s.exec(said) ?? [];
  const [, line] = /line:? (\d+)/.exec(last) ?? [];
  const bad = steps[Number(step)]?.text.split('\n')[Number(line) - 1] ?? '';
  return `${last.trim()}: ${bad}`;
}
