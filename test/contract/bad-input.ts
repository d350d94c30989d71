// Input that never reaches the kernel: each is refused with words that name the setting and what to write instead.
import type { Destination, Service } from '../../lib/model';
import { A, A6, DNS, MARK, WEB, WEB6, failureOf, refused, stateOf, type Here } from './kit';

type Case = readonly [name: string, input: unknown, words: RegExp];

const NOT_A_NUMBER = /is out of range: use a whole number from/;

// Not even the identity is sound: the error cannot name the service.
const BAD_KEYS: readonly Case[] = [
  ['nothing', undefined, /service: undefined is not an object|service: undefined is no service/],
  ['null', null, /service: null/],
  ['a number', 80, /service: 80/],
  ['an array', [WEB], /service: an array|protocol: undefined/],
  ['an empty object', {}, /protocol: undefined is no protocol of IPVS: use 'tcp', 'udp' or 'sctp'/],
  ['another protocol', { ...WEB, protocol: 'icmp' }, /protocol: "icmp"/],
  ['a protocol in capitals', { ...WEB, protocol: 'TCP' }, /protocol: "TCP"/],
  ['a protocol by number', { ...WEB, protocol: 6 }, /protocol: 6/],
  ['no address', { ...WEB, address: undefined }, /address: undefined is not text/],
  ['a host name', { ...WEB, address: 'localhost' }, /host names are not looked up/],
  ['leading zeros', { ...WEB, address: '010.0.0.1' }, /leave out leading zeros/],
  ['three numbers', { ...WEB, address: '10.0.1' }, /write four numbers from 0 to 255/],
  ['a number over 255', { ...WEB, address: '10.0.0.256' }, /write four numbers from 0 to 255/],
  ['a network', { ...WEB, address: '10.0.0.0/8' }, /not an IP address/],
  ['a blank', { ...WEB, address: ' 10.0.0.1' }, /not an IP address/],
  ['a NUL', { ...WEB, address: '10.0.0.1\0' }, /not an IP address/],
  ['brackets', { ...WEB, address: '[2001:db8::1]' }, /leave the brackets out/],
  ['a zone', { ...WEB, address: 'fe80::1%eth0' }, /leave out the part from %/],
  ['a mapped address', { ...WEB, address: '::ffff:10.0.0.1' }, /write the IPv4 address itself/],
  ['port -1', { ...WEB, port: -1 }, /port: -1 is out of range: use a whole number from 0 to 65535/],
  ['port 65536', { ...WEB, port: 65536 }, /port: 65536/],
  ['port 1.5', { ...WEB, port: 1.5 }, NOT_A_NUMBER],
  ['port NaN', { ...WEB, port: NaN }, NOT_A_NUMBER],
  ['a port as text', { ...WEB, port: '80' }, /port: "80"/],
  ['a port as bigint', { ...WEB, port: 80n }, /port: 80n/],
  ['no port', { ...WEB, port: undefined }, /port: undefined/],
  ['mark 0', { ...MARK, fwmark: 0 }, /fwmark: 0 is out of range: use a whole number from 1 to/],
  ['mark 2^32', { ...MARK, fwmark: 2 ** 32 }, /fwmark: 4294967296/],
  ['a mark without family', { fwmark: 7 }, /family: undefined is no family: use 'ipv4' or 'ipv6'/],
  ['a mark of another family', { fwmark: 7, family: 4 }, /family: 4/],
  ['a mark and an address', { ...WEB, ...MARK }, /by fwmark or by protocol, address and port/],
  ['the wrong family', { ...WEB, family: 'ipv6' }, /family: "ipv6" is not the family of 10.0.0.1/],
];

const BAD_SERVICE_IDS = [
  'tcp://10.0.0.1',
  'tcp://10.0.0.1:',
  'tcp://10.0.0.1:65536',
  'tcp://10.0.0.1:-1',
  'tcp://10.0.0.1:080',
  'tcp://010.0.0.1:80',
  'tcp://2001:db8::1:80',
  'tcp://[10.0.0.1]:80',
  'tcp://[::ffff:10.0.0.1]:80',
  'tcp://[fe80::1%eth0]:80',
  'icmp://10.0.0.1:80',
  '10.0.0.1:80',
  'fwmark:0',
  'fwmark:0x10',
  'fwmark:4294967296',
  'fwmark6:',
  'fwmark:-1',
  '',
  'tcp://10.0.0.1:80\n',
];

const BAD_SERVICES: readonly Case[] = [
  ['a misspelt setting', { ...WEB, schedular: 'rr' }, /schedular: no such .* did you mean sched/],
  ['an unknown setting', { ...WEB, colour: 'red' }, /colour: no such setting .* takes protocol/],
  ['destinations', { ...WEB, destinations: [] }, /destinations: .* add each with addDestination/],
  ['a module that is no scheduler', { ...WEB, scheduler: 'ftp' }, /scheduler: "ftp" is no sched/],
  ['an engine for a scheduler', { ...WEB, scheduler: 'pe_sip' }, /scheduler: "pe_sip"/],
  ['an empty scheduler', { ...WEB, scheduler: '' }, /scheduler: ""/],
  ['a scheduler of 16 letters', { ...WEB, scheduler: 'abcdefghijklmnop' }, /use one of rr, wrr/],
  ['a scheduler in capitals', { ...WEB, scheduler: 'RR' }, /scheduler: "RR"/],
  ['a scheduler with a NUL', { ...WEB, scheduler: 'rr\0' }, /scheduler: /],
  ['no scheduler at all', { ...WEB, scheduler: null }, /scheduler: null/],
  ['flags that are no list', { ...WEB, schedulerFlags: 'port' }, /schedulerFlags: "port" is not/],
  ['an unknown flag', { ...WEB, schedulerFlags: ['flag-4'] }, /use fallback, port, flag-1/],
  ['a flag of others', { ...WEB, schedulerFlags: ['port'] }, /a flag of sh and mh, not of wlc/],
  ['persistence by number', { ...WEB, persistence: 300 }, /persistence: 300 is not an object/],
  ['persistence of 0 s', { ...WEB, persistence: { timeout: 0 } }, /persistence.timeout: 0/],
  ['31 days and 1 s', { ...WEB, persistence: { timeout: 2678401 } }, /timeout: 2678401 .* 2678400/],
  ['no timeout', { ...WEB, persistence: {} }, /persistence.timeout: undefined/],
  ['prefix 33', { ...WEB, persistence: { timeout: 1, prefix: 33 } }, /prefix: 33 .* 1 to 32/],
  ['prefix 0', { ...WEB, persistence: { timeout: 1, prefix: 0 } }, /persistence.prefix: 0/],
  ['prefix 129', { ...WEB6, persistence: { timeout: 1, prefix: 129 } }, /prefix: 129 .* 1 to 128/],
  ['a long engine', { ...DNS, persistence: { timeout: 1, engine: 'abcdefghijklmnop' } }, /engine/],
  ['a mask', { ...WEB, persistence: { timeout: 1, netmask: 24 } }, /netmask: no such setting/],
  ['one packet of TCP', { ...WEB, onePacket: true }, /onePacket: only for udp and fwmark/],
  ['a truth that is none', { ...DNS, onePacket: 1 }, /onePacket: 1 is not a boolean: use true/],
  ['every port, without persistence', { ...WEB, port: 0 }, /port: 0 .* set persistence/],
];

const BAD_DESTINATIONS: readonly Case[] = [
  ['a negative weight', { ...A, weight: -1 }, /weight: -1 .* from 0 to 2147483647/],
  ['weight 2^31', { ...A, weight: 2 ** 31 }, /weight: 2147483648/],
  ['weight 1.5', { ...A, weight: 1.5 }, /weight: 1.5/],
  ['weight as text', { ...A, weight: '1' }, /weight: "1"/],
  ['infinite weight', { ...A, weight: Infinity }, /weight: Infinity/],
  ['thresholds upside down', { ...A, upperThreshold: 5, lowerThreshold: 10 }, /10 is above .* 5/],
  ['a lower threshold alone', { ...A, lowerThreshold: 1 }, /1 is above upperThreshold 0/],
  ['a negative threshold', { ...A, upperThreshold: -1 }, /upperThreshold: -1/],
  ['threshold 2^31', { ...A, upperThreshold: 2 ** 31 }, /upperThreshold: 2147483648/],
  ['a method of the kernel', { ...A, forward: 'local' }, /forward: "local" is the kernel's own/],
  ['another method', { ...A, forward: 'nat' }, /forward: "nat" .* 'masq', 'route' or 'tunnel'/],
  ['another port by route', { ...A, forward: 'route' }, /port: route does not change .* own, 80/],
  ['another port by tunnel', { ...A, forward: 'tunnel' }, /port: tunnel does not change the port/],
  ['another family', A6, /address: 2001:db8::a is ipv6 and the service is ipv4: only forward/],
  ['another family by route', { ...A6, port: 80, forward: 'route' }, /only forward 'tunnel'/],
  ['a tunnel by NAT', { ...A, tunnel: { type: 'gre' } }, /tunnel: only for forward 'tunnel'/],
  ['an unknown tunnel', tunnel({ type: 'vxlan' }), /tunnel.type: "vxlan" is no tunnel: use 'ipip'/],
  ['a tunnel without type', tunnel({}), /tunnel.type: undefined/],
  ['a tunnel as text', tunnel('gue'), /tunnel: "gue" is not an object/],
  ['GUE without port', tunnel({ type: 'gue' }), /tunnel.port: undefined .* from 1 to 65535/],
  ['GUE with port 0', tunnel({ type: 'gue', port: 0 }), /tunnel.port: 0/],
  ['GRE with port', tunnel({ type: 'gre', port: 6080 }), /tunnel.port: gre has no port: leave/],
  ['IPIP with port', tunnel({ type: 'ipip', port: 6080 }), /tunnel.port: ipip has no port/],
  ['IPIP with checksum', tunnel({ type: 'ipip', checksum: true }), /ipip has no checksum true/],
  ['GRE, remote checksum', tunnel({ type: 'gre', checksum: 'remote' }), /gre has no checksum "rem/],
  ['a checksum by number', tunnel({ type: 'gre', checksum: 1 }), /1 is neither true, false nor/],
  ['a misspelt setting', { ...A, wieght: 3 }, /wieght: no such .* did you mean weight\?/],
  ['a setting of services', { ...A, scheduler: 'rr' }, /scheduler: no such setting of a dest/],
];

const BAD_DESTINATION_KEYS: readonly Case[] = [
  ['nothing', undefined, /destination: undefined/],
  ['null', null, /destination: null/],
  ['no port', { address: '192.0.2.1' }, /port: undefined/],
  ['port -1', { ...A, port: -1 }, /port: -1/],
  ['port 65536', { ...A, port: 65536 }, /port: 65536/],
  ['leading zeros', { ...A, address: '192.0.02.1' }, /leave out leading zeros/],
  ['a zone', { ...A6, address: 'fe80::1%1' }, /leave out the part from %/],
  ['a mapped address', { ...A6, address: '::ffff:192.0.2.1' }, /write the IPv4 address itself/],
];

const BAD_DESTINATION_IDS = [
  '',
  '192.0.2.1',
  '192.0.2.1:',
  '192.0.2.1:65536',
  '192.0.2.01:80',
  '2001:db8::a:80',
  '[192.0.2.1]:80',
  'tcp://192.0.2.1:80',
  'localhost:80',
];

function tunnel(settings: unknown): object {
  return { address: '192.0.2.1', port: 80, forward: 'tunnel', tunnel: settings };
}

const invalid = (
  operation: string,
  words: RegExp,
): { code: string; operation: string; words: RegExp } => ({
  code: 'ERR_IPVS_INVALID',
  operation,
  words,
});

export function badInput(here: Here): void {
  beforeEach(async () => {
    await here.client.addService({ ...WEB6, scheduler: 'rr' });
    await here.client.addDestination(WEB6, A6);
  });

  test.each(BAD_KEYS)('%s names no service', async (_, key, words) => {
    const { client } = here;
    const service = key as Service;
    await refused(client, () => client.addService(service), invalid('addService', words));
    await refused(client, () => client.setService(service), invalid('setService', words));
    await refused(client, () => client.deleteService(service), invalid('deleteService', words));
    await refused(client, () => client.service(service), invalid('service', words));
    await refused(client, () => client.destinations(service), invalid('destinations', words));
    await refused(client, () => client.addDestination(service, A), {
      ...invalid('addDestination', words),
      destination: A,
    });
    // Without a service everything is zeroed.
    if (key !== undefined)
      await refused(client, () => client.zero(service), invalid('zero', words));
  });

  test.each(BAD_SERVICE_IDS)('%j names no service', async (id) => {
    const { client } = here;
    const words = /service: "/;
    const ref = id as 'fwmark:1';
    await refused(client, () => client.service(ref), invalid('service', words));
    await refused(client, () => client.deleteService(ref), invalid('deleteService', words));
    await refused(client, () => client.zero(ref), invalid('zero', words));
  });

  test.each(BAD_SERVICES)('a service with %s is refused', async (_, input, words) => {
    const { client } = here;
    const service = input as Service;
    const { address, protocol, port } = service as typeof WEB;
    const named = { service: { protocol, address, port } };
    await refused(client, () => client.addService(service), {
      ...invalid('addService', words),
      ...named,
    });
    await refused(client, () => client.setService(service), {
      ...invalid('setService', words),
      ...named,
    });
  });

  test.each(BAD_DESTINATIONS)('a destination with %s is refused', async (_, input, words) => {
    const { client } = here;
    await client.addService(WEB);
    const destination = input as Destination;
    const { address, port } = destination;
    const named = { service: WEB, destination: { address, port } };
    for (const operation of ['addDestination', 'setDestination'] as const) {
      await refused(client, () => client[operation](WEB, destination), {
        ...invalid(operation, words),
        ...named,
      });
    }
  });

  test.each(BAD_DESTINATION_KEYS)('%s names no destination', async (_, input, words) => {
    const { client } = here;
    const destination = input as Destination;
    for (const operation of ['addDestination', 'setDestination', 'deleteDestination'] as const) {
      await refused(client, () => client[operation](WEB6, destination), {
        ...invalid(operation, words),
        service: WEB6,
      });
    }
  });

  test.each(BAD_DESTINATION_IDS)('%j names no destination', async (id) => {
    await refused(here.client, (client) => client.deleteDestination(WEB6, id as ':1'), {
      ...invalid('deleteDestination', /destination: "/),
      service: WEB6,
    });
  });

  test('services and destinations to be written are objects, not ids', async () => {
    const { client } = here;
    await refused(client, () => client.addService('tcp://10.0.0.1:80' as never), {
      ...invalid('addService', /service: "tcp:\/\/10.0.0.1:80" is not an object/),
      service: WEB,
    });
    await refused(client, () => client.addDestination(WEB6, '192.0.2.1:8080' as never), {
      ...invalid('addDestination', /destination: "192.0.2.1:8080" is not an object/),
      service: WEB6,
      destination: A,
    });
  });

  test('getters that throw and proxies are refused like anything else', async () => {
    const { client } = here;
    const before = await stateOf(client);
    const hostile = {
      ...WEB,
      get scheduler(): string {
        throw new Error('gotcha');
      },
    };
    const error = await failureOf(client.addService(hostile));
    expect(error).toMatchObject({ name: 'IpvsError', operation: 'addService' });
    expect(await stateOf(client)).toEqual(before);
  });

  test('an object of any make will do', async () => {
    class Resolver {
      readonly protocol = 'udp';
      readonly address = '10.0.0.1';
      get port(): number {
        return 53;
      }
      get onePacket(): boolean {
        return true;
      }
    }
    await here.client.addService(new Resolver());
    await here.client.deleteService(DNS);
    await here.client.addService(Object.assign(Object.create(null) as object, DNS));
    expect(await here.client.service(new Resolver())).toMatchObject({ onePacket: false });
  });
}
