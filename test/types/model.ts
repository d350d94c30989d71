// What must not compile, each line with its expected error. Nothing here runs: `npm run typecheck` is the test.
import type { Change, Destination, DestinationId, Service, ServiceId, ServiceRef } from '../../lib';
import { is } from './is';

is<Service>({ protocol: 'tcp', address: '10.0.0.1', port: 80 });
is<Service>({ fwmark: 7, family: 'ipv6', scheduler: 'mh', schedulerFlags: ['fallback', 'port'] });
// A scheduler of one's own is a kernel module away.
is<Service>({ fwmark: 7, family: 'ipv4', scheduler: 'ours' });
// @ts-expect-error IPVS balances tcp, udp and sctp
is<Service>({ protocol: 'icmp', address: '10.0.0.1', port: 80 });
// @ts-expect-error a service needs its port
is<Service>({ protocol: 'tcp', address: '10.0.0.1' });
// @ts-expect-error a mark alone does not say its family
is<Service>({ fwmark: 7 });
// @ts-expect-error a misspelt setting
is<Service>({ protocol: 'tcp', address: '10.0.0.1', port: 80, schedular: 'rr' });
// @ts-expect-error left out is left out: undefined is something else
is<Service>({ protocol: 'tcp', address: '10.0.0.1', port: 80, scheduler: undefined });
// @ts-expect-error flags have names, not numbers
is<Service>({ protocol: 'tcp', address: '10.0.0.1', port: 80, schedulerFlags: [1] });
// @ts-expect-error persistence without its timeout
is<Service>({ protocol: 'tcp', address: '10.0.0.1', port: 80, persistence: {} });

is<ServiceId>('tcp://10.0.0.1:80');
is<ServiceId>('fwmark6:7');
// @ts-expect-error no protocol
is<ServiceId>('10.0.0.1:80');
// @ts-expect-error no such protocol
is<ServiceRef>('http://10.0.0.1:80');
// @ts-expect-error a mark is a number
is<ServiceRef>('fwmark:seven');

is<Destination>({ address: '192.0.2.10', port: 8080, weight: 0 });
is<DestinationId>('[2001:db8::10]:8080');
// @ts-expect-error a destination has a port
is<DestinationId>('192.0.2.10');
// @ts-expect-error no such forward method
is<Destination>({ address: '192.0.2.10', port: 8080, forward: 'nat' });
// @ts-expect-error weights are numbers
is<Destination>({ address: '192.0.2.10', port: 8080, weight: '1' });
// @ts-expect-error no such tunnel
is<Destination>({ address: '192.0.2.10', port: 80, forward: 'tunnel', tunnel: { type: 'vxlan' } });

const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const destination = { address: '192.0.2.10', port: 8080 };
is<Change>({ op: 'addService', service });
is<Change>({ op: 'deleteDestination', service, destination });
// @ts-expect-error no such change
is<Change>({ op: 'removeService', service });
// @ts-expect-error which destination?
is<Change>({ op: 'addDestination', service });
