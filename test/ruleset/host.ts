// A host whose iptables are made up: both variants and both families, in memory, behind the programs' own texts. It refuses
// what the programs refuse, and can be told to fail.
import { IpvsError } from '../../lib/errors';
import { toDestinationKey, toServiceKey } from '../../lib/id';
import type { VirtualServer } from '../../lib/model';
import type { ToolOptions, Tools } from '../../lib/node/tools';

type Chains = Map<string, string[]>;

const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

export class FakeHost {
  /** Called with each program before it runs; what it throws is what the program says. */
  fails: (program: string, input: string) => void = () => undefined;
  readonly files = new Map<string, string>();
  /** What was run, but for reading. */
  readonly restores: { readonly program: string; readonly input: string }[] = [];
  readonly asked: ToolOptions[] = [];
  readonly #tables = new Map<string, Map<string, Chains>>();

  /** Stands in for `systemTools`. */
  readonly tools = (options: ToolOptions): Tools => {
    this.asked.push(options);
    return {
      runs: 0,
      // eslint-disable-next-line @typescript-eslint/require-await
      run: async (program, args, input = '') => this.#run(program, args, input),
    };
  };

  /** What iptables-save prints. */
  saved(program = 'iptables-nft'): string {
    let text = '';
    for (const [table, chains] of this.#of(program)) {
      const names = [...chains.keys()];
      const declared = names.map((name) =>
        BUILT_IN[table]?.includes(name) === true ? `:${name} ACCEPT [0:0]\n` : `:${name} - [0:0]\n`,
      );
      text += `*${table}\n${declared.join('')}${[...chains.values()].flat().join('\n')}\nCOMMIT\n`;
    }
    return text.replaceAll('\n\n', '\n');
  }

  chain(table: string, chain: string, program = 'iptables-nft'): string[] {
    const found = this.#of(program).get(table)?.get(chain);
    if (found === undefined) throw new Error(`no chain ${chain}`);
    return found;
  }

  /** Does what `iptables-restore --noflush` does with the text. */
  restore(input: string, program = 'iptables-nft'): void {
    const tables = this.#of(program);
    let name = '';
    let chains: Chains = new Map();
    for (const [i, line] of input.split('\n').entries()) {
      const fail = (): never => {
        throw new IpvsError(`${program}-restore: line ${i + 1} failed`, {
          code: 'ERR_IPVS_TOOL',
          operation: program,
        });
      };
      if (line.startsWith('*')) {
        name = line.slice(1);
        const copy = [...(tables.get(name) ?? [])].map(([chain, rules]): [string, string[]] => [
          chain,
          [...rules],
        ]);
        chains = new Map(copy);
        for (const chain of BUILT_IN[name] ?? []) if (!chains.has(chain)) chains.set(chain, []);
      } else if (line === 'COMMIT') tables.set(name, chains);
      else if (line !== '') doLine(chains, line, fail);
    }
  }

  #of(program: string): Map<string, Chains> {
    let tables = this.#tables.get(program);
    if (tables === undefined) this.#tables.set(program, (tables = new Map<string, Chains>()));
    return tables;
  }

  #run(program: string, args: readonly string[], input: string): string {
    this.fails(program, input);
    const [, iptables, verb] = /^(ip6?tables-(?:nft|legacy))-(save|restore)$/.exec(program) ?? [];
    if (iptables !== undefined && verb === 'save') return this.saved(iptables);
    if (iptables !== undefined) {
      expect(args).toContain('--noflush');
      expect(args).toContain('-w');
      this.restore(input, iptables);
      this.restores.push({ program, input });
      return '';
    }
    const [file = ''] = args;
    if (program === 'tee') this.files.set(file, input);
    const content = this.files.get(file);
    if (content === undefined) throw tool(`${program}: ${file}: No such file or directory`);
    return content;
  }
}

/** The same servers, their keys as everything that reads them says them. */
export function canonical(servers: readonly VirtualServer[]): VirtualServer[] {
  return servers.map(({ destinations, ...service }) => ({
    ...service,
    ...toServiceKey(service),
    destinations: destinations.map((each) => ({ ...each, ...toDestinationKey(each) })),
  }));
}

/** An error such as programs end with. */
export function tool(message: string, code = 'ERR_IPVS_TOOL'): IpvsError {
  return new IpvsError(message, { code, operation: 'tool' });
}

function doLine(chains: Chains, line: string, fail: () => never): void {
  const declared = /^:(\S+) - \[0:0\]$/.exec(line)?.[1];
  if (declared !== undefined) {
    chains.set(declared, []);
    return;
  }
  const [, op = '', chain = ''] = /^-([ADIX]) (\S+)/.exec(line) ?? [];
  const rules = chains.get(chain) ?? fail();
  const rule = line.replace(/^-\S (\S+)(?: 1(?= ))?/, '-A $1');
  const to = / -j (\S+)/.exec(rule.replace(/"[^"]*"/g, ''))?.[1] ?? '';
  const target = /^[A-Z0-9]+-/.test(to) ? to : undefined;
  if (op !== 'X' && target !== undefined && !chains.has(target)) fail();
  if (op === 'A') rules.push(rule);
  else if (op === 'I') rules.unshift(rule);
  else if (op === 'D') {
    const at = rules.indexOf(rule);
    if (at < 0) fail();
    rules.splice(at, 1);
  } else if (op === 'X') {
    const isUsed = [...chains.values()].flat().some((each) => each.endsWith(`-j ${chain}`));
    if (rules.length > 0 || isUsed) fail();
    chains.delete(chain);
  } else fail();
}
