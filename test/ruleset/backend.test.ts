// Virtual servers kept by iptables, on a host that is made up.
import fc from 'fast-check';
import type { Outcome } from '../../lib/apply';
import { applyPlan } from '../../lib/converge';
import { familyOf } from '../../lib/id';
import type { Change, VirtualServer } from '../../lib/model';
import { plan } from '../../lib/plan';
import * as tools from '../../lib/node/tools';
import { IptablesBackend, type IptablesBackendOptions } from '../../lib/ruleset/backend';
import { roundsOf, start, States } from '../reconciling';
import { anyServers, settled } from '../states';
import { canonical, FakeHost, tool } from './host';

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost();
  jest.spyOn(tools, 'systemTools').mockImplementation((options) => host.tools(options));
});
afterEach(() => {
  jest.restoreAllMocks();
});

const KEY = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;
const WEB: VirtualServer = {
  ...KEY,
  scheduler: 'wrr',
  destinations: [
    { address: '192.0.2.10', port: 8080 },
    { address: '192.0.2.11', port: 8080, weight: 3 },
  ],
};
const DNS: VirtualServer = {
  protocol: 'udp',
  address: '2001:db8::1',
  port: 53,
  scheduler: 'rr',
  destinations: [{ address: '2001:db8::10', port: 53 }],
};
const [FIRST, SECOND] = WEB.destinations;
if (FIRST === undefined || SECOND === undefined) throw new Error('two destinations');

function open(options: IptablesBackendOptions = {}): IptablesBackend {
  return new IptablesBackend(options);
}

async function become(
  servers: readonly VirtualServer[],
  backend = open(),
  owns: () => boolean = () => true,
): Promise<readonly Outcome[]> {
  const { outcomes } = await applyPlan(backend, plan(servers, await backend.snapshot(), { owns }));
  return outcomes;
}

function chainsOf(program = 'iptables-nft'): readonly string[] {
  return [...host.saved(program).matchAll(/^:(IPVS-\S+)/gm)].map(([, name = '']) => name);
}

function flush(chain: string): void {
  host.restore(`*nat\n:${chain} - [0:0]\nCOMMIT\n`);
}

const SVC = (): string => chainsOf().find((name) => name.startsWith('IPVS-SVC-')) ?? '';

describe('what was asked for', () => {
  test('is there afterwards, for every process that asks', async () => {
    await become([WEB, DNS]);
    expect(settled(await open().snapshot())).toEqual(settled([WEB, DNS]));
    expect(host.chain('nat', SVC())).toEqual([
      expect.stringMatching(/192\.0\.2\.10:8080.* --probability 0\.2500000000 -j /),
      expect.stringMatching(/192\.0\.2\.11:8080" -j /),
    ]);
  });

  test('any states one after the other: each is read back, a second pass has nothing to do, and in the end nothing is left', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyServers, { minLength: 1, maxLength: 3 }), async (states) => {
        host = new FakeHost();
        host.restore('*nat\n-A OUTPUT -p tcp -j MINE\nCOMMIT\n'.replace('-A', ':MINE - [0:0]\n-A'));
        host.restore('*filter\nCOMMIT\n');
        host.restore('*nat\nCOMMIT\n*filter\nCOMMIT\n', 'ip6tables-nft');
        const before = [host.saved(), host.saved('ip6tables-nft')];
        const backend = open({ unsupported: 'approximate' });
        for (const state of states.map(canonical)) {
          const outcomes = await become(state, backend);
          const refused = new Set(
            outcomes.flatMap(({ change, error }) => {
              if (error === undefined) return [];
              expect(error.code).toMatch(/^(?:EOPNOTSUPP|ESRCH)$/);
              return [JSON.stringify(keyOf(change.service))];
            }),
          );
          const can = state.filter((server) => !refused.has(JSON.stringify(keyOf(server))));
          const found = await backend.snapshot();
          expect(settled(found.filter(isIn(can)))).toEqual(settled(can));
          expect(backend.problems.filter((line) => /else was at it/.test(line))).toEqual([]);
          expect(plan(can, found, { owns: isIn(can) }).changes).toEqual([]);
        }
        await become([], backend);
        expect([host.saved(), host.saved('ip6tables-nft')]).toEqual(before);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test('one change writes the chains of its service, and those that all share where they differ', async () => {
    await become([WEB, DNS]);
    host.restores.length = 0;
    await open().apply([
      { op: 'setDestination', service: KEY, destination: { ...SECOND, weight: 5 } },
    ]);
    expect(host.restores).toHaveLength(1);
    const [{ program, input } = { program: '', input: '' }] = host.restores;
    expect(program).toBe('iptables-nft-restore');
    expect(input.match(/^:\S+/gm)).toEqual([
      expect.stringMatching(/^:IPVS-SVC-/),
      expect.stringMatching(/^:IPVS-VS-/),
    ]);
  });

  test('a family without servers is left as it is', async () => {
    await become([WEB]);
    expect(host.saved('ip6tables-nft')).toBe('');
  });

  test('weight 0 leads nowhere and is still there; its connections are counted', async () => {
    host.files.set(
      '/proc/net/nf_conntrack',
      'ipv4     2 tcp      6 431999 ESTABLISHED src=198.51.100.7 dst=10.0.0.1 sport=40000 dport=80 src=192.0.2.11 dst=198.51.100.7 sport=8080 dport=40000 [ASSURED] mark=0 use=2\n' +
        'ipv4     2 tcp      6 100 TIME_WAIT src=198.51.100.7 dst=10.0.0.1 sport=40001 dport=80 src=192.0.2.11 dst=198.51.100.7 sport=8080 dport=40001 [ASSURED] mark=0 use=2\n' +
        'ipv4     2 tcp      6 431999 ESTABLISHED src=198.51.100.7 dst=10.0.0.1 sport=40002 dport=80 src=192.0.2.10 dst=198.51.100.7 sport=8080 dport=40002 [ASSURED] mark=0 use=2\n',
    );
    await become([{ ...WEB, destinations: [FIRST, { ...SECOND, weight: 0 }] }]);
    expect(host.chain('nat', SVC())).toEqual([expect.stringMatching(/192\.0\.2\.10:8080" -j /)]);
    const [found] = await open().snapshot();
    expect(found?.destinations).toEqual([
      { address: '192.0.2.10', port: 8080 },
      {
        address: '192.0.2.11',
        port: 8080,
        weight: 0,
        activeConnections: 1,
        inactiveConnections: 1,
      },
    ]);
  });

  test('a reconciliation drains and ends', async () => {
    const states = new States()
      .push([WEB])
      .push([{ ...WEB, destinations: [FIRST] }])
      .end();
    host.files.set('/proc/net/nf_conntrack', '');
    const backend = open();
    const rounds = await roundsOf(start(states, backend, { owns: () => true, drain: true }));
    expect(rounds.at(-1)).toMatchObject({ pending: 0 });
    expect(settled(await backend.snapshot())).toEqual(settled([{ ...WEB, destinations: [FIRST] }]));
  });
});

describe('what rules cannot do', () => {
  test('fails with EOPNOTSUPP, is a problem, and leaves the others alone', async () => {
    const backend = open();
    const outcomes = await become([WEB, { fwmark: 7, family: 'ipv4', destinations: [] }], backend);
    expect(outcomes.map(({ status, error }) => error?.code ?? status)).toEqual([
      'done',
      'done',
      'done',
      'EOPNOTSUPP',
    ]);
    expect(backend.problems).toEqual([
      expect.stringMatching(/^addService fwmark:7: iptables cannot: .*mark/),
    ]);
    expect(settled(await backend.snapshot())).toEqual(settled([WEB]));
  });

  test('is approximated when that is allowed; what was asked for is what is read back', async () => {
    const least = { ...WEB, scheduler: 'wlc' };
    expect((await become([least])).map(({ error }) => error?.code)).toContain('EOPNOTSUPP');
    const backend = open({ unsupported: 'approximate' });
    await become([least], backend);
    expect(settled(await backend.snapshot())).toEqual(settled([least]));
    expect(backend.problems).toEqual([
      expect.stringMatching(/^tcp:\/\/10\.0\.0\.1:80: approximated: /),
    ]);
  });

  test('what another allowed stays, also where this one would refuse it', async () => {
    const least = { ...WEB, scheduler: 'wlc' };
    await become([least], open({ unsupported: 'approximate' }));
    const strict = open();
    expect(settled(await strict.snapshot())).toEqual(settled([least]));
    await become([least, DNS], strict);
    expect(await strict.snapshot()).toHaveLength(2);
  });

  test('a service that cannot change stays as it was', async () => {
    await become([WEB]);
    const [outcome] = await open().apply([
      { op: 'setService', service: { ...KEY, scheduler: 'lc' } },
    ]);
    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'EOPNOTSUPP' } });
    expect(settled(await open().snapshot())).toEqual(settled([WEB]));
  });
});

describe('apply', () => {
  test('refuses as the kernel does', async () => {
    await become([WEB]);
    const other = { protocol: 'tcp', address: '10.0.0.2', port: 80 } as const;
    const changes: Change[] = [
      { op: 'addService', service: { ...KEY, scheduler: 'rr' } },
      { op: 'setService', service: other },
      { op: 'addDestination', service: KEY, destination: FIRST },
      { op: 'setDestination', service: KEY, destination: { address: '192.0.2.9', port: 1 } },
      { op: 'deleteDestination', service: other, destination: FIRST },
      { op: 'deleteService', service: KEY },
    ];
    const codes = async (onError: 'stop' | 'continue'): Promise<unknown> =>
      (await open().apply(changes, { onError })).map(({ error, status }) => error?.code ?? status);
    expect(await codes('stop')).toEqual(['EEXIST', ...Array<string>(5).fill('not tried')]);
    expect(await codes('continue')).toEqual([
      'EEXIST',
      'ESRCH',
      'EEXIST',
      'ENOENT',
      'ESRCH',
      'done',
    ]);
    expect(chainsOf()).toEqual([]);
  });

  test('bad input anywhere rejects before anything is done', async () => {
    const bad = { op: 'addService', service: { ...KEY, port: 70000 } } as const;
    await expect(open().apply(5 as never)).rejects.toMatchObject({ code: 'ERR_IPVS_INVALID' });
    await expect(open().apply([{ op: 'addService', service: KEY }, bad])).rejects.toMatchObject({
      code: 'ERR_IPVS_INVALID',
      message: expect.stringMatching(/change 2; nothing was done/) as string,
    });
    expect(host.restores).toEqual([]);
  });

  test('calls take turns', async () => {
    const backend = open();
    const add = (address: string): Promise<Outcome[]> =>
      backend.apply([{ op: 'addService', service: { ...KEY, address, scheduler: 'rr' } }]);
    await Promise.all(['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(add));
    expect(await backend.snapshot()).toHaveLength(3);
  });

  test('an aborted one says what was done', async () => {
    const controller = new AbortController();
    host.fails = (program) => {
      if (program !== 'ip6tables-nft-restore') return;
      controller.abort();
      throw new Error('killed');
    };
    const changes = plan([WEB, DNS], []).changes;
    await expect(open().apply(changes, { signal: controller.signal })).rejects.toMatchObject({
      name: 'IpvsError',
      code: 'ABORT_ERR',
      message: expect.stringMatching(/3 of 5 changes were done/) as string,
      outcomes: [
        ...Array<unknown>(3).fill(expect.objectContaining({ status: 'done' })),
        ...Array<unknown>(2).fill(expect.objectContaining({ status: 'not tried' })),
      ],
    });
  });
});

describe('what others do', () => {
  test.each<[string, () => void, RegExp]>([
    [
      'a rule gone',
      () => host.chain('nat', SVC()).pop(),
      /^IPVS-SVC-\S+ \(ipv4 nat\) is not as it was written/,
    ],
    [
      'a rule added',
      () => host.chain('nat', SVC()).unshift(`-A ${SVC()} -j DROP`),
      /^IPVS-SVC-\S+ \(ipv4 nat\) is not as it was written/,
    ],
    [
      'a destination spoilt',
      () => {
        const chain = chainsOf().find((name) => name.startsWith('IPVS-SEP-')) ?? '';
        host.chain('nat', chain).pop();
      },
      /^IPVS-SEP-\S+ \(ipv4 nat\) is not as it was written/,
    ],
    [
      'the ways in flushed',
      () => host.chain('nat', 'PREROUTING').splice(0),
      /^ipv4 nat PREROUTING .*IPVS-SERVICES: somebody removed it/,
    ],
    [
      'everything flushed, what was asked for too',
      () => {
        const [, nat = ''] = host.saved().split('*nat\n');
        for (const [, chain = ''] of nat.matchAll(/^:(IPVS-\S+)/gm)) flush(chain);
      },
      /^IPVS-CANARY \(ipv4 nat\) is empty or gone: somebody flushed our chains/,
    ],
    [
      'a shared chain emptied',
      () => host.chain('nat', 'IPVS-SERVICES').splice(0),
      /^IPVS-SERVICES \(ipv4 nat\) is not as it was written/,
    ],
    [
      'what was asked for, edited',
      () => {
        const chain = chainsOf().find((name) => name.startsWith('IPVS-VS-')) ?? '';
        host.chain('nat', chain).splice(1, 1);
      },
      /^IPVS-SVC-\S+ \(ipv4 nat\) is not as it was written/,
    ],
  ])(
    '%s: the server is not in the snapshot, the problem says why, and it is added again',
    async (_, edit, said) => {
      await become([WEB]);
      const good = host.saved();
      edit();
      const backend = open();
      expect(await backend.snapshot()).toEqual([]);
      expect(backend.problems).toContainEqual(expect.stringMatching(said));
      await become([WEB], backend);
      expect(host.saved()).toBe(good);
      expect(settled(await backend.snapshot())).toEqual(settled([WEB]));
      expect(backend.problems).toEqual([]);
    },
  );

  test('one damaged server is one: the others stay in the snapshot', async () => {
    const other = { ...WEB, address: '10.0.0.2' };
    await become([WEB, other]);
    const [damaged = ''] = host.chain('nat', 'IPVS-SERVICES');
    host.chain('nat', / -j (IPVS-SVC-\S+)/.exec(damaged)?.[1] ?? '').pop();
    expect(await open().snapshot()).toHaveLength(1);
    // Whatever else is changed repairs it.
    await open().apply([]);
    expect(await open().snapshot()).toHaveLength(2);
  });

  test('a second way in goes; chains of others may lead to ours, until ours go', async () => {
    await become([WEB]);
    host.restore(
      '*nat\n:MINE - [0:0]\n-A MINE -j IPVS-SERVICES\n-A OUTPUT -j IPVS-SERVICES\nCOMMIT\n',
    );
    await open().apply([]);
    expect(host.chain('nat', 'OUTPUT').filter((rule) => rule.includes('IPVS-'))).toHaveLength(1);
    expect(host.chain('nat', 'MINE')).toHaveLength(1);
    await open().cleanup();
    expect(host.chain('nat', 'MINE')).toEqual([]);
    expect(chainsOf()).toEqual([]);
  });

  test('what is programmed beside us stays, and clean-up leaves the host as it was', async () => {
    host.restore(
      '*nat\n:KUBE-SERVICES - [0:0]\n-A OUTPUT -j KUBE-SERVICES\nCOMMIT\n*filter\nCOMMIT\n',
    );
    const before = host.saved();
    await become([WEB]);
    expect(host.chain('nat', 'OUTPUT').at(-1)).toBe('-A OUTPUT -j KUBE-SERVICES');
    await open().cleanup();
    expect(host.saved()).toBe(before);
    expect((await open().cleanup()).lines).toEqual([]);
  });

  test('chains of the same name that serve something else are not taken over', async () => {
    host.restore(
      '*nat\n:IPVS-CANARY - [0:0]\n-A IPVS-CANARY -m comment --comment "ipvs: a Kubernetes node"\nCOMMIT\n',
    );
    await expect(open().snapshot()).rejects.toMatchObject({
      code: 'EEXIST',
      message: expect.stringMatching(/those of a Kubernetes node.*use another prefix/) as string,
    });
    expect(await open({ prefix: 'MINE' }).snapshot()).toEqual([]);
  });
});

describe('trouble', () => {
  test('no iptables at all', async () => {
    host.fails = (program) => {
      throw tool(`${program}: not installed: install it: apt-get install iptables`, 'ENOENT');
    };
    await expect(open().snapshot()).rejects.toMatchObject({
      code: 'ENOENT',
      message: expect.stringMatching(/not installed: install it/) as string,
    });
    await expect(open().cleanup()).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('none for IPv6: IPv4 goes on, and only what is wanted of IPv6 fails', async () => {
    host.fails = (program) => {
      if (program.startsWith('ip6')) throw tool(`${program}: Address family not supported`, 'EIO');
    };
    const outcomes = await become([WEB, DNS]);
    const failed = outcomes.filter(({ status }) => status === 'failed');
    expect(failed.map(({ change }) => familyOf(change.service))).toEqual(['ipv6', 'ipv6']);
    expect(settled(await open().snapshot())).toEqual(settled([WEB]));
  });

  test('a family that was not asked for is refused', async () => {
    const outcomes = await become([WEB, DNS], open({ families: ['ipv4'] }));
    expect(outcomes.filter(({ error }) => error?.code === 'EAFNOSUPPORT')).toHaveLength(2);
  });

  test('a refused restore fails every change of its family, and names the line and what was written', async () => {
    host.fails = (program, input) => {
      if (!program.startsWith('iptables-nft-restore')) return;
      const line = input.split('\n').findIndex((each) => each.includes('-j DNAT')) + 1;
      throw tool(`${program}: line ${line} failed`);
    };
    const outcomes = await become([WEB, DNS]);
    const failed = outcomes.filter(({ status }) => status === 'failed');
    expect(failed.map(({ change }) => familyOf(change.service))).toEqual(['ipv4', 'ipv4', 'ipv4']);
    expect(failed[0]?.error?.message).toMatch(
      /^addService tcp:\/\/10\.0\.0\.1:80: iptables-nft-restore: line \d+ failed: table nat: -A IPVS-SEP-\S+ .*-j DNAT --to-destination 192\.0\.2\.1\d:8080 \(filter was written before, nat is unchanged: doing it again completes it\)$/,
    );
  });

  test('a lock that somebody holds for long fails, and changes nothing', async () => {
    host.fails = (program) => {
      if (program.endsWith('-restore')) {
        throw tool(
          `${program}: Another app is currently holding the xtables lock: another program is at work on the rules: find it (fuser /run/xtables.lock), or try again`,
        );
      }
    };
    const [outcome] = await become([WEB]);
    expect(outcome?.error?.message).toMatch(/holding the xtables lock: .*try again$/);
    host.fails = () => undefined;
    expect(await open().snapshot()).toEqual([]);
  });

  test('both variants in use: the one with more rules is taken, and a problem says so; from then on the one with our chains', async () => {
    host.restore(
      '*filter\n-A INPUT -p tcp -j ACCEPT\n-A INPUT -p udp -j ACCEPT\nCOMMIT\n',
      'iptables-legacy',
    );
    host.restore('*filter\n-A INPUT -p tcp -j DROP\nCOMMIT\n', 'iptables-nft');
    const backend = open();
    await become([WEB], backend);
    expect(chainsOf('iptables-legacy')).not.toEqual([]);
    expect(chainsOf('iptables-nft')).toEqual([]);
    expect(backend.problems).toEqual([
      expect.stringMatching(/^both variants of iptables have rules/),
    ]);
    for (let i = 0; i < 99; i++)
      host.chain('filter', 'INPUT').push(`-A INPUT -s 10.0.0.${i} -j DROP`);
    expect(await open().snapshot()).toHaveLength(1);
  });

  test('a kernel that reads nf_tables and takes none gets the legacy rules; one that has some does not', async () => {
    host.fails = (program) => {
      if (program === 'iptables-nft-restore') throw tool(`${program}: TABLE_ADD: not supported`);
    };
    await become([WEB]);
    expect(chainsOf('iptables-legacy')).not.toEqual([]);
    host = new FakeHost();
    host.restore('*filter\n-A INPUT -p tcp -j DROP\nCOMMIT\n');
    host.fails = (program) => {
      if (program === 'iptables-nft-restore') throw tool(`${program}: extension not supported`);
    };
    const [outcome] = await become([WEB]);
    expect(outcome?.error?.message).toMatch(/extension not supported/);
    expect(chainsOf('iptables-legacy')).toEqual([]);
  });

  test('a family without rules goes with the other', async () => {
    host.restore('*filter\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n', 'iptables-legacy');
    await become([DNS]);
    expect(chainsOf('ip6tables-legacy')).not.toEqual([]);
    expect(host.saved('ip6tables-nft')).toBe('');
  });

  test('clean-up takes away what is in either variant', async () => {
    await become([WEB], open({ variant: 'legacy' }));
    await become([WEB], open({ variant: 'nft' }));
    await open().cleanup();
    expect([...chainsOf('iptables-legacy'), ...chainsOf('iptables-nft')]).toEqual([]);
  });

  test.each<[object, RegExp]>([
    [{ prefix: 'ipvs' }, /^IptablesBackend: prefix: "ipvs" cannot begin/],
    [{ prefix: 'ABCDEFGH' }, /^IptablesBackend: prefix: "ABCDEFGH"/],
    [{ prefix: 'A"\n-A INPUT -j ACCEPT' }, /^IptablesBackend: prefix: /],
    [{ prefix: 'KUBE' }, /kube-proxy's chains/],
    [{ families: ['ipv5'] }, /^IptablesBackend: families: /],
    [{ variant: 'new' }, /^IptablesBackend: variant: "new"/],
    [{ unsupported: 'ignore' }, /^IptablesBackend: unsupported: "ignore"/],
    [{ netns: '..' }, /^IptablesBackend: netns: /],
    [{ masqueradeBit: 32 }, /^IptablesBackend: masqueradeBit: /],
    [{ prefx: 'A' }, /did you mean prefix\?/],
  ])('options such as %j are refused', (options, message) => {
    const opening = async (): Promise<unknown> => Promise.resolve(open(options));
    return expect(opening()).rejects.toMatchObject({
      code: 'ERR_IPVS_INVALID',
      message: expect.stringMatching(message) as string,
    });
  });

  test('programs run in the namespace that was named', async () => {
    await open({ netns: 'blue' }).snapshot();
    expect(host.asked).toEqual([{ netns: '/run/netns/blue', signal: undefined }]);
  });
});

function keyOf(service: object): unknown {
  const { protocol, address, port, fwmark, family } = service as Record<string, unknown>;
  return fwmark === undefined ? [protocol, address, port] : [fwmark, family];
}

function isIn(servers: readonly VirtualServer[]): (key: object) => boolean {
  const keys = new Set(servers.map((server) => JSON.stringify(keyOf(server))));
  return (key) => keys.has(JSON.stringify(keyOf(key)));
}
