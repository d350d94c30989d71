// "Applying twice changes nothing", as the kernel sees it: every request that the second apply makes of it, and every
// program that it starts, written down by strace(1).
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setNames } from '../../lib/kube';
import { Namespace, run } from './helpers';

const ROOT = path.join(__dirname, '../..');

// Applies the same program twice, and lets the trace know when each ends.
const SCRIPT = `
  const { existsSync } = require('node:fs');
  const { ipvsProgram, serviceMap } = require('${ROOT}/dist/kube.js');
  const { openNode } = require('${ROOT}/dist/node.js');
  const view = { name: 'here', addresses: [] };
  const metadata = { namespace: 'shop', name: 'web' };
  const service = { metadata, spec: { clusterIP: '172.30.0.10', ports: [{ name: 'http', port: 80 }] } };
  const slice = {
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [{ addresses: ['10.1.0.5'] }],
  };
  const program = ipvsProgram(serviceMap([service], [slice], view), view, { families: ['ipv4'] });
  openNode({ record: process.argv[1] }).then(async (node) => {
    for (const end of ['/first apply', '/second apply']) {
      await node.apply(program);
      existsSync(end);
    }
    await node.close();
  });
`;
const CALLS =
  'execve,access,openat,sendmsg,sendto,setsockopt,getsockopt,rename,clone,clone3,fork,vfork';
const IPVS: Readonly<Record<string, string>> = {
  '01': 'IPVS_CMD_NEW_SERVICE',
  '04': 'IPVS_CMD_GET_SERVICE',
  '05': 'IPVS_CMD_NEW_DEST',
  '08': 'IPVS_CMD_GET_DEST',
};

/** What a traced line asks of the kernel, as far as that reads or changes what a node is made of. */
function requestsOf(line: string): string[] {
  const messages = [...line.matchAll(/nlmsg_type=([^\s,]+)[^}]*\}, (?:"\\x([0-9a-f]{2}))?/g)];
  const names = messages.flatMap(([, type = '', command = '']) => {
    // What knows the numbers of families.
    if (type === 'nlctrl') return [];
    // Whether strace knows the name of a family depends on when the module was loaded.
    const isIpvs = type === 'IPVS' || type.startsWith('0x');
    return isIpvs ? (IPVS[command] ?? `command ${command}`) : type.replace(/^.*\|/, '');
  });
  const [, option] = /[gs]etsockopt\(\d+, SOL_IPV?6?, (\w+)/.exec(line) ?? [];
  const [, file] = /openat\([^,]+, "(\/proc\/sys\/[^"]+)", O_(?:WRONLY|RDWR)/.exec(line) ?? [];
  const renamed = line.includes(' rename(') ? ['rename'] : [];
  return [...names, ...[option, file].flatMap((name) => name ?? []), ...renamed];
}

/** What each process became; one tries several folders, and its result may stand in a line of its own. */
function programsOf(lines: readonly string[]): string[] {
  const programs = new Map<string, string>();
  for (const line of lines) {
    const [, pid = '', args] = /^(\d+) +execve\([^[]+\[(.*?)\]/.exec(line) ?? [];
    if (args !== undefined) programs.set(pid, args.replaceAll(/[",]/g, ''));
  }
  return [...programs.values()].sort();
}

/** How processes are made, threads aside: `lent` without a copy of memory, as a large process wants it, or `copied`. */
function birthsOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const call = /^\d+ +(clone3?|v?fork)\(/.exec(line)?.[1];
    if (call === undefined || line.includes('CLONE_THREAD')) return [];
    return line.includes('CLONE_VM|CLONE_VFORK') || call === 'vfork' ? 'lent' : 'copied';
  });
}

test('the second apply starts no program, and asks the kernel for dumps and rules and nothing else', () => {
  for (const name of ['dummy', 'iptable_nat']) run('modprobe', name);
  const namespace = new Namespace();
  const folder = mkdtempSync('/tmp/ipvs-node-calls-');
  try {
    const trace = path.join(folder, 'trace');
    const strace = ['strace', '-f', '-qq', '-x', '-s', '64', '-o', trace, '-e', `trace=${CALLS}`];
    const script = [process.execPath, '-e', SCRIPT, path.join(folder, 'node.json')];
    execFileSync('ip', ['netns', 'exec', namespace.name, ...strace, ...script], {
      // One request a list of destinations, instead of many in one system call that strace shows as bytes.
      env: { ...process.env, IPVS_NO_AIO: '1' },
    });
    const lines = readFileSync(trace, 'utf8').split('\n');
    const endOf = (which: string): number =>
      lines.findIndex((line) => line.includes(`"/${which} apply"`));
    const first = lines.slice(0, endOf('first'));
    const second = lines.slice(endOf('first'), endOf('second'));

    // What the first did shows that changes would be seen.
    expect(first.flatMap(requestsOf)).toEqual(
      expect.arrayContaining([
        'RTM_NEWLINK',
        'RTM_NEWADDR',
        'IPSET_CMD_CREATE',
        'IPT_SO_SET_REPLACE',
        'IPVS_CMD_NEW_SERVICE',
        'rename',
        expect.stringContaining('/proc/sys/net/ipv4/vs/') as unknown,
      ]),
    );
    expect(birthsOf(first)).not.toContain('copied');
    expect(birthsOf(first)).toContain('lent');
    expect(birthsOf(second)).toEqual([]);
    expect(programsOf(second)).toEqual([]);
    expect(second.flatMap(requestsOf).sort()).toEqual([
      // Each set of the family, by its name.
      ...Array.from({ length: setNames().length / 2 }, () => 'IPSET_CMD_LIST'),
      // The tables that it has rules in.
      ...['IPT_SO_GET_ENTRIES', 'IPT_SO_GET_ENTRIES', 'IPT_SO_GET_INFO', 'IPT_SO_GET_INFO'],
      'IPVS_CMD_GET_DEST',
      'IPVS_CMD_GET_SERVICE',
      'RTM_GETADDR',
      'RTM_GETLINK',
    ]);
  } finally {
    namespace.delete();
    rmSync(folder, { recursive: true });
  }
});
