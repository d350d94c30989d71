// What the kernel's error numbers mean for what was asked, and what to do about it. The system's own words
// ("file exists", "no such process") are about something else.
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { IpvsError, InvalidInput, type IpvsErrorCode } from './errors';
import { destinationId, familyOf, serviceId } from './id';
import type { DestinationKey, ServiceKey } from './model';
import type { NativeFailure } from './native';
import { SCHEDULERS } from './settings';

/** What was asked, as far as it is known. */
export interface Request {
  readonly operation: string;
  readonly service?: ServiceKey | undefined;
  readonly destination?: DestinationKey | undefined;
  /** What is named by a request that may be missing: a scheduler, an interface, a namespace. */
  readonly names?: string | undefined;
  /** Put between the request and the reason, such as which of many changes it was. */
  readonly detail?: string | undefined;
}

type Words = (request: Request) => string;

const SERVICE_VERBS = ['addService', 'setService'];
const DESTINATION_VERBS = ['addDestination', 'setDestination', 'deleteDestination'];

const WORDS: Readonly<Record<string, Words>> = {
  EPERM: () => `no permission: ${permissionHint()}`,
  EEXIST: ({ operation }) => {
    if (operation === 'addDestination')
      return 'the service has that destination already: change it with setDestination';
    if (operation === 'startDaemon')
      return 'a sync daemon of that role runs already: stop it first';
    return 'the service exists already: change it with setService';
  },
  ESRCH: ({ operation }) => {
    if (operation === 'stopDaemon')
      return 'no sync daemon of that role runs: there is nothing to stop';
    return 'no such service: add it first with addService, or see services() for what there is';
  },
  ENOENT: ({ operation, names }) => {
    if (SERVICE_VERBS.includes(operation)) {
      return (
        `the kernel knows no ${names ?? 'such scheduler or persistence engine'}: use one of ${SCHEDULERS.join(', ')}, ` +
        'or install its module'
      );
    }
    if (DESTINATION_VERBS.includes(operation)) {
      return 'the service has no such destination: add it first with addDestination';
    }
    return 'the kernel has no IPVS any more: load it again with: modprobe ip_vs';
  },
  EINVAL: (request) => {
    const { operation } = request;
    if (operation === 'addDestination' || operation === 'setDestination') {
      return isMixed(request)
        ? "the kernel takes no destination of another family while a sync daemon runs: stop the daemon, or use an address of the service's family"
        : 'the kernel takes only addresses of one host here (no broadcast, multicast or link-local ones), and none in a namespace whose lo is down: use another address, or ip link set lo up';
    }
    if (operation === 'startDaemon') {
      return 'the kernel runs no sync daemon while some destination is of another family than its service: remove that destination, or check the settings';
    }
    if (operation === 'setTimeouts') {
      return 'this kernel takes no timeout that long: use at most 2147483 seconds';
    }
    return 'the kernel refuses these settings, or the scheduler cannot serve so many destinations: use another scheduler, or check them against ipvsadm(8)';
  },
  ERANGE: () => 'the kernel finds a number out of range: check weight and thresholds',
  ENODEV: ({ names }) => `there is no network interface ${names ?? 'of that name'}: see ip link`,
  ENETUNREACH: ({ names }) =>
    `${names ?? 'the interface'} has no route to the multicast group: bring it up with ip link set, or use another interface`,
  EADDRINUSE: () => 'another program has that port: use another one',
  EAFNOSUPPORT: () =>
    'the kernel has no IPv6 (or none in IPVS): use IPv4, or boot without ipv6.disable=1',
  ENOMEM: () => 'the kernel has no memory for it: free some and try again',
  ENOBUFS: () =>
    'the answer was lost, so it may or may not have been done: read the table to see, then try again',
  EMSGSIZE: () => 'the message is larger than the socket takes: raise net.core.wmem_max',
  ENOPROTOOPT: () => 'IPVS is being unloaded: try again once ip_vs is loaded',
  EPROTONOSUPPORT: () => 'IPVS is being unloaded: try again once ip_vs is loaded',
  EOPNOTSUPP: () => 'this kernel does not offer that: see ipvs doctor for its version',
  EBUSY: () => 'the kernel is busy with another read on this socket: try again',
  ETIMEDOUT: () => 'the kernel did not answer in time: try again, or open with a longer timeout',
  EINTR: () => 'interrupted before it was done: try again',
  EIO: ({ operation }) =>
    operation === 'connections'
      ? 'the kernel stopped in the middle, as it does when ip_vs is unloaded: load it again with: modprobe ip_vs'
      : 'input or output failed: see dmesg',
  EOVERFLOW: () =>
    'the table has more than this library can number: read a part of it, with a filter',
  EMFILE: () => 'too many open files in this process: close some, or raise the limit (ulimit -n)',
};

/** The error for a request that failed with a kernel error number. */
export function explain(errno: number, request: Request, cause?: unknown): IpvsError {
  const [code, system] = systemError(errno);
  const words = WORDS[code]?.(request) ?? `${system} (${code}): see ipvs doctor`;
  return ipvsError(code, words, request, errno, cause);
}

/** The error for what the addon threw; errors that are ours already get the request they belong to. */
export function explainFailure(error: unknown, request: Request): IpvsError {
  if (error instanceof InvalidInput) return ipvsError('ERR_IPVS_INVALID', error.problem, request);
  if (error instanceof IpvsError) return error;
  if (!isFailure(error)) {
    const text = error instanceof Error ? error.message : String(error);
    return ipvsError(
      'ERR_IPVS_REPLY',
      `unexpected failure: ${text}: report it with the output of ipvs doctor`,
      request,
      undefined,
      error,
    );
  }
  const [code] = systemError(error.errno);
  if (code === 'ECANCELED' || error.op === 'closed') return closed(request);
  if (code === 'EBADMSG') {
    return ipvsError(
      'ERR_IPVS_REPLY',
      `the kernel's answer makes no sense (${error.op}): try again, and report it if it stays`,
      request,
      error.errno,
      error,
    );
  }
  if (error.op === 'family') {
    return code === 'ENOENT'
      ? ipvsError(
          'ERR_IPVS_UNAVAILABLE',
          `this kernel has no IPVS: ${unavailableHint()}`,
          request,
          error.errno,
          error,
        )
      : explain(error.errno, request, error);
  }
  if (error.op === 'netns') return explainNamespace(code, request, error);
  if (error.op.startsWith('conntrack')) return explainConntrack(error.op, code, request, error);
  if (error.op === 'socket' && (code === 'EPROTONOSUPPORT' || code === 'EAFNOSUPPORT')) {
    return ipvsError(
      'ERR_IPVS_UNAVAILABLE',
      'this system has no generic netlink: it takes a Linux kernel with IPVS',
      request,
      error.errno,
      error,
    );
  }
  return explain(error.errno, request, error);
}

/** Using a client after close, or closing it in the middle. */
export function closed(request: Request): IpvsError {
  return ipvsError('ERR_IPVS_CLOSED', 'the client is closed: open another one', request);
}

/** An error whose message starts with what was asked. */
export function ipvsError(
  code: IpvsErrorCode,
  words: string,
  request: Request,
  errno?: number,
  cause?: unknown,
): IpvsError {
  const { operation, service, destination } = request;
  return new IpvsError(`${asked(request)}: ${words}`, {
    code,
    operation,
    errno,
    service,
    destination,
    cause,
  });
}

/** `addDestination tcp://10.0.0.1:80 192.0.2.10:8080`. */
export function asked({ operation, service, destination, detail }: Request): string {
  const words = [operation];
  if (service !== undefined) words.push(serviceId(service));
  if (destination !== undefined) words.push(destinationId(destination));
  return detail === undefined ? words.join(' ') : `${words.join(' ')}: ${detail}`;
}

function isMixed({ service, destination }: Request): boolean {
  if (service === undefined || destination === undefined) return false;
  return (familyOf(service) === 'ipv6') !== destination.address.includes(':');
}

function explainNamespace(code: string, request: Request, cause: NativeFailure): IpvsError {
  const name = request.names ?? 'the namespace';
  const words: Readonly<Record<string, string>> = {
    ENOENT: `${name} does not exist: see ip netns list`,
    ENOTDIR: `${name} does not exist: see ip netns list`,
    EINVAL: `${name} is not a network namespace: give a name under /run/netns, or a path such as /proc/1234/ns/net`,
    EACCES: `${name} cannot be opened: ${permissionHint()}`,
    EPERM: `${name} cannot be entered: ${permissionHint()}`,
  };
  const text = words[code];
  return text === undefined
    ? explain(cause.errno, request, cause)
    : ipvsError(code, text, request, cause.errno, cause);
}

function explainConntrack(
  op: string,
  code: string,
  request: Request,
  cause: NativeFailure,
): IpvsError {
  const other = "read from the source 'ip_vs'";
  const words: Readonly<Record<string, string>> = {
    'conntrack off EOPNOTSUPP': `net.ipv4.vs.conntrack is 0 here, so netfilter does not see the connections of IPVS: set it with sysctl -w net.ipv4.vs.conntrack=1, which counts for new ones, or ${other}`,
    'conntrack idle EOPNOTSUPP': `netfilter tracks nothing here, while IPVS has connections: it begins once a rule asks for the state of connections, such as iptables -A INPUT -m conntrack --ctstate NEW; or ${other}`,
    'conntrack switch ENOENT': `IPVS of this kernel was built without netfilter's connection tracking (CONFIG_IP_VS_NFCT): ${other}`,
    'conntrack EINVAL': `this kernel does not hand out netfilter's connections: load the module with modprobe nf_conntrack_netlink, or ${other}`,
    'conntrack EPROTONOSUPPORT': `this kernel has no netfilter netlink: load the module with modprobe nf_conntrack_netlink, or ${other}`,
  };
  const text = words[`${op} ${code}`];
  return text === undefined
    ? explain(cause.errno, request, cause)
    : ipvsError('EOPNOTSUPP', text, request, cause.errno, cause);
}

function systemError(errno: number): [string, string] {
  // libuv calls it ENOTSUP, which is the same number, but not the name that Linux's manuals have.
  if (errno === constants.errno.EOPNOTSUPP) return ['EOPNOTSUPP', 'operation not supported'];
  return getSystemErrorMap().get(-errno) ?? [LINUX_ONLY[errno] ?? `E${errno}`, `error ${errno}`];
}

// Numbers that libuv has no name for.
const LINUX_ONLY: Readonly<Record<number, string>> = {
  74: 'EBADMSG',
  92: 'ENOPROTOOPT',
  61: 'ENODATA',
};

// The addon's errors may come from another realm, as they do under jest: instanceof does not know them.
function isFailure(error: unknown): error is NativeFailure {
  return typeof (Object(error) as Partial<NativeFailure>).errno === 'number';
}

function unavailableHint(): string {
  const uid = process.getuid?.();
  const sudo = uid === 0 ? '' : 'sudo ';
  return `load its module with: ${sudo}modprobe ip_vs (or try it out in: ipvs lab)`;
}

/** Why this process may not, in words: who it is decides what helps. */
export function permissionHint(): string {
  if (inUserNamespace()) {
    return 'this process is root only of its own user namespace, and IPVS wants CAP_NET_ADMIN in the initial one: run it there (a rootless container cannot)';
  }
  return 'IPVS wants CAP_NET_ADMIN: run as root, with sudo, or give the container NET_ADMIN';
}

/** Whether user ids are mapped, which is so in every user namespace but the initial one (user_namespaces(7)). */
export function inUserNamespace(): boolean {
  try {
    return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'));
  } catch {
    return false;
  }
}
