import { IpvsError } from '../lib/errors';
import { serviceKey } from '../lib/id';
import { toFullDaemon, toFullDestination, toFullService, toFullTimeouts } from '../lib/settings';

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 };
const dns = { protocol: 'udp', address: '10.0.0.1', port: 53 };
const server = { address: '192.0.2.10', port: 8080 };
const webKey = serviceKey('tcp://10.0.0.1:80');

test('a service without settings is wlc, and no more', () => {
  expect(toFullService(web)).toEqual({
    key: webKey,
    scheduler: 'wlc',
    schedulerFlags: [],
    persistence: undefined,
    onePacket: false,
  });
});

test('a destination without settings is masquerading with weight 1', () => {
  expect(toFullDestination(webKey, server)).toMatchObject({
    forward: 'masq',
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
  });
});

test('what was read can be changed and written back', () => {
  const status = { ...web, scheduler: 'rr', schedulerFlags: [], onePacket: false, stats: {} };
  expect(toFullService({ ...status, scheduler: 'wrr' }).scheduler).toBe('wrr');
  const destination = {
    ...server,
    forward: 'masq',
    activeConnections: 3,
    inactiveConnections: 0,
    persistentConnections: 0,
    stats: {},
  };
  expect(toFullDestination(webKey, { ...destination, weight: 0 }).weight).toBe(0);
});

test('a setting that is undefined is a setting left out', () => {
  expect(toFullService({ ...web, scheduler: undefined, persistence: undefined }).scheduler).toBe(
    'wlc',
  );
});

test('the two flags of sh and mh go by their names, whichever way they were given', () => {
  expect(
    toFullService({ ...web, scheduler: 'sh', schedulerFlags: ['flag-2', 'fallback'] })
      .schedulerFlags,
  ).toEqual(['fallback', 'port']);
  expect(
    toFullService({ ...web, scheduler: 'rr', schedulerFlags: ['flag-1'] }).schedulerFlags,
  ).toEqual(['flag-1']);
});

test.each([
  [{ ...web, schedular: 'rr' }, /schedular: no such setting.*did you mean scheduler/],
  [{ ...web, one_packet: true }, /did you mean onePacket/],
  [{ ...web, colour: 'red' }, /colour: no such setting of a service: service takes protocol/],
  [{ ...web, destinations: [] }, /addDestination/],
  [{ ...web, scheduler: 'ftp' }, /scheduler: "ftp" is no scheduler: use one of rr, wrr/],
  [{ ...web, scheduler: '' }, /scheduler: ""/],
  [{ ...web, scheduler: 'a-very-long-scheduler' }, /scheduler: "a-very-long-scheduler"/],
  [{ ...web, scheduler: 7 }, /scheduler: 7/],
  [{ ...web, scheduler: 'rr\0' }, /scheduler/],
  [{ ...web, schedulerFlags: 'port' }, /schedulerFlags: "port" is not an array/],
  [{ ...web, schedulerFlags: ['ports'] }, /schedulerFlags: "ports" is no flag/],
  [{ ...web, scheduler: 'rr', schedulerFlags: ['port'] }, /port is a flag of sh and mh, not of rr/],
  [{ ...web, persistence: 300 }, /persistence: 300 is not an object/],
  [{ ...web, persistence: {} }, /persistence.timeout: undefined/],
  [{ ...web, persistence: { timeout: 0 } }, /persistence.timeout: 0.*1 to 2678400/],
  [{ ...web, persistence: { timeout: 2678401 } }, /persistence.timeout: 2678401/],
  [{ ...web, persistence: { timeout: 300, prefix: 0 } }, /persistence.prefix: 0.*1 to 32/],
  [{ ...web, persistence: { timeout: 300, prefix: 33 } }, /persistence.prefix: 33/],
  [{ ...web, persistence: { timeout: 300, netmask: '255.255.255.0' } }, /netmask: no such setting/],
  [{ ...web, persistence: { timeout: 300, engine: 'a-long-engine-name' } }, /persistence.engine/],
  [{ ...web, onePacket: true }, /onePacket: only for udp and fwmark services, not tcp/],
  [{ ...dns, onePacket: 'yes' }, /onePacket: "yes" is not a boolean/],
  [{ ...web, port: 0 }, /port: 0 takes every port only with persistence/],
  [{ ...web, family: 'ipv6' }, /family: "ipv6" is not the family of 10.0.0.1/],
  [null, /service: null is not an object/],
  [[], /service: an array is not an object/],
])('service %j is refused by name', (service, why) => {
  expect(() => toFullService(service)).toThrow(IpvsError);
  expect(() => toFullService(service)).toThrow(why);
});

test.each([
  [{ ...server, wieght: 2 }, /did you mean weight/],
  [{ ...server, weight: -1 }, /weight: -1.*0 to 2147483647/],
  [{ ...server, weight: 2 ** 31 }, /weight: 2147483648/],
  [{ ...server, weight: 1.5 }, /weight: 1.5/],
  [{ ...server, weight: '3' }, /weight: "3"/],
  [
    { ...server, upperThreshold: 5, lowerThreshold: 10 },
    /lowerThreshold: 10 is above upperThreshold 5/,
  ],
  [{ ...server, lowerThreshold: 1 }, /lowerThreshold: 1 is above upperThreshold 0/],
  [
    { ...server, forward: 'nat' },
    /forward: "nat" is no forward method: use 'masq', 'route' or 'tunnel'/,
  ],
  [{ ...server, forward: 'local' }, /forward: "local" is the kernel's own/],
  [
    { ...server, forward: 'route' },
    /port: route does not change the port: use the service's own, 80, not 8080/,
  ],
  [{ address: '2001:db8::1', port: 80 }, /only forward 'tunnel' crosses families/],
  [{ ...server, tunnel: { type: 'ipip' } }, /tunnel: only for forward 'tunnel'/],
  [{ ...server, port: 80, forward: 'tunnel', tunnel: { type: 'vxlan' } }, /tunnel.type: "vxlan"/],
  [
    { ...server, port: 80, forward: 'tunnel', tunnel: { type: 'gue' } },
    /tunnel.port: undefined.*1 to 65535/,
  ],
  [
    { ...server, port: 80, forward: 'tunnel', tunnel: { type: 'gre', port: 5 } },
    /tunnel.port: gre has no port/,
  ],
  [
    { ...server, port: 80, forward: 'tunnel', tunnel: { type: 'gre', checksum: 'remote' } },
    /gre has no checksum "remote"/,
  ],
  [
    { ...server, port: 80, forward: 'tunnel', tunnel: { type: 'ipip', checksum: true } },
    /ipip has no checksum true/,
  ],
])('destination %j is refused by name', (destination, why) => {
  expect(() => toFullDestination(webKey, destination)).toThrow(IpvsError);
  expect(() => toFullDestination(webKey, destination)).toThrow(why);
});

test('a fwmark service forwards to any port by any method', () => {
  const mark = serviceKey('fwmark:7');
  expect(toFullDestination(mark, { ...server, forward: 'route' }).key).toEqual(server);
});

test('timeouts that are left out stay as they are', () => {
  expect(toFullTimeouts({ udp: 10 })).toEqual({ tcp: 0, tcpFin: 0, udp: 10 });
});

test.each([
  [{ tcp: 0 }, /tcp: 0.*1 to 2678400/],
  [{ udp: 2678401 }, /udp: 2678401/],
  [{ tcpfin: 5 }, /did you mean tcpFin/],
  [undefined, /timeouts: undefined/],
])('timeouts %j are refused by name', (timeouts, why) => {
  expect(() => toFullTimeouts(timeouts)).toThrow(why);
});

const daemon = { role: 'master', interface: 'eth0', syncId: 1 };

test.each([
  [{ ...daemon, role: 'slave' }, /role: "slave"/],
  [{ ...daemon, interface: 'an-interface-name' }, /interface: "an-interface-name".*1 to 15 bytes/],
  [{ ...daemon, interface: '' }, /interface: ""/],
  [{ ...daemon, syncId: 256 }, /syncId: 256.*0 to 255/],
  [{ ...daemon, group: '10.0.0.1' }, /group: 10.0.0.1 is not a multicast address/],
  [{ ...daemon, group: 'all' }, /group: "all" is not an IP address/],
  [{ ...daemon, port: 0 }, /port: 0/],
  [{ ...daemon, ttl: 256 }, /ttl: 256/],
  [{ ...daemon, maxLength: 65508 }, /maxLength: 65508/],
])('sync daemon %j is refused by name', (value, why) => {
  expect(() => toFullDaemon(value)).toThrow(why);
});
