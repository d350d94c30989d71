// Restore texts of the comparison: with the ways into our chains, and of what changed alone.
import type { IptablesProgram } from 'ipvs/iptables';

/** The whole program, and the jumps from the kernel's own chains. */
export function withJumps(program: IptablesProgram): string {
  let text = program.rules.ipv4 ?? '';
  for (const table of ['filter', 'nat']) {
    const lines = (program.jumps.ipv4 ?? [])
      .filter((jump) => jump.table === table)
      .map(({ from, to, match, comment }) => {
        const said = comment === '' ? '' : ` -m comment --comment "${comment}"`;
        return `-I ${from} 1 ${match}${said} -j ${to}\n`;
      });
    const begins = text.indexOf(`*${table}\n`);
    const ends = text.indexOf('COMMIT\n', begins);
    text = text.slice(0, ends) + lines.join('') + text.slice(ends);
  }
  return text;
}

/** The chains of `after` that are not the same in `before`, and the removal of those that went. All are of one table. */
export function changedChains(before: string, after: string): string {
  const [old, wanted] = [chainsOf(before), chainsOf(after)];
  const changed = [...wanted].filter(([name, rules]) => old.get(name) !== rules);
  const gone = [...old.keys()].filter((name) => !wanted.has(name));
  const declared = [...changed.map(([name]) => name), ...gone];
  return (
    '*nat\n' +
    declared.map((name) => `:${name} - [0:0]\n`).join('') +
    changed.map(([, rules]) => rules).join('') +
    gone.map((name) => `-X ${name}\n`).join('') +
    'COMMIT\n'
  );
}

function chainsOf(text: string): Map<string, string> {
  const chains = new Map<string, string>();
  for (const line of text.slice(text.indexOf('*nat\n')).split('\n')) {
    const declared = /^:(\S+)/.exec(line)?.[1];
    if (declared !== undefined) chains.set(declared, '');
    const of = /^-A (\S+)/.exec(line)?.[1];
    if (of !== undefined) chains.set(of, `${chains.get(of) ?? ''}${line}\n`);
  }
  return chains;
}
