// The rules of servers chain by chain, which spare what is known already, are those of the program that is written whole.
import fc from 'fast-check';
import { familyOf } from '../../lib/id';
import { fromServers, iptablesProgram } from '../../lib/iptables';
import type { VirtualServer } from '../../lib/model';
import { parsing } from '../../lib/node/rules';
import { grouped, type Chains } from '../../lib/ruleset/difference';
import { toBackendSettings } from '../../lib/ruleset/options';
import { ServerRules } from '../../lib/ruleset/servers';
import { atOnce } from '../../lib/turns';
import { anyServers } from '../states';
import { canonical } from './host';

const FAMILIES = ['ipv4', 'ipv6'] as const;
const NODE = { name: 'here', addresses: [] };

function withoutOurs(chains: Chains | undefined): Chains {
  return new Map([...(chains ?? [])].filter(([name]) => !/^IPVS-(?:CANARY$|VS-)/.test(name)));
}

function expectRules(rules: ServerRules, servers: readonly VirtualServer[]): void {
  const settings = toBackendSettings({ unsupported: 'approximate' });
  const map = fromServers(servers, { unsupported: 'approximate' });
  const program = iptablesProgram(map, NODE, settings.program);
  const read = atOnce(rules.read(servers));
  expect(read.problems).toEqual(map.problems);
  for (const family of FAMILIES) {
    const wanted = atOnce(rules.wanted(read, family));
    if (!read.written.some(({ server }) => familyOf(server) === family)) {
      expect(wanted.tables.size).toBe(0);
      continue;
    }
    const whole = atOnce(grouped(atOnce(parsing(program.rules[family] ?? ''))));
    expect(wanted.jumps).toEqual(program.jumps[family]);
    for (const table of ['filter', 'nat']) {
      const own = withoutOurs(wanted.tables.get(table));
      expect([...own]).toEqual([...(whole.get(table) ?? [])]);
    }
  }
}

test('whatever the servers, and whichever of them are known', () => {
  fc.assert(
    fc.property(anyServers, fc.infiniteStream(fc.boolean()), (given, keeps) => {
      const servers = canonical(given);
      const rules = new ServerRules(toBackendSettings({ unsupported: 'approximate' }));
      expectRules(rules, servers);
      expectRules(
        rules,
        servers.filter(() => keeps.next().value),
      );
      const [first, ...others] = servers;
      if (first === undefined) return;
      expectRules(rules, [...others, { ...first, destinations: first.destinations.slice(1) }]);
    }),
  );
});

test('with more endpoints than comments are worth, all servers are written without, known or not', () => {
  const rules = new ServerRules(toBackendSettings({ unsupported: 'approximate' }));
  const serverOf = (i: number): VirtualServer => ({
    protocol: 'tcp',
    address: `10.0.${i >> 8}.${i & 255}`,
    port: 80,
    scheduler: 'rr',
    destinations: [
      { address: '192.0.2.1', port: 80 },
      { address: '192.0.2.2', port: 80 },
    ],
  });
  const many = Array.from({ length: 501 }, (_, i) => serverOf(i));
  expectRules(rules, many.slice(0, 500));
  expectRules(rules, many);
  expectRules(rules, many.slice(1));
});
