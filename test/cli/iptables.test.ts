// ipvs iptables render, apply and cleanup, on a host whose iptables are made up.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tools from '../../lib/node/tools';
import { LOCAL, REMOTE, balanced, service, slice } from '../kube/objects';
import { FakeHost, tool } from '../ruleset/host';
import { Shell, type Result } from './shell';

let folder: string;
let shell: Shell;
let host: FakeHost;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-cli-iptables-'));
  shell = new Shell();
  host = new FakeHost();
  host.files.set('/proc/sys/net/ipv4/conf/all/route_localnet', '0\n');
  jest.spyOn(tools, 'systemTools').mockImplementation((options) => host.tools(options));
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function file(text: string, name = 'web.yaml'): string {
  const at = path.join(folder, name);
  writeFileSync(at, text);
  return at;
}

const WEB = `services:
  - service: tcp://10.0.0.1:80
    scheduler: wrr
    destinations: [192.0.2.10:8080, { destination: 192.0.2.11:8080, weight: 3 }]
`;

function type(line: string): Promise<Result> {
  // In a namespace, so that settings are read through programs, which are made up.
  return shell.type(`iptables ${line} --netns blue`);
}

async function ok(line: string): Promise<string> {
  const result = await type(line);
  expect(result).toEqual({ ...result, status: 0, stderr: '' });
  return result.stdout;
}

describe('render', () => {
  test('prints what iptables-restore takes, whole, with the ways in', async () => {
    const text = await ok(`render -f ${file(WEB)}`);
    expect(text).toMatch(/^# iptables-restore --noflush\n\*filter\n:IPVS-SERVICES - \[0:0\]\n/);
    expect(text).toContain(
      '-I PREROUTING 1 -m comment --comment "kubernetes service portals" -j IPVS-SERVICES\n',
    );
    expect(host.asked).toEqual([]);
    // It is taken as it is.
    host.restore(text.replace(/^#.*\n/, ''));
    expect(await ok(`apply -f ${file(WEB)} --dry-run`)).toBe('');
  });

  test('under another prefix, and as data', async () => {
    const text = await ok(`render -f ${file(WEB)} --prefix MINE --output json`);
    const { rules, problems } = JSON.parse(text) as { rules: { ipv4: string }; problems: unknown };
    expect(Object.keys(rules)).toEqual(['ipv4']);
    expect(rules.ipv4).toContain(':MINE-SERVICES');
    expect(problems).toEqual([]);
  });

  test('says what it left out, and what it came near to', async () => {
    const least = file(WEB.replace('wrr', 'lc'));
    expect((await type(`render -f ${least}`)).stderr).toMatch(
      /^tcp:\/\/10\.0\.0\.1:80: left out: /,
    );
    expect((await type(`render -f ${least} --approximate`)).stderr).toMatch(/: approximated: /);
  });
});

describe('apply', () => {
  test('makes the rules what the state says; a second time there is nothing to do', async () => {
    const web = file(WEB);
    expect(await ok(`apply -f ${web}`)).toMatch(
      /^ipv4 \(nft\): \d+ chains written, 12 ways in added\n$/,
    );
    const good = host.saved();
    expect(await ok(`apply -f ${web}`)).toBe('');
    expect(host.saved()).toBe(good);
    expect(host.restores).toHaveLength(1);
    expect(host.asked[0]).toMatchObject({ netns: '/run/netns/blue' });
  });

  test('a dry run shows the rules that come and go, under their chains, and changes nothing', async () => {
    await ok(`apply -f ${file(WEB)}`);
    const good = host.saved();
    const lines = await ok(`apply -f ${file(WEB.replace('weight: 3', 'weight: 4'))} --dry-run`);
    expect(lines.split('\n')).toEqual([
      '# ipv4 (nft)',
      expect.stringMatching(/^~ nat IPVS-SVC-[A-Z2-7]{16}$/),
      expect.stringMatching(/^ {2}\+ .*--probability 0\.2000000000 /),
      expect.stringMatching(/^ {2}- .*--probability 0\.2500000000 /),
      expect.stringMatching(/^~ nat IPVS-VS-[A-Z2-7]{16}$/),
      '  + -m comment --comment "-a -t 10.0.0.1:80 -r 192.0.2.11:8080 -m -w 4"',
      '  - -m comment --comment "-a -t 10.0.0.1:80 -r 192.0.2.11:8080 -m -w 3"',
      '',
    ]);
    expect(host.saved()).toBe(good);
  });

  test('repairs what somebody did, and says so', async () => {
    await ok(`apply -f ${file(WEB)}`);
    const good = host.saved();
    host.chain('nat', 'IPVS-SERVICES').splice(0);
    const { status, stdout, stderr } = await type(`apply -f ${file(WEB)}`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'ipv4 (nft): 1 chain written\n' });
    expect(stderr).toBe(
      'IPVS-SERVICES (ipv4 nat) is not as it was written: somebody else was at it; it is written anew\n',
    );
    expect(host.saved()).toBe(good);
  });

  test('prunes what it is told, when that is meant', async () => {
    await ok(`apply -f ${file(WEB)}`);
    const command = `apply -f ${file('services: []\n', 'none.yaml')} --prune 10.0.0.0/8`;
    expect(await ok(`apply -f ${file('services: []\n', 'none.yaml')}`)).toBe('');
    expect(await type(command)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/give --yes/) as string,
    });
    expect(host.saved()).toContain('IPVS-SVC-');
    await ok(`${command} --yes`);
    expect(host.saved()).not.toContain('IPVS-');
  });

  test('what rules cannot do fails, and the rest is done', async () => {
    const two = `${WEB}  - { service: "fwmark:7", destinations: [] }\n`;
    expect(await type(`apply -f ${file(two)}`)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /^ipvs iptables apply fwmark:7: iptables cannot: .*\nipvs iptables apply: 3 done, 1 failed: /,
      ) as string,
    });
    expect(host.saved()).toContain('tcp://10.0.0.1:80');
  });

  test('a refused restore is one line with its reason', async () => {
    host.fails = (program) => {
      if (program.endsWith('-restore')) throw tool(`${program}: line 7 failed`);
    };
    const { status, stderr } = await type(`apply -f ${file(WEB)}`);
    expect(status).toBe(1);
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(
        /^ipvs iptables apply: .*line 7 failed: table filter: .* \(nothing was changed\)$/,
      ),
      expect.stringMatching(/: 0 done, 3 failed: mend the cause and run it again$/),
      '',
    ]);
  });

  test('timeouts and a second file are not for it', async () => {
    const timed = file(`timeouts: { udp: 30 }\n${WEB}`, 'timed.yaml');
    expect((await type(`apply -f ${timed}`)).stderr).toMatch(/^timeouts: those of IPVS/);
    expect(await type(`apply -f ${timed} -f ${file(WEB)}`)).toMatchObject({ status: 2 });
  });

  test.each([
    ['apply', 'required option'],
    ['apply -f FILE --node here', '--node: only with --kube'],
    ['apply -f FILE --kube --node here --approximate', '--approximate: not with --kube'],
    ['apply -f FILE --kube', '--node is missing'],
    ['apply -f FILE --prefix lower', 'Use up to 7 capital letters and digits'],
    ['apply -f FILE --prefix KUBE', "--prefix: KUBE is what kube-proxy's chains begin with"],
    ['apply -f FILE --variant new', 'nft, legacy'],
    ['cleanup', 'give --yes'],
  ])('%s is wrong use', async (line, message) => {
    const objects = file(
      JSON.stringify({ kind: 'List', items: [{ kind: 'Service', ...service() }] }),
      'k.json',
    );
    const { status, stderr } = await type(
      line.replace('FILE', line.includes('--kube') ? objects : file(WEB)),
    );
    expect(status).toBe(2);
    expect(stderr.toLowerCase()).toContain(message.toLowerCase());
  });

  test('no permission is not taken for an empty host', async () => {
    host.fails = (program) => {
      if (program.includes('-nft-')) {
        throw tool(`${program}: Permission denied (you must be root): run it as root`);
      }
    };
    expect(await type(`apply -f ${file(WEB)} --dry-run`)).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'ipvs iptables apply: iptables-nft-save: Permission denied (you must be root): run it as root\n',
    });
  });

  test('no iptables is said once', async () => {
    host.fails = (program) => {
      throw tool(`${program}: not installed: install it: apt-get install iptables`, 'ENOENT');
    };
    expect(await type(`apply -f ${file(WEB)}`)).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'ipvs iptables apply: iptables-nft-save: not installed: install it: apt-get install iptables\n',
    });
  });
});

describe('with --kube', () => {
  function cluster(...endpoints: readonly unknown[]): string {
    const items = [
      { kind: 'Service', ...balanced({ ports: [{ name: 'p80', port: 80, nodePort: 30080 }] }) },
      { kind: 'EndpointSlice', ...slice(endpoints) },
    ];
    return file(JSON.stringify({ kind: 'List', items }), 'cluster.json');
  }
  const WORDS = '--kube --node here --node-address 192.168.0.2';

  test('the whole program is put there, with the setting it needs; the second time nothing is left to do', async () => {
    const command = `apply ${WORDS} -f ${cluster(LOCAL, REMOTE)}`;
    const dry = await ok(`${command} --dry-run`);
    expect(dry).toMatch(/~ net\.ipv4\.conf\.all\.route_localnet 0 -> 1\n$/);
    expect(host.saved()).toBe('');
    expect(await ok(command)).toMatch(
      /^ipv4 \(nft\): \d+ chains written, 14 ways in added\nipv6 \(nft\): .*\n~ net\.ipv4\.conf\.all\.route_localnet 0 -> 1\n$/,
    );
    expect(host.files.get('/proc/sys/net/ipv4/conf/all/route_localnet')).toBe('1');
    expect(await ok(command)).toBe('');
    expect(await ok(`render ${WORDS} -f ${cluster(LOCAL, REMOTE)}`)).toContain(':IPVS-SVC-');
  });

  test('an endpoint that goes takes its chain with it, when that is meant', async () => {
    await ok(`apply ${WORDS} -f ${cluster(LOCAL, REMOTE)}`);
    const less = `apply ${WORDS} -f ${cluster(LOCAL)}`;
    expect(await ok(`${less} --dry-run`)).toMatch(
      /^- nat IPVS-SEP-[A-Z2-7]{16}\n {2}- .*10\.1\.9\.9/m,
    );
    expect(await type(less)).toMatchObject({ status: 2 });
    expect(await ok(`${less} --yes`)).toMatch(
      /^ipv4 \(nft\): \d chains? written, 1 chain removed\n$/,
    );
  });

  test('clean-up takes everything away and puts the setting back', async () => {
    host.restore('*nat\nCOMMIT\n*filter\nCOMMIT\n');
    const before = host.saved();
    await ok(`apply ${WORDS} -f ${cluster(LOCAL)} --family ipv4`);
    await ok('cleanup --yes');
    expect(host.saved()).toBe(before);
    expect(host.files.get('/proc/sys/net/ipv4/conf/all/route_localnet')).toBe('0');
    expect(await ok('cleanup --yes')).toBe('');
  });

  test("chains of virtual servers are not taken over by a cluster's", async () => {
    await ok(`apply -f ${file(WEB)}`);
    expect(await type(`apply ${WORDS} -f ${cluster(LOCAL)}`)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/those of virtual servers.*use another prefix/) as string,
    });
    await ok(`apply ${WORDS} -f ${cluster(LOCAL)} --prefix KUBE`);
  });

  test('the configuration says whether node ports answer on loopback', async () => {
    const config = file(
      'kind: KubeProxyConfiguration\niptables: { localhostNodePorts: false }\n',
      'config.yaml',
    );
    await ok(`apply ${WORDS} -f ${cluster(LOCAL)} --config ${config}`);
    expect(host.saved()).not.toContain('IPVS-FIREWALL');
    expect(host.files.get('/proc/sys/net/ipv4/conf/all/route_localnet')).toBe('0\n');
  });
});
