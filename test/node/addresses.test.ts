import fc from 'fast-check';
import { planAddresses, type BoundAddress } from '../../lib/node/addresses';
import { planSysctls, wantedSysctls } from '../../lib/node/sysctls';

const OURS = 7;
const address = fc.integer({ min: 1, max: 20 }).map((n) => `10.0.0.${n}`);
const bound = fc
  .uniqueArray(fc.record({ link: fc.constantFrom(1, 2, OURS), address }), {
    selector: (one) => `${one.link} ${one.address}`,
  })
  .map((all): BoundAddress[] => all.map((one) => ({ ...one, family: 'ipv4', prefix: 32 })));

test('afterwards every wanted address is local, ours has nothing unwanted, and nothing foreign was touched', () => {
  fc.assert(
    fc.property(fc.array(address), bound, (wanted, before) => {
      const { add, remove, elsewhere } = planAddresses(wanted, before, OURS);
      const others = new Set(before.filter(({ link }) => link !== OURS).map((one) => one.address));
      const ours = new Set(before.filter(({ link }) => link === OURS).map((one) => one.address));
      for (const one of add) {
        expect(ours.has(one) || others.has(one)).toBe(false);
        ours.add(one);
      }
      for (const one of remove) expect(ours.delete(one)).toBe(true);
      for (const one of elsewhere) expect(others).toContain(one);
      for (const one of wanted) expect(ours.has(one) || others.has(one)).toBe(true);
      for (const one of ours) expect(wanted).toContain(one);
    }),
  );
});

test('the address that the kernel gives a device by itself stays', () => {
  const own: BoundAddress = { link: OURS, family: 'ipv6', address: 'fe80::1', prefix: 64 };
  expect(planAddresses([], [own], OURS).remove).toEqual([]);
});

test('only settings that differ are written, with what they were', () => {
  const kernel: Record<string, string> = {
    'net/ipv4/vs/conntrack': '0\n',
    'net/ipv4/vs/expire_nodest_conn': '1\n',
    'net/ipv4/vs/expire_quiescent_template': '1\n',
    'net/ipv4/ip_forward': '1\n',
  };
  expect(planSysctls(wantedSysctls(), (path) => kernel[path])).toEqual({
    changes: [{ path: 'net/ipv4/vs/conntrack', value: '1', before: '0' }],
    problems: [],
  });
});

test('a setting that the kernel does not have is a problem, but not one of a family that it does not have', () => {
  const { changes, problems } = planSysctls(wantedSysctls({ ipv6: true }), (path) =>
    path.includes('/vs/') ? undefined : path.startsWith('net/ipv6') ? undefined : '1',
  );
  expect(changes).toEqual([]);
  expect(problems.map((line) => line.split(':')[0])).toEqual([
    'the kernel has no net.ipv4.vs.conntrack',
    'the kernel has no net.ipv4.vs.expire_nodest_conn',
    'the kernel has no net.ipv4.vs.expire_quiescent_template',
  ]);
});

test.each([
  ['before 5.9', { major: 5, minor: 8 }, true],
  ['since 5.9', { major: 5, minor: 9 }, false],
  ['of a kernel that is not known', undefined, false],
])('conn_reuse_mode is set %s: %p %p', (_, kernel, expected) => {
  const paths = wantedSysctls({ kernel }).map(({ path }) => path);
  expect(paths.includes('net/ipv4/vs/conn_reuse_mode')).toBe(expected);
});
