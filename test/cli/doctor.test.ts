import type { Ipvs } from '../../lib/client';
import { diagnose, thisSystem, type Check } from '../../lib/doctor';
import { memoryIpvs, MemoryKernel } from '../../lib/memory';
import { empty, failing, holding, machine } from './machine';
import { Shell } from './shell';

/** What was found that is not as it should be, as `status id`. */
function trouble(checks: readonly Check[]): string[] {
  return checks.filter(({ status }) => status !== 'ok').map(({ id, status }) => `${status} ${id}`);
}

function find(checks: readonly Check[], id: string): Check | undefined {
  return checks.find((check) => check.id === id);
}

describe('on a machine where all is well', () => {
  it('every check is ok', async () => {
    const checks = await diagnose(machine(), holding({ 'tcp://10.0.0.1:80': ['192.0.2.1 masq'] }));
    expect(trouble(checks)).toEqual([]);
    expect(checks.map(({ id }) => id)).toEqual([
      'kernel',
      'addon',
      'privilege',
      'ipvs',
      'schedulers',
      'sysctl.conntrack',
      'sysctl.conn_reuse_mode',
      'sysctl.expire_nodest_conn',
      'sysctl.expire_quiescent_template',
      'sysctl.run_estimation',
      'forwarding',
      'connection-table',
      'managers',
    ]);
  });

  it('every trouble has a why and a fix, everywhere', async () => {
    const systems = [
      machine({}, { release: '4.15.0' }),
      machine({ '/proc/self/status': undefined, '/proc/self/uid_map': undefined }),
      machine({ '/proc/modules': undefined }),
    ];
    for (const system of systems) {
      for (const open of [empty, failing('EPERM', 'open: no permission: be root', 1)]) {
        for (const check of await diagnose(system, open)) {
          if (check.status === 'ok') continue;
          expect(check).toEqual({
            id: check.id,
            status: check.status,
            what: expect.stringMatching(/./) as string,
            why: expect.stringMatching(/./) as string,
            fix: expect.stringMatching(/./) as string,
          });
        }
      }
    }
  });
});

describe('the kernel', () => {
  it.each([
    ['4.15.0-20-generic', 'warn', /the mh scheduler \(4\.18\), gue tunnels \(5\.2\)/],
    ['5.4.0', 'warn', /twos scheduler \(5\.12\)/],
    ['5.10.0', 'ok', /^not in this kernel: the twos scheduler \(5\.12\), quick listing/],
    ['6.1.176', 'ok', /^not in this kernel: quick listing of many connections \(6\.14\)$/],
  ])('%s is %s, and what it lacks is named', async (release, status, why) => {
    const kernel = find(await diagnose(machine({}, { release }), empty), 'kernel');
    expect(kernel).toMatchObject({ status, what: `Linux ${release}` });
    expect(kernel?.why).toMatch(why);
  });

  it.each(['6.14.0', '7.1.3-cloud', 'odd'])('%s lacks nothing', async (release) => {
    expect(find(await diagnose(machine({}, { release }), empty), 'kernel')).toEqual({
      id: 'kernel',
      status: 'ok',
      what: `Linux ${release}`,
    });
  });

  it('is Linux, or nothing else is looked at', async () => {
    const checks = await diagnose(machine({}, { platform: 'darwin' }), empty);
    expect(checks.map(({ id, status }) => [id, status])).toEqual([['platform', 'fail']]);
  });
});

describe('IPVS itself', () => {
  const none = failing('ERR_IPVS_UNAVAILABLE', 'open: this kernel has no IPVS: modprobe ip_vs', 2);
  const modules = '/lib/modules/6.1.0';

  it.each([
    ['loaded', {}, empty, 'the module ip_vs is loaded'],
    [
      'built in',
      { '/proc/modules': '', [`${modules}/modules.builtin`]: 'kernel/net/ipvs/ip_vs.ko\n' },
      empty,
      'built into the kernel',
    ],
    ['there, who knows how', { '/proc/modules': '' }, empty, 'the kernel answers'],
  ])('is ok when %s', async (_name, files, open, what) => {
    expect(find(await diagnose(machine(files), open), 'ipvs')).toEqual({
      id: 'ipvs',
      status: 'ok',
      what,
    });
  });

  it('fails when it could be loaded, and says how', async () => {
    const checks = await diagnose(
      machine({
        '/proc/modules': '',
        [`${modules}/modules.dep`]:
          'kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/net/a.ko\nkernel/net/netfilter/ipvs/ip_vs_rr.ko.xz:\n',
      }),
      none,
    );
    expect(find(checks, 'ipvs')).toMatchObject({
      status: 'fail',
      what: 'the module ip_vs is there but not loaded',
      fix: expect.stringMatching(/^modprobe ip_vs/) as string,
    });
    expect(find(checks, 'schedulers')).toMatchObject({
      what: 'ready: none yet; loaded when named: rr; not here: wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh, twos',
    });
  });

  it.each([
    [{ '/proc/modules': undefined }, 'the kernel has no IPVS built in, and takes no modules'],
    [{ '/proc/modules': '' }, 'no sign of IPVS; /lib/modules/6.1.0 is not visible here'],
    [
      { '/proc/modules': '', [`${modules}/modules.dep`]: 'kernel/net/a.ko:\n' },
      'the kernel has no IPVS: no module ip_vs under /lib/modules/6.1.0',
    ],
  ])('fails when there is none: %j', async (files, what) => {
    const checks = await diagnose(machine(files), none);
    expect(trouble(checks)).toEqual(['fail ipvs']);
    expect(find(checks, 'ipvs')?.what).toBe(what);
    expect(find(checks, 'schedulers')).toBeUndefined();
  });

  it('a kernel with IPVS and no scheduler fails', async () => {
    const checks = await diagnose(
      machine({ '/proc/modules': 'ip_vs 1 0\n', [`${modules}/modules.dep`]: 'ip_vs.ko:\n' }),
      empty,
    );
    expect(trouble(checks)).toEqual(['fail schedulers']);
  });
});

describe('the addon', () => {
  it('fails with what the loader says', async () => {
    const open = failing(
      'ERR_IPVS_UNAVAILABLE',
      'open: libnl-3.so.200 is not installed: on Debian and Ubuntu: apt-get install libnl-3-200',
    );
    expect(find(await diagnose(machine(), open), 'addon')).toEqual({
      id: 'addon',
      status: 'fail',
      what: 'libnl-3.so.200 is not installed',
      why: 'without its native part this library cannot speak to the kernel',
      fix: 'on Debian and Ubuntu: apt-get install libnl-3-200',
    });
  });
});

describe('rights', () => {
  const denied = failing('EPERM', 'info: no permission: run as root', 1);

  it('fail without CAP_NET_ADMIN', async () => {
    const files = { '/proc/self/status': 'CapEff:\t000001ffffffefff\n' };
    const checks = await diagnose(machine(files), denied);
    expect(trouble(checks)).toEqual(['fail privilege']);
    expect(find(checks, 'privilege')?.what).toBe('this process lacks CAP_NET_ADMIN');
  });

  it('fail in a user namespace, whatever the capabilities there', async () => {
    const files = { '/proc/self/uid_map': '         0       1000          1\n' };
    const checks = await diagnose(machine(files), denied);
    expect(trouble(checks)).toEqual(['fail privilege']);
    expect(find(checks, 'privilege')?.what).toMatch(/user namespace/);
  });

  it('that should do but do not are told', async () => {
    const checks = await diagnose(machine(), denied);
    expect(trouble(checks)).toEqual(['fail answer']);
    expect(find(checks, 'answer')).toMatchObject({
      what: 'the kernel does not answer: no permission',
      fix: 'run as root',
    });
  });
});

describe('kernel settings', () => {
  const vs = '/proc/sys/net/ipv4/vs';
  const web = holding({ 'tcp://10.0.0.1:80': [] });
  const sticky = holding({ 'tcp://10.0.0.1:80': [] }, { timeout: 60 });

  it.each([
    ['conn_reuse_mode 1 with conntrack', '5.4.0', { conn_reuse_mode: '1', conntrack: '1' }, true],
    ['conn_reuse_mode 1 without conntrack', '5.4.0', { conn_reuse_mode: '1' }, false],
    ['conn_reuse_mode 0', '5.4.0', { conn_reuse_mode: '0', conntrack: '1' }, true],
    ['conn_reuse_mode 1 with conntrack', '5.8.9', { conn_reuse_mode: '1', conntrack: '1' }, true],
    ['conn_reuse_mode 1 with conntrack', '5.9.0', { conn_reuse_mode: '1', conntrack: '1' }, false],
    ['conn_reuse_mode 0', '5.9.0', { conn_reuse_mode: '0' }, true],
  ])('%s on %s: %j', async (_name, release, values, warns) => {
    const files = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`${vs}/${name}`, `${value}\n`]),
    );
    const checks = await diagnose(machine(files, { release }), empty);
    expect(trouble(checks).includes('warn sysctl.conn_reuse_mode')).toBe(warns);
  });

  it.each([
    ['expire_nodest_conn', '0', web, true],
    ['expire_nodest_conn', '0', empty, false],
    ['expire_quiescent_template', '0', sticky, true],
    ['expire_quiescent_template', '0', web, false],
    ['run_estimation', '0', empty, true],
    ['drop_entry', '1', empty, false],
    ['drop_entry', '3', empty, true],
    ['drop_packet', '2', empty, true],
    ['secure_tcp', '3', empty, true],
  ])('%s = %s', async (name, value, open, warns) => {
    const checks = await diagnose(machine({ [`${vs}/${name}`]: `${value}\n` }), open);
    expect(trouble(checks)).toEqual(warns ? [`warn sysctl.${name}`] : []);
    if (warns) expect(find(checks, `sysctl.${name}`)?.fix).toBeDefined();
  });

  it('an empty est_cpulist stops the counters', async () => {
    const checks = await diagnose(machine({ [`${vs}/est_cpulist`]: '\n' }), empty);
    expect(trouble(checks)).toEqual(['warn sysctl.est_cpulist']);
  });

  it('conntrack = 0 is wrong beside kube-proxy', async () => {
    const files = { '/sys/class/net/kube-ipvs0/mtu': '1500' };
    expect(trouble(await diagnose(machine(files), empty))).toEqual([
      'warn sysctl.conntrack',
      'warn managers.kube-proxy',
    ]);
  });

  it('of another namespace are not taken from this one', async () => {
    const files = { [`${vs}/run_estimation`]: '0', '/proc/sys/net/ipv4/ip_forward': '0' };
    const open = holding({ 'tcp://10.0.0.1:80': ['192.0.2.1 masq'] });
    const checks = await diagnose(machine(files), open, { netns: 'blue' });
    expect(trouble(checks)).toEqual([]);
    expect(find(checks, 'sysctl')?.fix).toBe('ip netns exec blue ipvs doctor');
  });
});

describe('forwarding', () => {
  const off = machine({
    '/proc/sys/net/ipv4/ip_forward': '0\n',
    '/proc/sys/net/ipv6/conf/all/forwarding': '0\n',
  });

  it.each([
    ['192.0.2.1 masq', 'tcp://10.0.0.1:80', ['fail forwarding']],
    ['192.0.2.1 route', 'tcp://10.0.0.1:80', []],
    ['127.0.0.1 masq', 'tcp://10.0.0.1:80', []],
    ['2001:db8::9 masq', 'tcp://[2001:db8::1]:80', ['fail forwarding6']],
  ])('is off and the destination is %s', async (destination, service, found) => {
    const open = holding({ [service]: [destination] });
    const checks = (await diagnose(off, open)).filter(({ id }) => id.startsWith('forwarding'));
    expect(trouble(checks)).toEqual(found);
  });
});

describe('the connection table', () => {
  async function full(connections: number): Promise<Ipvs> {
    const kernel = new MemoryKernel({ connectionTableSize: 4096 });
    const client = kernel.open();
    await client.addService({ protocol: 'tcp', address: '10.0.0.1', port: 80 });
    await client.addDestination('tcp://10.0.0.1:80', { address: '192.0.2.1', port: 80 });
    kernel.setTraffic('tcp://10.0.0.1:80', '192.0.2.1:80', { inactiveConnections: connections });
    return client;
  }

  it.each([
    ['6.1.0', 32_767, []],
    ['6.1.0', 100_000, ['warn connection-table']],
    ['7.1.0', 100_000, []],
  ])('on %s with %d connections', async (release, connections, found) => {
    const checks = await diagnose(machine({}, { release }), () => full(connections));
    expect(trouble(checks)).toEqual(found);
    if (found.length > 0) {
      expect(find(checks, 'connection-table')).toMatchObject({
        what: '100000 connections in 4096 buckets',
        fix: expect.stringContaining('conn_tab_bits=17') as string,
      });
    }
  });
});

describe('other managers of the table', () => {
  it.each(['keepalived', 'kube-proxy', 'kube-router', 'ldirectord'])('%s', async (name) => {
    const checks = await diagnose(machine({ '/proc/4711/comm': `${name}\n` }), empty);
    expect(trouble(checks)).toEqual([`warn managers.${name}`]);
    expect(find(checks, `managers.${name}`)?.what).toBe(`${name} is running`);
  });
});

describe('ipvs doctor', () => {
  it('shows what was found and how to mend it, and succeeds while nothing failed', async () => {
    const shell = new Shell();
    shell.system = machine({ '/proc/sys/net/ipv4/vs/run_estimation': '0' });
    const text = await shell.ok('doctor');
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        'ok    kernel: Linux 6.1.0',
        'warn  sysctl.run_estimation: net.ipv4.vs.run_estimation = 0',
        '      why: rates and counters stand still',
        '      fix: sysctl -w net.ipv4.vs.run_estimation=1',
      ]),
    );
  });

  it('has exit status 1 when a check failed, and its findings as data', async () => {
    const shell = new Shell();
    shell.system = machine({}, { platform: 'darwin' });
    const json = await shell.type('doctor --output json');
    expect(json).toMatchObject({ status: 1, stderr: '' });
    expect(JSON.parse(json.stdout)).toEqual([
      {
        id: 'platform',
        status: 'fail',
        what: 'this is darwin',
        why: 'IPVS is a part of Linux',
        fix: 'run it on Linux',
      },
    ]);
    expect((await shell.type('doctor --output yaml')).stdout).toContain('- id: platform\n');
  });

  it('closes what it opened', async () => {
    const client = memoryIpvs();
    await diagnose(machine(), () => Promise.resolve(client));
    expect(client.closed).toBe(true);
  });

  it('works on this very machine, whatever that is', async () => {
    const checks = await diagnose(thisSystem(), empty);
    expect(checks.length).toBeGreaterThan(0);
  });
});
