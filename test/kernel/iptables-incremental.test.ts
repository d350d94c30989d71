// From one map to the next in a real kernel: what is restored is what changed, and what is there then is everything.
import fc from 'fast-check';
import type { ServiceMap } from '../../lib/kube';
import { iptablesProgram } from '../../lib/iptables';
import { anyHistory, anyOptions, VIEW } from '../iptables/maps';
import { restore } from '../iptables/rules';
import { expectedSave, readSave } from '../iptables/saved';
import { FAMILIES, NOTHING, Tables, type Step } from './iptables';

let tables: Tables;
beforeAll(() => {
  tables = new Tables();
});
afterAll(() => {
  tables.delete();
});

test('restoring change after change leaves the kernel with the rules of the last map', () => {
  fc.assert(
    fc.property(anyHistory, anyOptions, (maps, options) => {
      for (const family of FAMILIES) {
        const [first, ...rest] = maps;
        let program = iptablesProgram(first as ServiceMap, VIEW, options);
        const whole = program.rules[family] ?? '';
        const steps: Step[] = [{ family, text: `${NOTHING}${whole}`, noflush: false }];
        for (const map of rest) {
          const update = program.update(map);
          steps.push({ family, text: update.rules[family] ?? '' });
          program = update.program;
        }
        const saves = tables.restore(steps);
        maps.forEach((map, i) => {
          const wanted = iptablesProgram(map, VIEW, options).rules[family] ?? '';
          expect(readSave(saves[i] ?? '')).toEqual(expectedSave(restore(wanted), family));
        });
      }
    }),
    { numRuns: 12, endOnFailure: true },
  );
});

test('a change that was made for other rules is refused by its line, and nothing is changed', () => {
  const [maps] = fc.sample(anyHistory, { numRuns: 1, seed: 1 });
  const map = (maps as readonly ServiceMap[])[0] as ServiceMap;
  const program = iptablesProgram(map, VIEW);
  const gone = program.update({ ...map, ports: [] });
  const text = gone.rules.ipv4 ?? '';
  expect(text).toMatch(/^-D KUBE-SERVICES /m);
  const empty = `${NOTHING}${gone.program.rules.ipv4 ?? ''}`;
  const [before = ''] = tables.restore([{ family: 'ipv4', text: empty, noflush: false }]);
  expect(() => tables.restore([{ family: 'ipv4', text }])).toThrow(
    /line 2 failed: -D KUBE-SERVICES /,
  );
  const [after = ''] = tables.restore([{ family: 'ipv4', text: '' }]);
  expect(readSave(after)).toEqual(readSave(before));
});
