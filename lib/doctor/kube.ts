// Whether a Kubernetes node is ready to be served by IPVS instead of kube-proxy: what `ipvs kube apply` needs beside IPVS
// itself, what kube-proxy has there, and how to try it before anything goes.
import { before, type Check, type Facts, type KubeConfig, type Version } from './check';
import { readModules } from './machine';
import type { System } from './system';

export function checkKube(facts: Facts, config: KubeConfig | undefined): Check[] {
  if (facts.netns !== undefined) return [elsewhere(facts.netns)];
  const rules = rulesOf(facts.system);
  return [
    checkReuse(facts),
    checkModules(facts),
    checkScheduler(facts, config),
    checkIptables(facts),
    checkVariants(rules),
    checkIpset(facts),
    checkProxy(facts, rules),
    checkConntrack(facts),
    checkSettings(facts),
    checkConfig(config),
    steps(config),
  ].filter((check) => check !== undefined);
}

function elsewhere(netns: string): Check {
  return {
    id: 'kube',
    status: 'warn',
    what: `rules, sets and devices of ${netns} were not looked at`,
    why: 'programs and files show those of the namespace one is in',
    fix: `ip netns exec ${netns} ipvs doctor --kube`,
  };
}

function checkReuse({ kernel, system }: Facts): Check {
  const id = 'kube.kernel';
  const what = `Linux ${system.release}`;
  if (!before(kernel, 5, 9)) {
    return {
      id,
      status: 'ok',
      what,
      why: 'client ports that are used again are handled well since 5.9',
    };
  }
  return {
    id,
    status: 'warn',
    what,
    why: 'before 5.9 there is no good conn_reuse_mode: with 0, as ipvs kube apply sets it there, clients that use a port again go on to pods that are gone; with 1 they wait a second',
    fix: 'use a kernel of 5.9 or later before the node is moved',
  };
}

/** Modules that a node's rules and sets ask for, beside those of iptables itself. */
const MODULES: readonly (readonly [string, string])[] = [
  ['dummy', 'the device that has the service addresses'],
  ['nf_conntrack', 'masquerading'],
  ['nf_nat', 'masquerading'],
  ['xt_set', 'rules that ask sets'],
  ['xt_addrtype', 'node ports'],
  ['xt_comment', 'every rule'],
  ['ip_set_hash_ip', 'sets'],
  ['ip_set_hash_ipport', 'sets'],
  ['ip_set_hash_ipportip', 'sets'],
  ['ip_set_hash_ipportnet', 'sets'],
  ['ip_set_bitmap_port', 'sets'],
];

function checkModules({ system }: Facts): Check {
  const id = 'kube.modules';
  const { loaded, builtIn, loadable, known } = readModules(system);
  if (!known) {
    return {
      id,
      status: 'ok',
      what: `which modules the kernel has cannot be seen here (/lib/modules/${system.release})`,
      why: 'those that rules and sets ask for are loaded when they are asked for',
    };
  }
  const missing = MODULES.filter(
    ([name]) => ![loaded, builtIn, loadable].some((set) => set.has(name)),
  );
  if (missing.length === 0) {
    return { id, status: 'ok', what: 'the modules of sets, rules and the dummy device are there' };
  }
  return {
    id,
    status: 'fail',
    what: `not in this kernel: ${missing.map(([name]) => name).join(', ')}`,
    why: `they are for ${[...new Set(missing.map(([, use]) => use))].join(', ')}`,
    fix: 'install the rest of the kernel modules (linux-modules-extra on Ubuntu, kernel-modules on Fedora and RHEL)',
  };
}

/** Of the configuration, or the one that goes without saying. */
function checkScheduler(
  { system, table }: Facts,
  config: KubeConfig | undefined,
): Check | undefined {
  const scheduler = config?.scheduler ?? 'rr';
  const { loaded, builtIn, loadable, known } = readModules(system);
  const there =
    [loaded, builtIn, loadable].some((set) => set.has(`ip_vs_${scheduler}`)) ||
    table?.servers.some((server) => server.scheduler === scheduler) === true;
  if (!known && !there) return undefined;
  const id = 'kube.scheduler';
  if (there) return { id, status: 'ok', what: `the scheduler ${scheduler} is there` };
  return {
    id,
    status: 'fail',
    what: `the kernel has no scheduler ${scheduler}`,
    why: `${config?.scheduler === undefined ? 'it is the default' : `${config.file} asks for it`}, and every service needs one`,
    fix: 'install the rest of the kernel modules, or name another with --scheduler',
  };
}

function versionIn(text: string | undefined): (Version & { readonly text: string }) | undefined {
  const [all, major, minor] = /\bv?(\d+)\.(\d+)(?:\.\d+)*/.exec(text ?? '') ?? [];
  return all === undefined
    ? undefined
    : { major: Number(major), minor: Number(minor), text: all.replace('v', '') };
}

function checkIptables({ system }: Facts): Check {
  const id = 'kube.iptables';
  const why = 'what masquerades and refuses stands beside IPVS in its rules';
  const printed = system.run('iptables', ['--version']);
  const version = versionIn(printed);
  if (version === undefined) {
    return {
      id,
      status: 'fail',
      what: 'iptables is not here',
      why,
      fix: 'apt-get install iptables',
    };
  }
  const variant = printed?.includes('nf_tables') === true ? 'nf_tables' : 'legacy';
  const what = `iptables ${version.text}, which stands for ${variant}`;
  if (before(version, 1, 8)) {
    return {
      id,
      status: 'fail',
      what,
      why: 'before 1.8 there are no programs for each of its two makes (iptables-nft, iptables-legacy)',
      fix: 'install iptables 1.8 or later',
    };
  }
  if (system.run('ip6tables', ['--version']) === undefined) {
    return {
      id,
      status: 'warn',
      what: `${what}, and no ip6tables`,
      why: 'IPv6 services need it',
      fix: 'install it, or use --family ipv4',
    };
  }
  return { id, status: 'ok', what, why };
}

/** Rules that make a difference to who serves this node. */
interface Rules {
  readonly nft: number;
  readonly legacy: number;
  /** Of kube-proxy's iptables mode: chains of services. */
  readonly services: number;
  /** Rules beside IPVS ask sets of these names. */
  readonly sets: boolean;
}

const SAVES = { nft: 'iptables-nft-save', legacy: 'iptables-legacy-save' } as const;

function rulesOf(system: System): Rules {
  const texts = [system.run(SAVES.nft, []) ?? '', system.run(SAVES.legacy, []) ?? ''];
  const [nft = 0, legacy = 0] = texts.map((text) => count(text, /^-A /gm));
  return {
    nft,
    legacy,
    services: texts.reduce((sum, text) => sum + count(text, /^:KUBE-SVC-/gm), 0),
    sets: texts.some((text) => /^-A KUBE-.* --match-set KUBE-/m.test(text)),
  };
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

function checkVariants({ nft, legacy }: Rules): Check {
  const id = 'kube.rules';
  if (nft > 0 && legacy > 0) {
    const more = legacy > nft ? 'legacy' : 'nft';
    return {
      id,
      status: 'warn',
      what: `both makes of iptables have rules: ${nft} nft, ${legacy} legacy`,
      why: `packets go through both; ipvs kube apply writes to that with more of them, ${more}`,
      fix: `see ${SAVES[more === 'nft' ? 'legacy' : 'nft']}, and take away what is left over there`,
    };
  }
  if (nft + legacy === 0) {
    return { id, status: 'ok', what: 'no rules, or no right to read them' };
  }
  return {
    id,
    status: 'ok',
    what: `rules are ${nft > 0 ? 'nft' : 'legacy'} alone (${nft + legacy})`,
  };
}

function checkIpset({ system }: Facts): Check {
  const id = 'kube.ipset';
  const why = 'the rules beside IPVS ask sets of addresses and ports';
  const version = versionIn(system.run('ipset', ['version']));
  const answers = system.run('ipset', ['list', '-name']) !== undefined;
  if (version === undefined) {
    const fix = 'apt-get install ipset';
    return { id, status: 'fail', what: 'ipset is not here', why, fix };
  }
  const what = `ipset ${version.text}`;
  if (version.major < 6) {
    return {
      id,
      status: 'fail',
      what,
      why: 'sets of addresses and ports with protocols came with 6.0',
      fix: 'install ipset 6 or later',
    };
  }
  if (!answers) {
    return {
      id,
      status: 'fail',
      what: `${what}, but the kernel does not answer it`,
      why,
      fix: 'run it as root, in a kernel with ip sets: modprobe ip_set',
    };
  }
  return { id, status: 'ok', what, why };
}

function checkProxy({ system }: Facts, { services, sets }: Rules): Check {
  const id = 'kube.kube-proxy';
  const running = system
    .readDirectory('/proc')
    .some(
      (pid) => /^\d+$/.test(pid) && system.readFile(`/proc/${pid}/comm`)?.trim() === 'kube-proxy',
    );
  const device = system.readDirectory('/sys/class/net').includes('kube-ipvs0');
  const modes = [
    ...(services > 0 ? [`its iptables mode (${services} chains of services)`] : []),
    ...(device || sets
      ? [`IPVS (${device ? 'the device kube-ipvs0' : 'rules that ask sets KUBE-*'})`]
      : []),
  ];
  const left = modes.join(' and ');
  if (running) {
    return {
      id,
      status: 'warn',
      what: `kube-proxy runs here${left === '' ? '' : `, and there is ${left}`}`,
      why: 'it and ipvs kube apply write the same chains, and it deletes virtual services that it did not make',
      fix: 'compare first (ipvs kube diff); then take it off this node (a label and its DaemonSet), and run ipvs kube apply',
    };
  }
  if (modes.length === 0)
    return { id, status: 'ok', what: 'kube-proxy does not run here and has left nothing' };
  return {
    id,
    status: 'warn',
    what: `kube-proxy does not run here, but there is ${left}`,
    why: 'what it left goes on serving, and stands in the way; of IPVS it may be what ipvs kube apply made',
    fix: 'kube-proxy --cleanup, or ipvs kube cleanup where that made it',
  };
}

const FULL = 0.8;

function checkConntrack({ system }: Facts): Check | undefined {
  const read = (name: string): number =>
    Number(system.readFile(`/proc/sys/net/netfilter/nf_conntrack_${name}`)?.trim() ?? NaN);
  const most = read('max');
  const now = read('count');
  if (Number.isNaN(most) || Number.isNaN(now)) return undefined;
  const id = 'kube.conntrack';
  const what = `${now} of ${most} connections that netfilter can follow`;
  if (now < FULL * most) return { id, status: 'ok', what };
  return {
    id,
    status: 'warn',
    what,
    why: 'each connection to a service takes an entry, and when there is none left new ones are dropped',
    fix: `sysctl -w net.netfilter.nf_conntrack_max=${2 * most}`,
  };
}

/** What ipvs kube apply sets, and puts back when it is taken away. */
const SETTINGS: readonly (readonly [string, string])[] = [
  ['net.ipv4.ip_forward', '1'],
  ['net.ipv4.vs.conntrack', '1'],
  ['net.ipv4.vs.expire_nodest_conn', '1'],
  ['net.ipv4.vs.expire_quiescent_template', '1'],
];

function checkSettings({ system }: Facts): Check {
  const differing = SETTINGS.filter(([name, value]) => {
    const now = system.readFile(`/proc/sys/${name.replaceAll('.', '/')}`)?.trim();
    return now !== undefined && now !== value;
  });
  const list = differing.map(([name, value]) => `${name} = ${value}`).join(', ');
  return {
    id: 'kube.sysctls',
    status: 'ok',
    what:
      list === ''
        ? 'the settings are as ipvs kube apply wants them'
        : `ipvs kube apply will set ${list}`,
    ...(list !== '' && { why: 'ipvs kube cleanup puts them back' }),
  };
}

function checkConfig(config: KubeConfig | undefined): Check | undefined {
  if (config === undefined) return undefined;
  const { file, unused } = config;
  const id = 'kube.config';
  if (unused.length === 0) return { id, status: 'ok', what: `${file}: all of it applies` };
  return {
    id,
    status: 'warn',
    what: `${file}: ${unused.length} of its fields make no difference here: ${unused.join('; ')}`,
    why: 'a node that relied on one of them will be served otherwise',
    fix: 'look at each, and set what is needed by the options of ipvs kube apply',
  };
}

function steps(config: KubeConfig | undefined): Check {
  const same = `-f cluster.json --node NAME --node-address A${config === undefined ? '' : ` --config ${config.file}`}`;
  return {
    id: 'kube.next',
    status: 'ok',
    what: 'none of these changes anything',
    fix: [
      'kubectl get services,endpointslices -A -o json > cluster.json',
      `ipvs kube map ${same}`,
      `ipvs kube diff ${same}`,
      `ipvs kube apply ${same} --dry-run`,
    ].join(' && '),
  };
}
