// The kernel, its modules, the addon and our rights: whether IPVS can be used at all.
import { SCHEDULERS } from '../settings';
import { before, type Check, type Facts, type Version } from './check';
import type { System } from './system';

const CAP_NET_ADMIN = 12n;

export function checkKernel({ system, kernel }: Facts): Check {
  const what = `Linux ${system.release}`;
  if (before(kernel, 5, 9)) {
    return {
      id: 'kernel',
      status: 'warn',
      what,
      why: `before 5.9 IPVS mishandles client ports that are used again: new connections wait a second, or go to deleted destinations; ${lacks(kernel)}`,
      fix: 'use a kernel of 5.9 or later',
    };
  }
  const missing = lacks(kernel);
  return { id: 'kernel', status: 'ok', what, ...(missing === '' ? {} : { why: missing }) };
}

// Features and the kernels that brought them.
const SINCE: readonly (readonly [number, number, string])[] = [
  [4, 18, 'the mh scheduler'],
  [5, 2, 'gue tunnels'],
  [5, 3, 'gre tunnels and tunnel checksums'],
  [5, 12, 'the twos scheduler'],
  [6, 14, 'quick listing of many connections'],
];

function lacks(kernel: Version | undefined): string {
  const missing = SINCE.filter(([major, minor]) => before(kernel, major, minor)).map(
    ([major, minor, feature]) => `${feature} (${major}.${minor})`,
  );
  return missing.length === 0 ? '' : `not in this kernel: ${missing.join(', ')}`;
}

export function checkAddon({ error }: Facts): Check {
  // Without an error number the failure is none of the kernel's.
  if (error?.code !== 'ERR_IPVS_UNAVAILABLE' || error.errno !== undefined) {
    return { id: 'addon', status: 'ok', what: 'the addon and libnl load' };
  }
  const [problem = '', ...fix] = error.message.replace(/^open: /, '').split(': ');
  return {
    id: 'addon',
    status: 'fail',
    what: problem,
    why: 'without its native part this library cannot speak to the kernel',
    fix: fix.join(': '),
  };
}

export function checkIpvs(facts: Facts): Check {
  const { system, table } = facts;
  const id = 'ipvs';
  const modules = readModules(system);
  if (modules.builtIn.has('ip_vs')) return { id, status: 'ok', what: 'built into the kernel' };
  if (modules.loaded.has('ip_vs') || system.readFile('/proc/net/ip_vs') !== undefined) {
    return { id, status: 'ok', what: 'the module ip_vs is loaded' };
  }
  if (table !== undefined) return { id, status: 'ok', what: 'the kernel answers' };
  if (modules.loadable.has('ip_vs')) {
    return {
      id,
      status: 'fail',
      what: 'the module ip_vs is there but not loaded',
      why: 'the kernel has no IPVS until it is',
      fix: 'modprobe ip_vs, and for every boot: echo ip_vs > /etc/modules-load.d/ipvs.conf',
    };
  }
  return {
    id,
    status: 'fail',
    why: 'there is nothing to be programmed',
    ...absence(system, modules),
  };
}

function absence({ release }: System, modules: Modules): Pick<Check, 'what' | 'fix'> {
  const lab = 'to try things out: ipvs lab';
  if (!modules.supported) {
    return {
      what: 'the kernel has no IPVS built in, and takes no modules',
      fix: `use a kernel with CONFIG_IP_VS; ${lab}`,
    };
  }
  if (!modules.known) {
    return {
      what: `no sign of IPVS; /lib/modules/${release} is not visible here`,
      fix: `run modprobe ip_vs on the host; ${lab}`,
    };
  }
  return {
    what: `the kernel has no IPVS: no module ip_vs under /lib/modules/${release}`,
    fix: `${MORE_MODULES}, or use a kernel with CONFIG_IP_VS; ${lab}`,
  };
}

const MORE_MODULES =
  'install the rest of the kernel modules (linux-modules-extra on Ubuntu, kernel-modules on Fedora and RHEL)';

export function checkSchedulers({ system, table }: Facts): Check | undefined {
  const id = 'schedulers';
  const { loaded, builtIn, loadable, known } = readModules(system);
  // Without IPVS they are not the trouble.
  if (table === undefined && ![loaded, builtIn, loadable].some((set) => set.has('ip_vs'))) {
    return undefined;
  }
  const used = new Set(table?.servers.map(({ scheduler }) => scheduler));
  const has = (set: ReadonlySet<string>): string[] =>
    SCHEDULERS.filter((name) => set.has(`ip_vs_${name}`));
  const ready = SCHEDULERS.filter(
    (name) => loaded.has(`ip_vs_${name}`) || builtIn.has(`ip_vs_${name}`) || used.has(name),
  );
  const onDemand = has(loadable).filter((name) => !(ready as readonly string[]).includes(name));
  if (!known) {
    return {
      id,
      status: 'ok',
      what: `ready: ${ready.join(', ') || 'none yet'}; which others would load cannot be seen here`,
      why: 'the kernel loads the module of a scheduler when a service names it',
    };
  }
  const all = [...ready, ...onDemand];
  const missing = SCHEDULERS.filter((name) => !all.includes(name));
  const what = `ready: ${ready.join(', ') || 'none yet'}; loaded when named: ${onDemand.join(', ') || 'none'}`;
  if (all.length === 0) {
    return {
      id,
      status: 'fail',
      what: 'the kernel has no scheduler',
      why: 'every service needs one',
      fix: MORE_MODULES,
    };
  }
  return {
    id,
    status: 'ok',
    what: missing.length === 0 ? what : `${what}; not here: ${missing.join(', ')}`,
  };
}

export function checkPrivilege({ system }: Facts): Check {
  const id = 'privilege';
  const why = 'reading and changing IPVS takes CAP_NET_ADMIN in the initial user namespace';
  const map = system.readFile('/proc/self/uid_map');
  if (map !== undefined && !/^\s*0\s+0\s+4294967295\s*$/.test(map)) {
    return {
      id,
      status: 'fail',
      what: 'this process is in a user namespace of its own, and root only there',
      why,
      fix: 'run it in the initial user namespace: a rootless container cannot program IPVS',
    };
  }
  const effective = /^CapEff:\s*([0-9a-f]+)/im.exec(system.readFile('/proc/self/status') ?? '');
  if (effective === null) {
    return { id, status: 'warn', what: '/proc/self/status does not tell', why, fix: 'mount /proc' };
  }
  if ((BigInt(`0x${effective[1] ?? '0'}`) >> CAP_NET_ADMIN) & 1n) {
    return { id, status: 'ok', what: 'this process has CAP_NET_ADMIN' };
  }
  return {
    id,
    status: 'fail',
    what: 'this process lacks CAP_NET_ADMIN',
    why,
    fix: 'run it as root, with sudo, or give the container NET_ADMIN',
  };
}

/** Reading failed though no other check says why. */
export function checkAnswer(facts: Facts): Check | undefined {
  const { error } = facts;
  if (error === undefined || error.code === 'ERR_IPVS_UNAVAILABLE') return undefined;
  if (error.code === 'EPERM' && checkPrivilege(facts).status === 'fail') return undefined;
  const [, problem = '', ...fix] = error.message.split(': ');
  return {
    id: 'answer',
    status: 'fail',
    what: `the kernel does not answer: ${problem}`,
    why: 'nothing can be read or changed',
    fix: fix.join(': ') || 'try again, and report it if it stays',
  };
}

export interface Modules {
  readonly loaded: ReadonlySet<string>;
  readonly builtIn: ReadonlySet<string>;
  readonly loadable: ReadonlySet<string>;
  /** Whether the directory of modules could be seen. */
  readonly known: boolean;
  /** Whether the kernel takes modules at all. */
  readonly supported: boolean;
}

/** Modules of the kernel by name, with `_` for `-`. */
export function readModules(system: System): Modules {
  const directory = `/lib/modules/${system.release}`;
  const proc = system.readFile('/proc/modules');
  const loaded = (proc ?? '').matchAll(/^(\S+)/gm);
  const builtIn = system.readFile(`${directory}/modules.builtin`);
  const loadable = system.readFile(`${directory}/modules.dep`);
  return {
    loaded: new Set([...loaded].map(([name]) => name)),
    builtIn: names(builtIn, /([^/\s]+)\.ko\s*$/gm),
    loadable: names(loadable, /([^/\s]+)\.ko(?:\.\w+)?:/gm),
    known: loadable !== undefined,
    supported: proc !== undefined,
  };
}

// Paths of modules; in their names - and _ are the same.
function names(text: string | undefined, pattern: RegExp): Set<string> {
  return new Set(
    [...(text ?? '').matchAll(pattern)].map((match) => (match[1] ?? '').replaceAll('-', '_')),
  );
}
