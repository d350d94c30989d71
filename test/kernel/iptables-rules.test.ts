// Programs of every kind, taken by iptables and read back from the kernel.
import fc from 'fast-check';
import { iptablesProgram } from '../../lib/iptables';
import { anyMap, anyOptions, VIEW } from '../iptables/maps';
import { restore } from '../iptables/rules';
import { expectedSave, readSave } from '../iptables/saved';
import { FAMILIES, NOTHING, Tables } from './iptables';

let tables: Tables;
beforeAll(() => {
  tables = new Tables();
});
afterAll(() => {
  tables.delete();
});

// One prefix, or what another one left would be found; and loopback, or its chain would stay of the program before.
const oneAfterTheOther = fc
  .array(fc.tuple(anyMap, anyOptions), { minLength: 8, maxLength: 8 })
  .map((list) =>
    list.map(([map, options]) =>
      iptablesProgram(map, VIEW, { ...options, prefix: 'KUBE', localhostNodePorts: true }),
    ),
  );

test('iptables takes every program, and the kernel has it rule for rule, and nothing of the one before', () => {
  fc.assert(
    fc.property(oneAfterTheOther, (programs) => {
      for (const family of FAMILIES) {
        const steps = programs.map((program, i) => ({
          family,
          text: program.rulesOver(family, programs[i - 1]?.chains(family).nat ?? []),
          test: true,
        }));
        const [, ...saves] = tables.restore([{ family, text: NOTHING, noflush: false }, ...steps]);
        programs.forEach(({ rules }, i) => {
          const wanted = expectedSave(restore(rules[family] ?? ''), family);
          expect(readSave(saves[i] ?? '')).toEqual(wanted);
        });
      }
    }),
    { numRuns: 2, endOnFailure: true },
  );
});

test('options that change the chains themselves', () => {
  const ways = [
    { prefix: 'IPVSTST', localhostNodePorts: false },
    { masqueradeBit: 31, randomFully: false, conntrackLiberal: true },
    { detectLocal: { bridgeInterface: 'cbr0' } },
    { detectLocal: { interfaceNamePrefix: 'cali' } },
  ];
  const maps = fc.sample(anyMap, { numRuns: ways.length, seed: 7 });
  for (const family of FAMILIES) {
    const programs = ways.map((way, i) => iptablesProgram(maps[i] as never, VIEW, way));
    const steps = programs.map(({ rules }) => ({
      family,
      text: `${NOTHING}${rules[family] ?? ''}`,
      noflush: false,
    }));
    const saves = tables.restore(steps);
    programs.forEach(({ rules }, i) => {
      const wanted = expectedSave(restore(rules[family] ?? ''), family);
      expect(readSave(saves[i] ?? '')).toEqual(wanted);
    });
  }
});
