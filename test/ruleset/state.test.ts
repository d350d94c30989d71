import fc from 'fast-check';
import { familyOf } from '../../lib/id';
import type { VirtualServer } from '../../lib/model';
import { recordedServers, stateChain, stateRules } from '../../lib/ruleset/state';
import type { Chains } from '../../lib/ruleset/difference';
import { atOnce } from '../../lib/turns';
import { anyServers, settled } from '../states';
import { canonical } from './host';

function recorded(prefix: string, chains: Chains): VirtualServer[] {
  return [...atOnce(recordedServers(prefix, chains)).values()].map(({ server }) => server);
}

test('servers are read back from comments, whatever they are; comments are as long and as plain as rules take them', () => {
  fc.assert(
    fc.property(anyServers, (given) => {
      const servers = canonical(given);
      const chains = new Map(
        servers.map((server) => [stateChain('IPVS', server), stateRules('IPVS', server)] as const),
      );
      expect(settled(recorded('IPVS', chains))).toEqual(settled(servers));
      for (const [chain, rules] of chains) {
        expect(chain.length).toBeLessThanOrEqual(28);
        for (const rule of rules) {
          const [, comment = ''] = /--comment "([^"\\]*)"$/.exec(rule) ?? [];
          expect(comment).toMatch(/^-[Aa] /);
          expect(comment.length).toBeLessThan(256);
        }
      }
    }),
  );
});

test.each([
  ['what is no server', ['-A X -j DROP']],
  ['nothing', []],
  ['a bad line', ['-A X -m comment --comment "-A -t nowhere -s rr"']],
  [
    'a destination alone',
    ['-A X -m comment --comment "-a -t 10.0.0.1:80 -r 192.0.2.1:80 -m -w 1"'],
  ],
  ["another's server", ['-A X -m comment --comment "-A -t 10.0.0.9:80 -s rr"']],
])('%s in a chain of ours is no server, and no error', (_, rules) => {
  const chain = stateChain('IPVS', { protocol: 'tcp', address: '10.0.0.1', port: 80 });
  const found = recorded('IPVS', new Map([[chain, rules]]));
  expect(found).toEqual([]);
});

test('servers of other prefixes are others', () => {
  const [server] = [{ protocol: 'tcp', address: '10.0.0.1', port: 80, destinations: [] } as const];
  expect(familyOf(server)).toBe('ipv4');
  const chains = new Map([[stateChain('OTHER', server), stateRules('OTHER', server)]]);
  expect(recorded('IPVS', chains)).toEqual([]);
  expect(recorded('OTHER', chains)).toHaveLength(1);
});
