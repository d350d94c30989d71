// Command lines that ipvsadm 1.31 took on Linux 6.1, each with the call that means the same here.
import type { Ipvs } from '../../lib/client';
import type { DestinationKey, Service, ServiceKey } from '../../lib/model';
import { DEVICE } from '../contract/kit';

/** A command line of ipvsadm, and our call. */
export type Step = readonly [line: string, call: (client: Ipvs) => Promise<unknown>];

/** Steps that belong together; tables are compared after each. */
export interface Scene {
  readonly name: string;
  readonly steps: readonly Step[];
}

const service = (protocol: 'tcp' | 'udp' | 'sctp', address: string, port: number): ServiceKey => ({
  protocol,
  address,
  port,
});
const at = (address: string, port: number): DestinationKey => ({ address, port });

const WEB = service('tcp', '10.0.0.1', 80);
const WEB6 = service('tcp', '2001:db8::1', 80);
const ALL = service('tcp', '10.0.0.1', 0);
const DNS = service('udp', '10.0.0.1', 53);
const MARK: ServiceKey = { fwmark: 7, family: 'ipv4' };
const MARK6: ServiceKey = { fwmark: 8, family: 'ipv6' };

// ipvsadm forwards by direct routing unless told otherwise, and keeps a client for 360 seconds with a bare -p.
const route = { forward: 'route' } as const;
const tunnel = { forward: 'tunnel' } as const;

const add =
  (it: Service) =>
  (client: Ipvs): Promise<void> =>
    client.addService(it);
const set =
  (it: Service) =>
  (client: Ipvs): Promise<void> =>
    client.setService(it);

const EVERYTHING: readonly Step[] = [
  ['-A -t 10.0.0.1:80 -s rr', add({ ...WEB, scheduler: 'rr' })],
  [
    '-a -t 10.0.0.1:80 -r 127.0.0.1:8080 -m -w 5',
    (client) => client.addDestination(WEB, { ...at('127.0.0.1', 8080), weight: 5 }),
  ],
  [
    '-a -t 10.0.0.1:80 -r 10.1.1.2:8080 -m -w 3 -x 100 -y 80',
    (client) =>
      client.addDestination(WEB, {
        ...at('10.1.1.2', 8080),
        weight: 3,
        upperThreshold: 100,
        lowerThreshold: 80,
      }),
  ],
  [
    '-a -t 10.0.0.1:80 -r 10.1.1.3:8080 -g',
    (client) => client.addDestination(WEB, { ...at('10.1.1.3', 80), ...route }),
  ],
  [
    '-a -t 10.0.0.1:80 -r 10.1.1.4 -i',
    (client) => client.addDestination(WEB, { ...at('10.1.1.4', 80), ...tunnel }),
  ],
  [
    '-a -t 10.0.0.1:80 -r 10.1.1.5 -i --tun-type gue --tun-port 6080 --tun-csum',
    (client) =>
      client.addDestination(WEB, {
        ...at('10.1.1.5', 80),
        ...tunnel,
        tunnel: { type: 'gue', port: 6080, checksum: true },
      }),
  ],
  [
    '-a -t 10.0.0.1:80 -r 10.1.1.6 -i --tun-type gre --tun-nocsum',
    (client) =>
      client.addDestination(WEB, {
        ...at('10.1.1.6', 80),
        ...tunnel,
        tunnel: { type: 'gre', checksum: false },
      }),
  ],
  [
    '-a -t 10.0.0.1:80 -r 10.1.1.7 -i --tun-type gue --tun-port 6081 --tun-remcsum',
    (client) =>
      client.addDestination(WEB, {
        ...at('10.1.1.7', 80),
        ...tunnel,
        tunnel: { type: 'gue', port: 6081, checksum: 'remote' },
      }),
  ],
  [
    '-a -t 10.0.0.1:80 -r [2001:db8::7]:80 -i',
    (client) => client.addDestination(WEB, { ...at('2001:db8::7', 80), ...tunnel }),
  ],
  ['-A -u 10.0.0.1:53 -s wrr -o', add({ ...DNS, scheduler: 'wrr', onePacket: true })],
  [
    '-a -u 10.0.0.1:53 -r 10.1.1.2:53 -m',
    (client) => client.addDestination(DNS, at('10.1.1.2', 53)),
  ],
  ['-A --sctp-service 10.0.0.1:132', add(service('sctp', '10.0.0.1', 132))],
  [
    '-A -t 10.0.0.1:0 -s sh -p 600 -M 255.255.255.0 -b sh-fallback,sh-port',
    add({
      ...ALL,
      scheduler: 'sh',
      schedulerFlags: ['fallback', 'port'],
      persistence: { timeout: 600, prefix: 24 },
    }),
  ],
  [
    '-a -t 10.0.0.1:0 -r 10.1.1.9 -g -w 2147483647',
    (client) => client.addDestination(ALL, { ...at('10.1.1.9', 0), ...route, weight: 2147483647 }),
  ],
  [
    '-A -t 10.0.0.2:443 -s mh -b mh-port',
    add({ ...service('tcp', '10.0.0.2', 443), scheduler: 'mh', schedulerFlags: ['port'] }),
  ],
  [
    '-A -t 10.0.0.2:444 -p',
    add({ ...service('tcp', '10.0.0.2', 444), persistence: { timeout: 360 } }),
  ],
  [
    '-A -u 10.0.0.2:5060 -s wlc -p 60 --pe sip',
    add({ ...service('udp', '10.0.0.2', 5060), persistence: { timeout: 60, engine: 'sip' } }),
  ],
  ['-A -f 7 -s wlc', add(MARK)],
  ['-a -f 7 -r 10.1.1.2:0 -m', (client) => client.addDestination(MARK, at('10.1.1.2', 0))],
  ['-A -f 8 -6 -s wlc -p 300 -M 64', add({ ...MARK6, persistence: { timeout: 300, prefix: 64 } })],
  [
    '-a -f 8 -6 -r [2001:db8::9]:0 -g',
    (client) => client.addDestination(MARK6, { ...at('2001:db8::9', 0), ...route }),
  ],
  ['-A -t [2001:db8::1]:80 -s lc', add({ ...WEB6, scheduler: 'lc' })],
  [
    '-a -t [2001:db8::1]:80 -r [2001:db8::2]:8080 -m -w 10',
    (client) => client.addDestination(WEB6, { ...at('2001:db8::2', 8080), weight: 10 }),
  ],
];

const TIMEOUTS: readonly Step[] = [
  ['--set 100 50 40', (client) => client.setTimeouts({ tcp: 100, tcpFin: 50, udp: 40 })],
  ['--set 0 0 41', (client) => client.setTimeouts({ udp: 41 })],
];

// One line of the transcripts has no call: `-A -t 10.0.0.3:80 --pe sip` names an engine without persistence, where the
// kernel never asks it.
const EDITS: readonly Step[] = [
  ['-E -t 10.0.0.1:80 -s wlc', set({ ...WEB, scheduler: 'wlc' })],
  [
    '-e -t 10.0.0.1:80 -r 10.1.1.2:8080 -m -w 0',
    (client) => client.setDestination(WEB, { ...at('10.1.1.2', 8080), weight: 0 }),
  ],
  ['-Z', (client) => client.zero()],
  ['-Z -t 10.0.0.1:80', (client) => client.zero(WEB)],
  [
    '-A -t 10.0.0.3:80 -s rr -b flag-1',
    add({ ...service('tcp', '10.0.0.3', 80), scheduler: 'rr', schedulerFlags: ['flag-1'] }),
  ],
];

const DELETIONS: readonly Step[] = [
  ['-D -t 10.0.0.3:80', (client) => client.deleteService('tcp://10.0.0.3:80')],
  ['-d -t 10.0.0.1:80 -r 10.1.1.4', (client) => client.deleteDestination(WEB, '10.1.1.4:80')],
  ['-D -t 10.0.0.1:80', (client) => client.deleteService(WEB)],
  ['-C', (client) => client.flush()],
];

const REPLACING: readonly Step[] = [
  [
    '-A -t 10.0.0.1:80 -s rr -p 600',
    add({ ...WEB, scheduler: 'rr', persistence: { timeout: 600 } }),
  ],
  [
    '-a -t 10.0.0.1:80 -r 10.1.1.2:8080 -m -w 7 -x 10 -y 5',
    (client) =>
      client.addDestination(WEB, {
        ...at('10.1.1.2', 8080),
        weight: 7,
        upperThreshold: 10,
        lowerThreshold: 5,
      }),
  ],
  [
    '-e -t 10.0.0.1:80 -r 10.1.1.2:8080 -m',
    (client) => client.setDestination(WEB, at('10.1.1.2', 8080)),
  ],
  ['-E -t 10.0.0.1:80', set(WEB)],
  [
    '-A -u 10.0.0.1:80 -o -s rr',
    add({ ...service('udp', '10.0.0.1', 80), scheduler: 'rr', onePacket: true }),
  ],
  ['-E -u 10.0.0.1:80 -s rr', set({ ...service('udp', '10.0.0.1', 80), scheduler: 'rr' })],
];

const DAEMONS: readonly Step[] = [
  [
    `--start-daemon master --mcast-interface ${DEVICE} --syncid 7`,
    (client) => client.startDaemon({ role: 'master', interface: DEVICE, syncId: 7 }),
  ],
  [
    `--start-daemon backup --mcast-interface ${DEVICE} --syncid 7 --mcast-group 224.0.0.82 --mcast-port 8849 --mcast-ttl 2 --sync-maxlen 1400`,
    (client) =>
      client.startDaemon({
        role: 'backup',
        interface: DEVICE,
        syncId: 7,
        group: '224.0.0.82',
        port: 8849,
        ttl: 2,
        maxLength: 1400,
      }),
  ],
];

const ONE_DAEMON: readonly Step[] = [
  ['--stop-daemon master --syncid 9', (client) => client.stopDaemon({ role: 'master', syncId: 9 })],
];

const SIX: readonly Step[] = [
  ['--stop-daemon backup', (client) => client.stopDaemon({ role: 'backup' })],
  [
    `--start-daemon master --mcast-interface ${DEVICE} --mcast-group ff02::81`,
    (client) =>
      client.startDaemon({ role: 'master', interface: DEVICE, syncId: 0, group: 'ff02::81' }),
  ],
];

const MIXED: readonly Step[] = [
  ['--stop-daemon master', (client) => client.stopDaemon({ role: 'master' })],
  ['-a -t 10.0.0.1:80 -r 10.1.1.5 -m', (client) => client.addDestination(WEB, at('10.1.1.5', 80))],
  ['-A -t [fe80::1]:80', add(service('tcp', 'fe80::1', 80))],
  [
    '-a -t 10.0.0.1:80 -r [2001:db8::7]:80 -i',
    (client) => client.addDestination(WEB, { ...at('2001:db8::7', 80), ...tunnel }),
  ],
  ['-A -t [2001:db8::1]:81 -s rr', add({ ...service('tcp', '2001:db8::1', 81), scheduler: 'rr' })],
  [
    '-a -t [2001:db8::1]:81 -r 10.9.9.9 -i --tun-type gue --tun-port 5555',
    (client) =>
      client.addDestination('tcp://[2001:db8::1]:81', {
        ...at('10.9.9.9', 81),
        ...tunnel,
        tunnel: { type: 'gue', port: 5555 },
      }),
  ],
];

const RESTORED: readonly Step[] = [
  ['-A -t 10.0.5.1:80 -s rr', add({ ...service('tcp', '10.0.5.1', 80), scheduler: 'rr' })],
  ['-A -t 10.0.6.1:80 -s rr', add({ ...service('tcp', '10.0.6.1', 80), scheduler: 'rr' })],
  ['-A -t 10.0.7.2:80 -s rr', add({ ...service('tcp', '10.0.7.2', 80), scheduler: 'rr' })],
  ['-A -t 10.0.0.1:81 -s rr', add({ ...service('tcp', '10.0.0.1', 81), scheduler: 'rr' })],
  ['-A -t 1.2.3.4:80', add(service('tcp', '1.2.3.4', 80))],
];

/** In order, in one namespace. */
export const SCENES: readonly Scene[] = [
  { name: 'a service and a destination of every kind', steps: EVERYTHING },
  { name: 'timeouts', steps: TIMEOUTS },
  { name: 'edits, counters, a flag by number', steps: EDITS },
  { name: 'deletions', steps: DELETIONS },
  { name: 'an edit returns what is left out to its default', steps: REPLACING },
  { name: 'both sync daemons', steps: DAEMONS },
  { name: 'one of them stopped, by another id', steps: ONE_DAEMON },
  { name: 'a sync daemon over IPv6', steps: SIX },
  { name: 'tunnels across families', steps: MIXED },
  { name: 'what was restored from text', steps: RESTORED },
];
