// Kernel settings under net.ipv4.vs whose value decides what becomes of connections. They govern IPv6 as well.
import { before, type Check, type Facts } from './check';

export function checkSysctls(facts: Facts): Check[] {
  return [
    conntrack(facts),
    connReuseMode(facts),
    expireNodestConn(facts),
    expireQuiescentTemplate(facts),
    runEstimation(facts),
    ...defences(facts),
  ].filter((check) => check !== undefined);
}

function read({ system }: Facts, name: string): string | undefined {
  return system.readFile(`/proc/sys/net/ipv4/vs/${name}`)?.trim();
}

function ok(name: string, value: string, why: string): Check {
  return { id: `sysctl.${name}`, status: 'ok', what: `net.ipv4.vs.${name} = ${value}`, why };
}

function warn(name: string, value: string, why: string, fix: string): Check {
  return {
    id: `sysctl.${name}`,
    status: 'warn',
    what: `net.ipv4.vs.${name} = ${value}`,
    why,
    fix,
  };
}

function conntrack(facts: Facts): Check | undefined {
  const name = 'conntrack';
  const value = read(facts, name);
  if (value === undefined) return undefined;
  if (value !== '0') return ok(name, value, 'netfilter sees the connections of IPVS');
  if (facts.system.readDirectory('/sys/class/net').includes('kube-ipvs0')) {
    return warn(
      name,
      value,
      'the rules of kube-proxy masquerade the connections of IPVS, which takes conntrack entries',
      'sysctl -w net.ipv4.vs.conntrack=1',
    );
  }
  return ok(
    name,
    value,
    'netfilter does not see the connections of IPVS; set 1 where iptables or nftables is to masquerade or match them by state',
  );
}

// kubernetes issue 70747, and the kernel's fix of 2020.
function connReuseMode(facts: Facts): Check | undefined {
  const name = 'conn_reuse_mode';
  const value = read(facts, name);
  if (value === undefined) return undefined;
  const old = before(facts.kernel, 5, 9);
  if (value === '0') {
    return warn(
      name,
      value,
      'a client that uses a port again is sent to the destination it had, even one of weight 0 or deleted',
      old
        ? 'use a kernel of 5.9 or later, and there: sysctl -w net.ipv4.vs.conn_reuse_mode=1'
        : 'sysctl -w net.ipv4.vs.conn_reuse_mode=1 (0 was for kernels before 5.9)',
    );
  }
  if (old && read(facts, 'conntrack') === '1') {
    return warn(
      name,
      value,
      'before kernel 5.9, together with conntrack = 1, a client that uses a port again waits a second for its connection',
      'use a kernel of 5.9 or later; until then: sysctl -w net.ipv4.vs.conn_reuse_mode=0, which sends such clients to the destination they had',
    );
  }
  return ok(name, value, 'a client that uses a port again is scheduled anew');
}

function expireNodestConn(facts: Facts): Check | undefined {
  const name = 'expire_nodest_conn';
  const value = read(facts, name);
  if (value === undefined) return undefined;
  if (value !== '0')
    return ok(name, value, 'connections to a deleted destination end with their next packet');
  const why =
    'packets of connections to a deleted destination are dropped without a word until the connection times out; UDP clients such as resolvers may stay there for minutes';
  return (facts.table?.servers.length ?? 0) > 0
    ? warn(name, value, why, 'sysctl -w net.ipv4.vs.expire_nodest_conn=1')
    : ok(name, value, `${why}; 1 ends them`);
}

function expireQuiescentTemplate(facts: Facts): Check | undefined {
  const name = 'expire_quiescent_template';
  const value = read(facts, name);
  if (value === undefined) return undefined;
  if (value !== '0') return ok(name, value, 'persistence does not hold on to weight 0');
  const why = 'persistence keeps sending its clients to a destination of weight 0';
  return facts.table?.servers.some(({ persistence }) => persistence !== undefined) === true
    ? warn(name, value, why, 'sysctl -w net.ipv4.vs.expire_quiescent_template=1')
    : ok(name, value, `${why}; 1 sends them elsewhere`);
}

function runEstimation(facts: Facts): Check | undefined {
  const name = 'run_estimation';
  const value = read(facts, name);
  if (value === undefined) return undefined;
  if (value === '0') {
    return warn(
      name,
      value,
      'rates and counters stand still',
      'sysctl -w net.ipv4.vs.run_estimation=1',
    );
  }
  if (read(facts, 'est_cpulist') === '') {
    return warn(
      'est_cpulist',
      '(empty)',
      'rates and counters stand still',
      'sysctl -w net.ipv4.vs.est_cpulist=0',
    );
  }
  return ok(name, value, 'rates and counters are kept');
}

// 1 and 2 act when memory runs short (the kernel flips between them), 3 always.
function defences(facts: Facts): (Check | undefined)[] {
  const what = {
    drop_entry: 'half-open connections are dropped at random',
    drop_packet: 'packets are dropped at a fixed rate',
    secure_tcp: 'TCP states time out sooner',
  } as const;
  return (['drop_entry', 'drop_packet', 'secure_tcp'] as const).map((name) => {
    const value = read(facts, name);
    if (value === undefined || value === '0' || value === '1') return undefined;
    const why =
      value === '3'
        ? `${what[name]}, always`
        : `${what[name]}: the kernel is short of memory and defends itself`;
    return warn(
      name,
      value,
      why,
      value === '3'
        ? `sysctl -w net.ipv4.vs.${name}=1 to do so only when memory runs short, or 0`
        : 'give the machine memory, or see net.ipv4.vs.amemthresh',
    );
  });
}
