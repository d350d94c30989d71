import { joinHostPort } from '../../lib/address';
import { endpointDigest, portDigest, probability, toPrefix } from '../../lib/iptables/names';

test.each([
  ['ns1/svc1:p80', 'tcp', 'XPGD46QRK7WJZT7O'],
  ['ns1/svc1:p80', 'udp', 'OJWW7NSBVZTDHXNW'],
  ['ns1/svc1:p80', 'sctp', 'GFCIFIA5VTFSTMSM'],
  ['ns1/svc1', 'tcp', 'AQI2S6QIMU7PVVRP'],
  ['ns2/svc2:p80', 'tcp', 'GNZBNJ2PO5MGZ6GT'],
  ['ns2/svc2:p8080', 'tcp', '2VJB64SDSIJUP5T6'],
  ['ns3/svc3:p80', 'tcp', 'X27LE4BHSL4DOUIK'],
  ['ns4/svc4:p80', 'tcp', '4SW47YFZTEDKD3PK'],
  ['ns4/svc4:p8082', 'tcp', 'EBDQOQU5SJFXRIL3'],
  ['ns5/svc5:p80', 'tcp', 'NUKIZ6OKUXPJNT4C'],
])('chains of %s over %s end in %s', (name, protocol, hash) => {
  expect(portDigest(name, protocol)).toBe(hash);
});

test.each([
  ['ns1/svc1:p80', '10.180.0.1', 'SXIVWICOYRO3J4NJ'],
  ['ns1/svc1:p80', '10.0.1.1', 'SNQ3ZNILQDEJNDQO'],
  ['ns1/svc1:p80', 'fd00:10:180::1', 'OGYCNMB4EMRUSJ6N'],
  ['ns2/svc2:p80', '10.180.0.2', 'RS4RBKLTHTF2IUXJ'],
  ['ns3/svc3:p80', '10.180.0.3', 'OYPFS5VJICHGATKP'],
  ['ns3/svc3:p80', '10.0.3.1', 'BSWRHOQ77KEXZLNL'],
  ['ns4/svc4:p80', '10.180.0.4', 'UKSFD7AGPMPPLUHC'],
  ['ns4/svc4:p80', '10.180.0.5', 'C6EBXVWJJZMIWKLZ'],
  ['ns5/svc5:p80', '10.180.0.3', 'I77PXRDZVX7PMWMN'],
])('the chain of an endpoint of %s at %s ends in %s', (name, address, hash) => {
  expect(endpointDigest(name, 'tcp', joinHostPort(address, 80))).toBe(hash);
});

test.each([
  [2, '0.5000000000'],
  [3, '0.3333333333'],
  [7, '0.1428571429'],
  [100001, '0.0000099999'],
])('one in %d is %s', (count, text) => {
  expect(probability(1, count)).toBe(text);
});

test.each([['kube'], ['KUBE-X'], ['TOOLONGX'], [''], ['1A'], [7], ['A\n-F']])(
  'no chain begins with %p',
  (prefix) => {
    expect(() => toPrefix(prefix)).toThrow(/^prefix: .* use up to 7 capital letters and digits$/);
  },
);
