// The command against a real kernel, with ipvsadm looking on.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { open } from '../../lib/client';
import { thisSystem } from '../../lib/doctor';
import type { VirtualServerStatus } from '../../lib/model';
import { Shell } from '../cli/shell';
import { Namespace } from './helpers';

// User-mode Linux on a busy machine is slow to start a program.
jest.setTimeout(120_000);

const PROGRAM = path.join(__dirname, '../../dist/cli/main.js');

let namespace: Namespace;
let shell: Shell;
beforeEach(() => {
  namespace = new Namespace();
  shell = new Shell(open);
});
afterEach(() => {
  namespace.delete();
});

/** Types a line that works on the namespace, in this process. */
function ipvs(line: string): Promise<string> {
  return shell.ok(`${line} --netns ${namespace.name}`);
}

/** The program itself, as a shell runs it. */
function spawnIpvs(script: string): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, NETNS: namespace.name, IPVS: `${process.execPath} ${PROGRAM}` };
  return spawnSync('bash', ['-c', script], { encoding: 'utf8', env });
}

async function listed(): Promise<VirtualServerStatus[]> {
  return JSON.parse(await ipvs('list --output json')) as VirtualServerStatus[];
}

function saved(): string[] {
  return namespace.ipvsadm('-Sn').trim().split('\n').filter(Boolean);
}

/** The rows of a listing of ipvsadm, in words. */
function rows(...args: string[]): string[][] {
  const text = namespace.ipvsadm('-Ln', ...args);
  return text
    .split('\n')
    .filter((line) => /^(?:TCP|UDP|SCTP|FWM| {2}-> [^R])/.test(line))
    .map((line) => line.trim().split(/\s+/));
}

describe('what the command makes is what ipvsadm shows', () => {
  it.each([
    ['service add tcp://10.0.0.1:80', '-A -t 10.0.0.1:80 -s wlc'],
    ['service add udp://10.0.0.1:53 --scheduler wrr --one-packet', '-A -u 10.0.0.1:53 -s wrr -o'],
    ['service add sctp://10.0.0.1:132 --scheduler sed', '-A --sctp-service 10.0.0.1:132 -s sed'],
    [
      'service add tcp://10.0.0.1:0 --scheduler sh --persistence 600 --persistence-prefix 24 --scheduler-flags fallback,port',
      '-A -t 10.0.0.1:0 -s sh -p 600 -M 255.255.255.0 -b sh-fallback,sh-port',
    ],
    [
      'service add tcp://10.0.0.1:81 --scheduler mh --scheduler-flags port',
      '-A -t 10.0.0.1:81 -s mh -b mh-port',
    ],
    [
      'service add tcp://10.0.0.1:82 --scheduler rr --scheduler-flags flag-1,flag-3',
      '-A -t 10.0.0.1:82 -s rr -b flag-1,flag-3',
    ],
    [
      'service add udp://10.0.0.1:5060 --persistence 60 --persistence-engine sip',
      '-A -u 10.0.0.1:5060 -s wlc -p 60 --pe sip',
    ],
    ['service add tcp://[2001:db8::1]:80', '-A -t [2001:db8::1]:80 -s wlc'],
    ['service add fwmark:7', '-A -f 7 -s wlc'],
    [
      'service add fwmark6:8 --persistence 300 --persistence-prefix 64',
      '-A -f 8 -6 -s wlc -p 300 -M 64',
    ],
  ])('%s', async (line, expected) => {
    await ipvs(line);
    expect(saved()).toEqual([expected]);
  });

  it('destinations, by every way of forwarding', async () => {
    await ipvs('service add tcp://10.0.0.1:80 --scheduler rr');
    const service = 'tcp://10.0.0.1:80';
    for (const words of [
      '192.0.2.1:8080 --weight 3',
      '192.0.2.2:80 --forward route --weight 0',
      '192.0.2.3:80 --forward tunnel',
      '192.0.2.4:80 --forward tunnel --tunnel gue --tunnel-port 6080 --tunnel-checksum',
      '192.0.2.5:80 --forward tunnel --tunnel gre',
      '192.0.2.6:80 --forward tunnel --tunnel gue --tunnel-port 6080 --tunnel-checksum remote',
    ]) {
      await ipvs(`destination add ${service} ${words}`);
    }
    const before = '-a -t 10.0.0.1:80 -r';
    expect(saved()).toEqual([
      '-A -t 10.0.0.1:80 -s rr',
      `${before} 192.0.2.1:8080 -m -w 3`,
      `${before} 192.0.2.2:80 -g -w 0`,
      `${before} 192.0.2.3:80 -i -w 1 --tun-type ipip`,
      `${before} 192.0.2.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum`,
      `${before} 192.0.2.5:80 -i -w 1 --tun-type gre --tun-nocsum`,
      `${before} 192.0.2.6:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum`,
    ]);
    expect(rows('--tun-info').map(([, address, , tunnel]) => [address, tunnel])).toEqual([
      ['10.0.0.1:80', undefined],
      ['192.0.2.1:8080', 'n/a'],
      ['192.0.2.2:80', 'n/a'],
      ['192.0.2.3:80', 'ipip'],
      ['192.0.2.4:80', 'gue:6080:+c'],
      ['192.0.2.5:80', 'gre:-c'],
      ['192.0.2.6:80', 'gue:6080:r+c'],
    ]);
    expect((await ipvs(`list ${service} --tunnels`)).trim().split('\n').slice(2)).toEqual([
      '  -> 192.0.2.1:8080  masq',
      '  -> 192.0.2.2:80    route',
      '  -> 192.0.2.3:80    tunnel   ipip          no',
      '  -> 192.0.2.4:80    tunnel   gue     6080  yes',
      '  -> 192.0.2.5:80    tunnel   gre           no',
      '  -> 192.0.2.6:80    tunnel   gue     6080  remote',
    ]);
  });

  it('thresholds, and a set that keeps them', async () => {
    await ipvs('service add tcp://10.0.0.1:80');
    await ipvs(
      'destination add tcp://10.0.0.1:80 192.0.2.1:80 --upper-threshold 100 --lower-threshold 50',
    );
    await ipvs('destination set tcp://10.0.0.1:80 192.0.2.1:80 --weight 0');
    expect(rows('--thresholds')).toEqual([
      ['TCP', '10.0.0.1:80', 'wlc'],
      ['->', '192.0.2.1:80', '100', '50', '0', '0'],
    ]);
    expect(saved()[1]).toBe('-a -t 10.0.0.1:80 -r 192.0.2.1:80 -m -w 0');
    await ipvs('destination set tcp://10.0.0.1:80 192.0.2.1:80 --replace');
    expect(rows('--thresholds')[1]).toEqual(['->', '192.0.2.1:80', '0', '0', '0', '0']);
  });

  it('a service that is changed keeps what was not named, and loses it with --replace', async () => {
    await ipvs('service add tcp://10.0.0.1:80 --scheduler wrr --persistence 60');
    await ipvs('service set tcp://10.0.0.1:80 --scheduler sed');
    expect(saved()).toEqual(['-A -t 10.0.0.1:80 -s sed -p 60']);
    await ipvs('service set tcp://10.0.0.1:80 --replace');
    expect(saved()).toEqual(['-A -t 10.0.0.1:80 -s wlc']);
  });

  it('timeouts and daemons', async () => {
    await ipvs('timeouts set --tcp 60 --udp 30');
    expect(namespace.ipvsadm('-L', '--timeout')).toBe('Timeout (tcp tcpfin udp): 60 120 30\n');
    namespace.addDevice('sync0');
    await ipvs('daemon start master --interface sync0 --sync-id 7 --ttl 3 --max-length 1000');
    expect(namespace.ipvsadm('-L', '--daemon')).toBe(
      'master sync daemon (mcast=sync0, syncid=7, maxlen=1000, group=224.0.0.81, port=8848, ttl=3)\n',
    );
    expect(JSON.parse(await ipvs('daemon list --output json'))).toEqual([
      {
        role: 'master',
        interface: 'sync0',
        syncId: 7,
        group: '224.0.0.81',
        port: 8848,
        ttl: 3,
        maxLength: 1000,
      },
    ]);
    await ipvs('daemon stop master');
    expect(namespace.ipvsadm('-L', '--daemon')).toBe('');
  });

  it('nothing, after delete and flush', async () => {
    await ipvs('service add tcp://10.0.0.1:80');
    await ipvs('service add tcp://10.0.0.1:81');
    await ipvs('destination add tcp://10.0.0.1:80 192.0.2.1:80');
    await ipvs('destination delete tcp://10.0.0.1:80 192.0.2.1:80');
    expect(saved()).toEqual(['-A -t 10.0.0.1:80 -s wlc', '-A -t 10.0.0.1:81 -s wlc']);
    await ipvs('service delete tcp://10.0.0.1:80');
    expect(saved()).toEqual(['-A -t 10.0.0.1:81 -s wlc']);
    await ipvs('flush --yes');
    expect(saved()).toEqual([]);
  });
});

describe('what ipvsadm makes is what the command shows', () => {
  it('as data', async () => {
    namespace.ipvsadm(...'-A -t 10.0.0.1:0 -s sh -p 600 -M 255.255.255.0 -b sh-port'.split(' '));
    namespace.ipvsadm(...'-A -f 8 -6 -s mh -b mh-fallback'.split(' '));
    namespace.ipvsadm(
      ...'-a -f 8 -6 -r [2001:db8::9]:0 -i -w 2 -x 9 -y 3 --tun-type gue --tun-port 6080 --tun-remcsum'.split(
        ' ',
      ),
    );
    expect(await listed()).toMatchObject([
      {
        protocol: 'tcp',
        address: '10.0.0.1',
        port: 0,
        scheduler: 'sh',
        schedulerFlags: ['port'],
        persistence: { timeout: 600, prefix: 24 },
        onePacket: false,
        destinations: [],
      },
      {
        fwmark: 8,
        family: 'ipv6',
        scheduler: 'mh',
        schedulerFlags: ['fallback'],
        destinations: [
          {
            address: '2001:db8::9',
            port: 0,
            forward: 'tunnel',
            weight: 2,
            upperThreshold: 9,
            lowerThreshold: 3,
            tunnel: { type: 'gue', port: 6080, checksum: 'remote' },
          },
        ],
      },
    ]);
  });

  it('counters of real packets, until they are set to zero', async () => {
    namespace.ip('addr', 'add', '10.0.0.1/32', 'dev', 'lo');
    await ipvs('service add udp://10.0.0.1:53 --scheduler rr');
    await ipvs('destination add udp://10.0.0.1:53 127.0.0.1:5353');
    namespace.run('bash', '-c', 'echo -n hello > /dev/udp/10.0.0.1/53');
    // The kernel renews its counters every two seconds.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    // Conns InPkts OutPkts InBytes OutBytes
    const [service, destination] = rows('--stats', '--exact').map((words) => words.slice(2));
    expect(service).toMatchObject({ 0: '1', 1: '1', 3: '33' });
    expect(destination).toEqual(service);
    const shown = (await ipvs('list --stats --exact')).trim().split('\n').slice(1);
    expect(shown.map((line) => line.trim().split(/\s+/).slice(-5))).toEqual([service, destination]);
    const [found] = await listed();
    expect(found?.destinations[0]?.inactiveConnections).toBe(1);
    await ipvs('zero udp://10.0.0.1:53');
    expect((await ipvs('list --stats')).split('\n')[1]).toMatch(/53 +0 +0 +0 +0 +0$/);
  });
});

describe('the program itself', () => {
  it('has exit status 0, 1 and 2', () => {
    const { stdout, stderr } = spawnIpvs(
      `$IPVS --netns $NETNS service add tcp://10.0.0.1:80; echo $?
       $IPVS --netns $NETNS service add tcp://10.0.0.1:80; echo $?
       $IPVS --netns $NETNS service add tcp://10.0.0.1:80 --weight 3; echo $?`,
    );
    expect(stdout).toBe('0\n1\n2\n');
    expect(stderr).toBe(
      'ipvs service add tcp://10.0.0.1:80: the service exists already: change it with ipvs service set\n' +
        "ipvs service add: unknown option '--weight': see ipvs service add --help\n",
    );
  });

  it('writes a big table whole, stops quietly when nobody reads on, and tells of a full disk', async () => {
    const client = await namespace.open();
    const services = Array.from({ length: 2000 }, (_, i) => ({
      op: 'addService' as const,
      service: { protocol: 'tcp', address: '10.0.0.1', port: i + 1 } as const,
    }));
    await client.apply(services);
    await client.close();
    const { stdout, stderr } = spawnIpvs(
      `set -o pipefail
       $IPVS --netns $NETNS list --output json | (sleep 1; tail -c 2)
       $IPVS --netns $NETNS list --output json | head -1; echo $?
       $IPVS --netns $NETNS list | (read line; sleep 1; wc -l)
       $IPVS --netns $NETNS list > /dev/full; echo $?`,
    );
    expect(stdout).toBe(']\n[\n0\n2000\n1\n');
    expect(stderr).toMatch(/^ipvs: cannot write: .*ENOSPC.*\n$/);
  });

  it('tells a process without rights what is missing', () => {
    // Not another user: that one could not even read a checkout in somebody's home.
    const { status, stdout, stderr } = spawnIpvs(
      `setpriv --bounding-set=-all,+dac_override --inh-caps=-all $IPVS list`,
    );
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^ipvs list: no permission: IPVS wants CAP_NET_ADMIN: run as root/);
  });
});

describe('ipvs doctor', () => {
  it('finds this kernel sound', async () => {
    shell.system = thisSystem();
    const checks = JSON.parse(await shell.ok('doctor --output json')) as {
      id: string;
      status: string;
    }[];
    const status = Object.fromEntries(checks.map((check) => [check.id, check.status]));
    expect(status).toMatchObject({
      addon: 'ok',
      privilege: 'ok',
      ipvs: 'ok',
      schedulers: 'ok',
      'sysctl.run_estimation': 'ok',
      'connection-table': 'ok',
    });
  });
});
