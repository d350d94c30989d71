// State files: what they may say, where they are wrong, and their one canonical text.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { IpvsError } from '../lib/errors';
import { parseState, printState, readState, StateError, type State } from '../lib/state';
import { anyServers, settled } from './states';

const WEB = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const;

describe('what a file may say', () => {
  test('ids or keys, settings, defaults, timeouts', () => {
    const text = `
$schema: https://unpkg.com/ipvs/schema/state.schema.json
timeouts: { tcp: 900, udp: 30 }
defaults: { scheduler: wrr, weight: 5, tunnel: { type: gue, port: 6080 } }
services:
  - service: tcp://10.0.0.1:80
    persistence: { timeout: 300, prefix: 24 }
    destinations:
      - 192.0.2.10:8080
      - { destination: '[2001:db8:0::1]:80', forward: tunnel, weight: 1 }
  - { fwmark: 7, family: ipv6, scheduler: wlc, destinations: [{ address: '::1', port: 80, weight: 0 }] }
`;
    expect(parseState(text)).toEqual({
      timeouts: { tcp: 900, udp: 30 },
      services: [
        {
          ...WEB,
          scheduler: 'wrr',
          persistence: { timeout: 300, prefix: 24 },
          destinations: [
            { address: '192.0.2.10', port: 8080, weight: 5 },
            {
              address: '2001:db8::1',
              port: 80,
              forward: 'tunnel',
              tunnel: { type: 'gue', port: 6080 },
            },
          ],
        },
        { fwmark: 7, family: 'ipv6', destinations: [{ address: '::1', port: 80, weight: 0 }] },
      ],
    });
  });

  test('anchors, aliases and merge keys: what stands in the map itself counts, then what is merged first', () => {
    const text = `
x-pool: &pool [192.0.2.10:80, { <<: [&low { weight: 2 }, { weight: 3, upperThreshold: 9 }], destination: 192.0.2.11:80 }]
services:
  - { service: tcp://10.0.0.1:80, destinations: *pool }
  - { service: tcp://10.0.0.1:81, destinations: [{ weight: 7, <<: *low, destination: 192.0.2.12:81 }] }
  - { service: tcp://10.0.0.1:82, destinations: *pool }
`;
    const pool = [
      { address: '192.0.2.10', port: 80 },
      { address: '192.0.2.11', port: 80, weight: 2, upperThreshold: 9 },
    ];
    expect(parseState(text).services).toEqual([
      { ...WEB, destinations: pool },
      { ...WEB, port: 81, destinations: [{ address: '192.0.2.12', port: 81, weight: 7 }] },
      { ...WEB, port: 82, destinations: pool },
    ]);
  });

  test('several documents, each with its defaults', () => {
    const text = `
defaults: { scheduler: rr }
services: [{ service: tcp://10.0.0.1:80, destinations: [] }]
---
timeouts: { tcp: 5 }
---
services: [{ service: tcp://10.0.0.2:80, destinations: [] }]
---
`;
    expect(parseState(text)).toEqual({
      timeouts: { tcp: 5 },
      services: [
        { ...WEB, scheduler: 'rr', destinations: [] },
        { ...WEB, address: '10.0.0.2', destinations: [] },
      ],
    });
  });

  test('false takes a default away; flags go with the scheduler they were set with', () => {
    const text = `
defaults: { scheduler: sh, schedulerFlags: [port], persistence: { timeout: 9 } }
services:
  - { service: tcp://10.0.0.1:80, persistence: false, destinations: [] }
  - { service: tcp://10.0.0.2:80, scheduler: rr, destinations: [] }
`;
    expect(parseState(text).services).toEqual([
      { ...WEB, scheduler: 'sh', schedulerFlags: ['port'], destinations: [] },
      {
        ...WEB,
        address: '10.0.0.2',
        scheduler: 'rr',
        persistence: { timeout: 9 },
        destinations: [],
      },
    ]);
  });

  test('JSON; and an array of services as ipvs list prints it', () => {
    const service = {
      ...WEB,
      stats: { connections: 1 },
      destinations: [{ address: '1.1.1.1', port: 1, activeConnections: 2 }],
    };
    const services = [{ ...WEB, destinations: [{ address: '1.1.1.1', port: 1 }] }];
    expect(parseState(JSON.stringify([service]))).toEqual({ services });
    expect(parseState(`\uFEFF${JSON.stringify({ services: [service] }, null, '\t')}\r\n`)).toEqual({
      services,
    });
  });

  test('no services, when it says so', () => {
    expect(parseState('services: []')).toEqual({ services: [] });
  });
});

/** The problems of a text, each as its place, the words it is about, and what is said. */
function problems(text: string): string[] {
  try {
    parseState(text);
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    return error.problems.map(({ line, column, source, length, message }) => {
      expect(source).toBe(text.split(/\r?\n/)[line - 1]);
      return `${line}:${column} ${source.slice(column - 1, column - 1 + length)} | ${message}`;
    });
  }
  throw new Error('taken');
}
const one = (service: string): string => `services:\n  - ${service}\n`;

describe('what is wrong with a file', () => {
  test.each([
    ['', '1:1  | there are no services'],
    ['# nothing\n', '1:1 # | there are no services'],
    ['timeouts: { tcp: 5 }', '1:1 t | there are no services'],
    ['services:', '1:10  | services: not a list'],
    ['services: {}', '1:11 {} | services: not a list'],
    ['hello', '1:1 hello | not a state'],
    ['services: []\nservices: []', '2:1 services | "services" is here twice: first at 1:1'],
    [
      'service: []\nservices: []',
      '1:1 service | service: no such setting of a state: did you mean services?',
    ],
    ['services: []\n1: 2', '2:1 1 | a key that is not text'],
    ['services: [', '1:12  | not YAML: '],
    ['a: b: c', '1:4 b | not YAML: '],
    ['services: []\ntimeouts: { tcp: 0 }', '2:18 0 | tcp: 0 is out of range'],
    [
      'services: []\ntimeouts: { tcpfin: 9 }',
      '2:13 tcpfin | tcpfin: no such setting of a timeouts: did you mean tcpFin?',
    ],
    [
      'timeouts: { tcp: 5 }\n---\ntimeouts: { tcp: 6 }',
      '3:13 tcp | timeouts: tcp is here twice: first at 1:13',
    ],
    ['defaults: { weight: -1 }\nservices: []', '1:21 -1 | weight: -1 is out of range'],
    [
      'defaults: { tunnel: { type: gue } }\nservices: []',
      '1:21 { type: gue } | tunnel.port is missing',
    ],
    ['defaults: 5\nservices: []', '1:11 5 | defaults: 5 is not a map'],
    [one('tcp://10.0.0.1:80'), '2:5 tcp://10.0.0.1:80 | service: "tcp://10.0.0.1:80" is not a map'],
    [one('{ destinations: [] }'), '2:5 { destinations: [] } | service: missing'],
    [
      one('{ service: tcp://10.0.0.1:80 }'),
      '2:5 { service: tcp://10.0.0.1:80 } | destinations: missing',
    ],
    [one('{ service: tcp://10.0.0.1:80, destinations: }'), '2:49 } | destinations: not a list'],
    [one('{ service: 7, destinations: [] }'), '2:16 7 | service: 7 is not text'],
    [
      one('{ service: tcp://web:80, destinations: [] }'),
      '2:16 tcp://web:80 | service: "tcp://web:80": "web" is not an IP address',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, port: 80, destinations: [] }'),
      '2:35 port | port: the service is named already',
    ],
    [
      one('{ service: tcp://10.0.0.1:0, destinations: [] }'),
      '2:16 tcp://10.0.0.1:0 | port: 0 takes every port only with persistence',
    ],
    [
      one('{ protocol: tcp, address: 10.0.0.1, destinations: [] }'),
      '2:31 10.0.0.1 | port is missing',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, schedular: rr, destinations: [] }'),
      '2:35 schedular | schedular: no such setting of a service: did you mean scheduler?',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, scheduler: [rr], destinations: [] }'),
      '2:46 [rr] | scheduler: an array is no scheduler',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, schedulerFlags: port, destinations: [] }'),
      '2:51 port | schedulerFlags: "port" is not an array',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, persistence: { timeout: 0 }, destinations: [] }'),
      '2:59 0 | persistence.timeout: 0 is out of range',
    ],
    [
      one(
        '{ service: tcp://10.0.0.1:80, persistence: { timeout: 5, timout: 5 }, destinations: [] }',
      ),
      '2:62 timout | timout: no such setting of a persistence: did you mean timeout?',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, onePacket: yes, destinations: [] }'),
      '2:46 yes | onePacket: "yes" is not a boolean',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, destinations: [192.0.2.1] }'),
      '2:50 192.0.2.1 | destination: "192.0.2.1" is no destination',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, destinations: [5] }'),
      '2:50 5 | destination: 5 is not text',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, destinations: ["[::1]:80"] }'),
      `2:50 "[::1]:80" | address: ::1 is ipv6 and the service is ipv4: only forward 'tunnel' crosses families`,
    ],
    [
      one(
        '{ service: tcp://10.0.0.1:80, destinations: [{ destination: 1.1.1.1:80, weight: "5" }] }',
      ),
      '2:85 "5" | weight: "5" is out of range',
    ],
    [
      one(
        '{ service: tcp://10.0.0.1:80, destinations: [{ destination: 1.1.1.1:80, weight: 0x5 }] }',
      ),
      '2:85 0x5 | "0x5" is not a plain decimal number',
    ],
    [
      one('{ service: tcp://10.0.0.1:80, destinations: [{ destination: 1.1.1.1:80, wieght: 5 }] }'),
      '2:77 wieght | wieght: no such setting of a destination: did you mean weight?',
    ],
    [
      one(
        '{ service: tcp://10.0.0.1:80, destinations: [{ destination: 1.1.1.1:81, forward: route }] }',
      ),
      "2:65 1.1.1.1:81 | port: route does not change the port: use the service's own, 80, not 81",
    ],
    [
      one('{ service: tcp://10.0.0.1:80, destinations: [1.1.1.1:80, 1.1.1.1:80] }'),
      '2:62 1.1.1.1:80 | destination 1.1.1.1:80 of tcp://10.0.0.1:80 is here twice: first at 2:50',
    ],
    [
      one('&a { service: tcp://10.0.0.1:80, destinations: [] }\n  - *a'),
      '3:5 *a | service tcp://10.0.0.1:80 is here twice: first at 2:19',
    ],
    [
      one(
        '{ service: tcp://10.0.0.1:80, destinations: [] }\n---\nservices: [{ protocol: tcp, address: 10.0.0.1, port: 80, destinations: [] }]',
      ),
      '4:38 10.0.0.1 | service tcp://10.0.0.1:80 is here twice: first at 2:16',
    ],
    ['x-a: *b\nservices: []', '1:6 *b | *b stands for nothing'],
    ['x-a: &a [*a]\nservices: []', '1:10 *a | *a stands within what it stands for'],
    ['x-a: { <<: 5 }\nservices: []', '1:12 5 | << takes a map'],
    ['services: [!foo {}]', '1:12 !foo | not YAML: Unresolved tag: !foo'],
  ])('%j', (text, expected) => {
    const [first, ...others] = problems(text);
    expect(first?.slice(0, expected.length)).toBe(expected);
    if (!text.includes('!foo')) expect(others).toEqual([]);
  });

  test('each is told where it is, with a caret', () => {
    const text = `services:
  - service: tcp://10.0.0.1:80
    schedular: rr
    destinations:
      - { destination: 192.0.2.10:80, weight: much }
`;
    const error = (() => {
      try {
        parseState(text, { file: 'web.yaml' });
      } catch (thrown) {
        return thrown as StateError;
      }
      throw new Error('taken');
    })();
    expect(error.report())
      .toBe(`web.yaml:3:5: schedular: no such setting of a service: did you mean scheduler?
  3 |     schedular: rr
    |     ^^^^^^^^^
web.yaml:5:47: weight: "much" is out of range: use a whole number from 0 to 2147483647
  5 |       - { destination: 192.0.2.10:80, weight: much }
    |                                               ^^^^`);
    expect(error.message).toBe(
      'parseState: web.yaml:3:5: schedular: no such setting of a service: did you mean scheduler? (and 1 more)',
    );
    expect(error).toBeInstanceOf(IpvsError);
    expect(error.code).toBe('ERR_IPVS_INVALID');
  });

  test('ten thousand: the first few, and how many more', () => {
    const text = `services:\n${'  - { service: tcp://10.0.0.1:x, destinations: [] }\n'.repeat(10_000)}`;
    expect(problems(text)).toHaveLength(10);
    expect(() => parseState(text)).toThrow('(and 9999 more)');
    expect(problems('}{:]['.repeat(2000))).toHaveLength(10);
  });

  test('a default that is wrong is wrong once, however many use it', () => {
    const services = '  - { service: tcp://10.0.0.1:N, destinations: [] }\n';
    const text = Array.from({ length: 50 }, (_, i) => services.replace('N', String(i + 1))).join(
      '',
    );
    expect(
      problems(`defaults: { persistence: { timeout: 5, prefix: 64 } }\nservices:\n${text}`),
    ).toEqual([
      '1:48 64 | persistence.prefix: 64 is out of range: use a whole number from 1 to 32',
    ]);
  });

  test('a long line is cut around the place, control characters are not shown', () => {
    const text = `services: [${' '.repeat(500)}"\u001b[31m\u202e"]`;
    try {
      parseState(text);
    } catch (error) {
      const [, source = '', mark = ''] = (error as StateError).report().split('\n');
      expect(source.length).toBeLessThan(120);
      expect(source).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(mark.indexOf('^')).toBe(source.indexOf('"'));
      return;
    }
    throw new Error('taken');
  });
});

describe('texts made to hurt', () => {
  const merges = Array.from(
    { length: 40 },
    (_, i) => `x-${i + 1}: &m${i + 1} { <<: [*m${i}, *m${i}] }`,
  ).join('\n');
  const laughs = Array.from(
    { length: 20 },
    (_, i) => `x-${i + 1}: &l${i + 1} [${`*l${i}, `.repeat(20)}]`,
  ).join('\n');
  const pool = `x-pool: &pool [${Array.from({ length: 4000 }, (_, i) => `10.1.${i >> 8}.${i & 255}:80`).join(', ')}]`;
  const uses = Array.from(
    { length: 4000 },
    (_, i) => `  - { service: tcp://10.0.${i >> 8}.${i & 255}:80, destinations: *pool }`,
  ).join('\n');
  test.each([
    ['deep', '['.repeat(100_000), /nested more than 64 deep/],
    ['deep maps', 'a: {'.repeat(50_000), /nested more than 64 deep/],
    ['deep lists', '- '.repeat(50_000), /nested more than 64 deep/],
    [
      'aliases of aliases',
      `x-0: &l0 [1]\n${laughs}\nservices: *l20`,
      /services: not a list|is not a map/,
    ],
    [
      'sixteen million destinations of 50 kB',
      `${pool}\nservices:\n${uses}`,
      /more than 1000000 services, destinations/,
    ],
    ['long', `# ${'x'.repeat(17_000_000)}`, /characters are too many/],
    [
      'many keys',
      Array.from({ length: 10_000 }, (_, i) => `k${i}: 1`).join('\n'),
      /no such setting/,
    ],
  ])('%s', (_name, text, words) => {
    const start = performance.now();
    expect(() => parseState(text)).toThrow(words);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test('merge keys of merge keys are no harm', () => {
    expect(parseState(`x-0: &m0 { a: 1 }\n${merges}\nservices: []`)).toEqual({ services: [] });
  });

  test('nothing but a StateError ever comes of it', () => {
    const piece = fc.constantFrom(
      ...'services:|defaults:|destinations:|- |  |{|}|[|]|,|: |\n|&a |*a|<<: |!t |---\n|"|\'|# |tcp://10.0.0.1:80|weight|1|null|~|? |>|@|%'.split(
        '|',
      ),
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 40 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(text, (any) => {
        try {
          parseState(any);
        } catch (error) {
          expect(error).toBeInstanceOf(StateError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('its one text', () => {
  const reread = (state: State, format: 'yaml' | 'json'): State =>
    parseState(printState(state, { format }));

  test.each(['yaml', 'json'] as const)('in %s says the same, and is the same again', (format) => {
    fc.assert(
      fc.property(
        anyServers,
        fc.record({ tcp: fc.integer({ min: 1, max: 2678400 }) }, { requiredKeys: [] }),
        (services, timeouts) => {
          const state = { services, timeouts };
          const again = reread(state, format);
          expect(settled(again.services)).toEqual(settled(services));
          expect(again.timeouts ?? {}).toEqual(timeouts);
          expect(printState(again, { format })).toBe(printState(state, { format }));
          expect(printState({ ...state, services: services.toReversed() }, { format })).toBe(
            printState(again, { format }),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  test('is sorted, without defaults, a destination a line', () => {
    const state: State = {
      services: [
        { fwmark: 7, family: 'ipv6', scheduler: 'null', destinations: [] },
        {
          ...WEB,
          scheduler: 'wlc',
          schedulerFlags: [],
          onePacket: false,
          persistence: { timeout: 60, prefix: 32 },
          destinations: [
            { address: '192.0.2.9', port: 80, weight: 0, upperThreshold: 0 },
            { address: '10.0.0.9', port: 80, forward: 'local', weight: 1 },
            { address: '2001:db8::1', port: 80, forward: 'tunnel', tunnel: { type: 'ipip' } },
          ],
        },
        { ...WEB, address: '9.0.0.1', scheduler: 'sh', schedulerFlags: ['port'], destinations: [] },
      ],
      timeouts: { udp: 30, tcp: 900 },
    };
    expect(printState(state)).toBe(`timeouts:
  tcp: 900
  udp: 30
services:
  - service: tcp://9.0.0.1:80
    scheduler: sh
    schedulerFlags: [port]
    destinations: []
  - service: tcp://10.0.0.1:80
    persistence: { timeout: 60 }
    destinations:
      - { destination: 10.0.0.9:80, forward: route }
      - { destination: 192.0.2.9:80, weight: 0 }
      - { destination: "[2001:db8::1]:80", forward: tunnel }
  - service: fwmark6:7
    scheduler: "null"
    destinations: []
`);
    expect(printState({ services: [] })).toBe('services: []\n');
  });
});

describe('reading a file', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-state-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });
  const file = (name: string, content: string | Buffer): string => {
    const at = path.join(folder, name);
    writeFileSync(at, content);
    return at;
  };

  test('its name is in what is said of it', async () => {
    expect(await readState(file('good.yaml', 'services: []'))).toEqual({ services: [] });
    const bad = file('bad.yaml', 'services: 5');
    await expect(readState(bad)).rejects.toThrow(`parseState: ${bad}:1:11: services: not a list`);
  });

  test('a directory, nothing, bytes', async () => {
    await expect(readState(folder)).rejects.toMatchObject({
      code: 'EISDIR',
      message: `readState: ${folder}: that is a directory: name a file in it`,
    });
    const gone = path.join(folder, 'gone');
    await expect(readState(gone)).rejects.toMatchObject({
      code: 'ENOENT',
      message: `readState: ${gone}: there is no such file: check its name`,
    });
    await expect(readState(file('bytes', Buffer.from([0x66, 0xff])))).rejects.toThrow('not UTF-8');
    await expect(readState('/dev/zero')).rejects.toThrow('longer than');
  });
});
