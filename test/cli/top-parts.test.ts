// The parts of `ipvs top` that know no terminal: rates, keys, screens.
import fc from 'fast-check';
import { FIRST, KeyReader, press, type State } from '../../lib/cli/top/keys';
import { Meter, WINDOW } from '../../lib/cli/top/meter';
import { ordered } from '../../lib/cli/top/order';
import { layout, rate, type Size, type View } from '../../lib/cli/top/screen';
import { destinationId, serviceId } from '../../lib/id';
import type { DestinationStatus, Stats, VirtualServerStatus } from '../../lib/model';

const KERNELS = { connections: 7, packetsIn: 7, packetsOut: 7, bytesIn: 7, bytesOut: 7 };

function stats(counter: bigint, perSecond = KERNELS): Stats {
  return {
    connections: counter,
    packets: { in: counter * 2n, out: counter * 3n },
    bytes: { in: counter * 4n, out: counter * 5n },
    perSecond,
  };
}

function destination(address: string, counter: bigint, active = 0, weight = 1): DestinationStatus {
  return {
    address,
    port: 80,
    forward: 'masq',
    weight,
    upperThreshold: 0,
    lowerThreshold: 0,
    activeConnections: active,
    inactiveConnections: active * 2,
    persistentConnections: 0,
    stats: stats(counter),
  };
}

function server(
  port: number,
  counter: bigint,
  destinations: readonly DestinationStatus[] = [],
): VirtualServerStatus {
  return {
    protocol: 'tcp',
    address: '10.0.0.1',
    port,
    scheduler: 'wlc',
    schedulerFlags: [],
    onePacket: false,
    stats: stats(counter),
    destinations,
  };
}

describe('rates', () => {
  const perSecond = (found: readonly VirtualServerStatus[]) => found[0]?.stats.perSecond;

  it("are the kernel's until a window has passed, then those of the window", () => {
    const meter = new Meter();
    for (const second of [0, 1, 2, 3]) {
      const found = meter.measure([server(80, 100n * BigInt(second))], second * 1000);
      expect(perSecond(found)).toEqual(KERNELS);
    }
    expect(perSecond(meter.measure([server(80, 400n)], 4000))).toEqual({
      connections: 100,
      packetsIn: 200,
      packetsOut: 300,
      bytesIn: 400,
      bytesOut: 500,
    });
    // The first second is out of the window: 600 in four seconds.
    expect(perSecond(meter.measure([server(80, 700n)], 5000))?.connections).toBe(150);
    expect(perSecond(meter.measure([server(80, 700n)], 9000))?.connections).toBe(0);
  });

  it('are exact where counters are beyond what a number holds', () => {
    const meter = new Meter();
    meter.measure([server(80, 2n ** 62n)], 0);
    const found = meter.measure([server(80, 2n ** 62n + 4n)], WINDOW);
    expect(perSecond(found)?.connections).toBe(1);
  });

  it('begin anew where a counter went back, whatever the others did, for that one alone', () => {
    const meter = new Meter();
    const at = (first: bigint, second: bigint): VirtualServerStatus[] => [
      server(80, first),
      server(81, second, [destination('192.0.2.1', second)]),
    ];
    meter.measure(at(1000n, 1000n), 0);
    const [zeroed, other] = meter.measure(at(10n, 5000n), WINDOW);
    expect(zeroed?.stats.perSecond).toEqual(KERNELS);
    expect(other?.stats.perSecond.connections).toBe(1000);
    expect(other?.destinations[0]?.stats.perSecond.connections).toBe(1000);
    expect(perSecond(meter.measure(at(50n, 5000n), 2 * WINDOW))?.connections).toBe(10);
  });

  it('forget what is gone', () => {
    const meter = new Meter();
    meter.measure([server(80, 10n)], 0);
    meter.measure([], 1000);
    expect(perSecond(meter.measure([server(80, 50n)], WINDOW))).toEqual(KERNELS);
  });

  it('are never negative, and add up to what passed, however one looks', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 9000 }), fc.bigInt(0n, 2n ** 40n)), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(steps, (all) => {
        const meter = new Meter();
        let at = 0;
        let counter = 2n ** 55n;
        const seen: { at: number; counter: bigint }[] = [];
        for (const [wait, more] of all) {
          at += wait;
          counter += more;
          seen.push({ at, counter });
          const found = perSecond(meter.measure([server(80, counter)], at));
          const now = at;
          const possible = seen
            .filter((one) => now - one.at >= WINDOW)
            .map((one) => Number(counter - one.counter) / ((now - one.at) / 1000));
          if (possible.length === 0) expect(found).toEqual(KERNELS);
          else expect(possible).toContain(found?.connections);
        }
      }),
    );
  });
});

describe('order', () => {
  const names = (servers: readonly VirtualServerStatus[]): string[] =>
    servers.flatMap((one) => [
      String('port' in one ? one.port : serviceId(one)),
      ...one.destinations.map((d) => destinationId(d)),
    ]);
  const busy = (port: number, connections: number, packetsOut: number, active: number) => ({
    ...server(port, 0n, [destination(`192.0.2.${port}`, 0n, active), destination('192.0.2.1', 0n)]),
    stats: stats(0n, { ...KERNELS, connections, packetsOut }),
  });
  const servers = [busy(82, 1, 9, 3), busy(81, 5, 0, 2), busy(80, 5, 1, 9)];

  it('has the most first, and what is equal by name', () => {
    const by = (sort: State['sort'], reverse = false): string =>
      ordered(servers, { sort, reverse })
        .map((one) => ('port' in one ? one.port : ''))
        .join(' ');
    expect(by('connections')).toBe('80 81 82');
    expect(by('packets')).toBe('82 80 81');
    expect(by('bytes')).toBe('80 81 82');
    expect(by('active')).toBe('80 82 81');
    expect(by('inactive', true)).toBe('81 82 80');
    expect(by('name')).toBe('80 81 82');
    expect(by('name', true)).toBe('82 81 80');
  });

  it('orders the destinations of each by the same', () => {
    expect(names(ordered(servers.slice(0, 1), { sort: 'active', reverse: false }))).toEqual([
      '82',
      '192.0.2.82:80',
      '192.0.2.1:80',
    ]);
    expect(names(ordered(servers.slice(0, 1), { sort: 'name', reverse: false }))).toEqual([
      '82',
      '192.0.2.1:80',
      '192.0.2.82:80',
    ]);
  });
});

describe('keys', () => {
  const after = (...keys: string[]): State =>
    keys.reduce((state, key) => press(state, key, 10), FIRST);

  it('sort, turn round, hide, stand still, explain, and go', () => {
    expect(after('b').sort).toBe('bytes');
    expect(after('r')).toMatchObject({ sort: 'connections', reverse: true });
    expect(after('r', 'n')).toMatchObject({ sort: 'name', reverse: false });
    expect(after('d').destinations).toBe(false);
    expect(after('d', 'd')).toEqual(FIRST);
    expect(after('space').paused).toBe(true);
    expect(after('h').help).toBe(true);
    expect(after('?', 'b')).toEqual(FIRST);
    for (const keys of [['q'], ['ctrl-c'], ['h', 'q'], ['h', 'ctrl-c']]) {
      expect(after(...keys).ask).toBe('quit');
    }
    expect(after('ctrl-z').ask).toBe('suspend');
    expect(after('ctrl-z', 'x').ask).toBe('nothing');
  });

  it('scroll, and come back where lines are others', () => {
    expect(after('down', 'j', 'page-down', 'up').offset).toBe(11);
    expect(after('up', 'page-up').offset).toBe(0);
    expect(after('end', 'home').offset).toBe(0);
    expect(after('down', 'd').offset).toBe(0);
  });

  it('that mean nothing do nothing', () => {
    for (const key of ['x', 'Q', '\x1b[15~', '\0', 'é', 'constructor', 'escape']) {
      expect(press(FIRST, key, 10)).toEqual(FIRST);
    }
  });

  it('are read from whatever pieces the terminal sends', () => {
    const text = 'q\x1b[A\x1b[6~\x1bOB \x1b[1;5Cx\x03\x1b[H';
    const expected = ['q', 'up', 'page-down', 'down', 'space', '\x1b[1;5C', 'x', 'ctrl-c', 'home'];
    expect(new KeyReader().read(text)).toEqual(expected);
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: text.length - 1 }));
    fc.assert(
      fc.property(cuts, (places) => {
        // Not between Escape and what follows: alone, it is the key.
        const at = [0, ...places.filter((i) => text[i - 1] !== '\x1b').sort((a, b) => a - b)];
        const reader = new KeyReader();
        const keys = at.flatMap((from, i) => reader.read(text.slice(from, at[i + 1])));
        expect(keys).toEqual(expected);
      }),
    );
    expect(new KeyReader().read('\x1b')).toEqual(['escape']);
  });

  it('are never kept for ever', () => {
    const reader = new KeyReader();
    for (let i = 0; i < 100; i++) reader.read('\x1b[1111111111111111');
    expect(reader.read('q')).toContain('q');
  });
});

describe('the screen', () => {
  const servers = [
    server(80, 0n, [destination('192.0.2.10', 0n, 3), destination('192.0.2.11', 0n, 0, 0)]),
    server(443, 0n, [destination('2001:db8::10', 0n)]),
  ];
  const view = (state: Partial<State> = {}, more: Partial<View> = {}): View => ({
    servers,
    state: { ...FIRST, ...state },
    interval: 1000,
    ...more,
  });
  const plain = (_style: string, text: string): string => text;
  const show = (shown: View, columns: number, rows: number): string[] => [
    ...layout(shown, { columns, rows }, plain).lines,
  ];

  it('has all of it where there is room', () => {
    expect(show(view({}, { netns: 'edge' }), 120, 12)).toEqual([
      'ipvs top  edge  2 services, 3 destinations  every 1s  by connections',
      'connections 14/s  packets 14/s in 14/s out  bytes 14/s in 14/s out  active 3  inactive 6',
      '',
      'SERVICE                 CONN/S  PKT IN/S  PKT OUT/S  BYTE IN/S  BYTE OUT/S  ACTIVE  INACTIVE  WEIGHT',
      'tcp://10.0.0.1:80          7.0       7.0        7.0        7.0         7.0       3         6',
      '  -> 192.0.2.10:80         7.0       7.0        7.0        7.0         7.0       3         6       1',
      '  -> 192.0.2.11:80         7.0       7.0        7.0        7.0         7.0       0         0       0',
      'tcp://10.0.0.1:443         7.0       7.0        7.0        7.0         7.0       0         0',
      '  -> [2001:db8::10]:80     7.0       7.0        7.0        7.0         7.0       0         0       1',
      'h help  q quit',
    ]);
  });

  it('leaves out numbers, then letters, where it is narrow; never what it is sorted by', () => {
    expect(show(view(), 80, 12)[3]).toBe(
      'SERVICE                 CONN/S  PKT IN/S  BYTE IN/S  ACTIVE  INACTIVE  WEIGHT',
    );
    expect(show(view(), 32, 5).slice(1)).toEqual([
      'SERVICE                 CONN/S',
      'tcp://10.0.0.1:80          7.0',
      '  -> 192.0.2.10:80         7.0',
      '  -> 192.0.2.11:80         7.0',
    ]);
    expect(show(view({ sort: 'inactive' }), 32, 5)[1]).toBe('SERVICE                 INACTIVE');
    expect(show(view(), 6, 3)).toEqual(['SERVI~', 'tcp:/~', '  -> ~']);
  });

  it('says which lines are seen where there are more', () => {
    expect(show(view({ offset: 2 }), 60, 6)).toEqual([
      'ipvs top  2 services, 3 destinations  every 1s  by connecti~',
      expect.stringMatching(/^SERVICE/),
      expect.stringMatching(/^ {2}-> 192.0.2.11/),
      expect.stringMatching(/^tcp:\/\/10.0.0.1:443/),
      expect.stringMatching(/^ {2}-> \[2001/),
      'lines 3-5 of 5  h help  q quit',
    ]);
    expect(layout(view({ offset: 99 }), { columns: 60, rows: 6 }, plain)).toMatchObject({
      offset: 2,
      page: 3,
    });
  });

  it('says that it stands still, how it is sorted, and that it is reading', () => {
    expect(show(view({ paused: true, reverse: true, sort: 'name' }), 99, 9)[0]).toBe(
      'ipvs top  2 services, 3 destinations  every 1s  by name, least first  PAUSED',
    );
    expect(show(view({}, { servers: undefined }), 99, 9)[0]).toMatch(/^ipvs top {2}reading/);
    expect(show(view({}, { netns: 'a\x1b[2J' }), 99, 9)[0]).toContain('a?[2J');
  });

  it('explains its keys', () => {
    const text = show(view({ help: true }), 80, 24).join('\n');
    for (const words of ['c p b', 'sort by connections', 'Space', 'quit']) {
      expect(text).toContain(words);
    }
  });

  it('without destinations has services alone', () => {
    expect(show(view({ destinations: false }), 80, 24).join('\n')).not.toContain('->');
  });

  it('fits every terminal, in every state', () => {
    const sizes: fc.Arbitrary<Size> = fc.record({
      columns: fc.integer({ min: 1, max: 140 }),
      rows: fc.integer({ min: 1, max: 30 }),
    });
    const states = fc.array(
      fc.constantFrom(
        'c',
        'p',
        'b',
        'a',
        'i',
        'n',
        'r',
        'd',
        'h',
        'space',
        'down',
        'end',
        'page-down',
      ),
    );
    fc.assert(
      fc.property(sizes, states, (size, pressed) => {
        let state: State = FIRST;
        for (const key of pressed) {
          const screen = layout(view(state), size, plain);
          expect(screen.lines.length).toBeLessThanOrEqual(size.rows);
          for (const line of screen.lines) expect(line.length).toBeLessThanOrEqual(size.columns);
          state = press({ ...state, offset: screen.offset }, key, screen.page);
        }
      }),
    );
  });
});

test.each([
  [0, '0'],
  [0.25, '0.3'],
  [9.94, '9.9'],
  [9.96, '10'],
  [999.6, '1.0k'],
  [12_345, '12.3k'],
])('%d is shown as %s', (value, text) => {
  expect(rate(value)).toBe(text);
});
