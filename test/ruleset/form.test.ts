import { ends, formOf } from '../../lib/ruleset/form';

// What we write, and what iptables-save 1.8.9 made of it, of both variants.
const PAIRS: Readonly<Record<string, readonly [string, string]>> = {
  'a way in': [
    '-A IPVS-SERVICES -m comment --comment "tcp://10.0.0.1:80 cluster IP" -m tcp -p tcp -d 10.0.0.1 --dport 80 -j IPVS-SVC-A',
    '-A IPVS-SERVICES -d 10.0.0.1/32 -p tcp -m comment --comment "tcp://10.0.0.1:80 cluster IP" -m tcp --dport 80 -j IPVS-SVC-A',
  ],
  'a way in of IPv6': [
    '-A S -m udp -p udp -d 2001:db8::1 --dport 53 -j SVC',
    '-A S -d 2001:db8::1/128 -p udp -m udp --dport 53 -j SVC',
  ],
  'a chance': [
    '-A SVC -m statistic --mode random --probability 0.1428571429 -j SEP',
    '-A SVC -m statistic --mode random --probability 0.14285714272 -j SEP',
  ],
  marks: ['-A M -j MARK --or-mark 0x00002000', '-A M -j MARK --set-xmark 0x2000/0x2000'],
  'marks taken off': [
    '-A M -j MARK --xor-mark 0x80000000',
    '-A M -j MARK --set-xmark 0x80000000/0x0',
  ],
  'no mark': [
    '-A P -m mark ! --mark 0x00002000/0x00002000 -j RETURN',
    '-A P -m mark ! --mark 0x2000/0x2000 -j RETURN',
  ],
  'a stamp': [
    '-A SEP -m comment --comment tcp://10.0.0.1:80 -m recent --name SEP --set -m tcp -p tcp -j DNAT --to-destination 192.0.2.1:80',
    '-A SEP -p tcp -m comment --comment "tcp://10.0.0.1:80" -m recent --set --name SEP --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 192.0.2.1:80',
  ],
  'a stamp of IPv6': [
    '-A S -m recent --name SEP --rcheck --seconds 60 --reap -j SEP',
    '-A S -m recent --rcheck --seconds 60 --reap --name SEP --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -j SEP',
  ],
  refusal: ['-A S -j REJECT', '-A S -j REJECT --reject-with icmp-port-unreachable'],
  'refusal of IPv6': ['-A S -j REJECT', '-A S -j REJECT --reject-with icmp6-port-unreachable'],
  'node ports': [
    '-A S -m addrtype --dst-type LOCAL ! -d 127.0.0.0/8 -j NODEPORTS',
    '-A S ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j NODEPORTS',
  ],
  'ranges of addresses': ['-A F -s 203.0.113.5/25 -j X', '-A F -s 203.0.113.0/25 -j X'],
  states: [
    '-A F -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    '-A F -m conntrack ! --ctstate DNAT,RELATED,ESTABLISHED -j DROP',
  ],
};

test.each(Object.entries(PAIRS))(
  '%s is the same in our words and in those of the kernel',
  (_, [ours, theirs]) => {
    expect(formOf(ours)).toBe(formOf(theirs));
  },
);

const RULE = PAIRS['a stamp']?.[1] ?? '';
test.each([
  ['another target', RULE.replace('DNAT --to', 'SNAT --to')],
  ['another destination', RULE.replace('192.0.2.1:80', '192.0.2.1:81')],
  ['another protocol', RULE.replaceAll('tcp', 'udp')],
  ['another mask', RULE.replace('255.255.255.255', '255.255.255.0')],
  ['another name', RULE.replace('--name SEP', '--name SEP2')],
  ['another comment', RULE.replace('10.0.0.1:80"', '10.0.0.1:8"')],
  [
    'one match less',
    RULE.replace('-m recent --set --name SEP --mask 255.255.255.255 --rsource', ''),
  ],
  ['one more', RULE.replace('-m tcp', '-m tcp ! --dport 9')],
  ['another source', RULE.replace('-p tcp', '-s 10.0.0.0/8 -p tcp')],
])('%s is another rule', (_, other) => {
  expect(other).not.toBe(RULE);
  expect(formOf(other)).not.toBe(formOf(RULE));
});

test.each([
  ['a negated address', '-A S ! -d 10.0.0.1 -j X', '-A S -d 10.0.0.1 -j X'],
  [
    'another chance',
    '-A S -m statistic --probability 0.25 -j X',
    '-A S -m statistic --probability 0.26 -j X',
  ],
  ['another mark', '-A S -j MARK --or-mark 0x1', '-A S -j MARK --or-mark 0x2'],
  ['a set instead of an added mark', '-A S -j MARK --or-mark 0x1', '-A S -j MARK --set-mark 0x1'],
  ['another refusal', '-A S -j REJECT', '-A S -j REJECT --reject-with tcp-reset'],
])('%s counts', (_, one, other) => {
  expect(formOf(one)).not.toBe(formOf(other));
});

test('a comment may say anything and leads nowhere', () => {
  expect(ends('-A ONE -m comment --comment "x -j TWO" -j THREE')).toEqual({
    from: 'ONE',
    to: 'THREE',
  });
  expect(ends('-A ONE -m comment --comment "say \\" -j TWO"')).toEqual({ from: 'ONE', to: '' });
  expect(formOf('-A A -m comment --comment "-j DROP" -j X')).not.toBe(formOf('-A A -j DROP -j X'));
});
