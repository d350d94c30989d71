// The lines that ipvsadm saves: written as it writes them, read as it reads them.
import fc from 'fast-check';
import { parseIpvsadm, printIpvsadm } from '../lib/ipvsadm';
import { StateError } from '../lib/state/problems';
import { anyServers, settled } from './states';

// What ipvsadm 1.31 printed for `-S -n`, two tables of its transcripts.
const SAVED = `-A -t 10.0.0.1:0 -s sh -p 600 -M 255.255.255.0 -b sh-fallback,sh-port
-a -t 10.0.0.1:0 -r 10.1.1.9:0 -g -w 2147483647
-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.1.1.2:8080 -m -w 3
-a -t 10.0.0.1:80 -r 10.1.1.3:80 -g -w 1
-a -t 10.0.0.1:80 -r 10.1.1.4:80 -i -w 1 --tun-type ipip
-a -t 10.0.0.1:80 -r 10.1.1.5:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -t 10.0.0.1:80 -r 10.1.1.6:80 -i -w 1 --tun-type gre --tun-nocsum
-a -t 10.0.0.1:80 -r 10.1.1.7:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum
-a -t 10.0.0.1:80 -r [2001:db8::7]:80 -i -w 1 --tun-type ipip
-a -t 10.0.0.1:80 -r 127.0.0.1:8080 -m -w 5
-A -t 10.0.0.2:443 -s mh -b mh-port
-A -t 10.0.0.2:444 -s wlc -p 360
-A -u 10.0.0.1:53 -s wrr -o
-a -u 10.0.0.1:53 -r 10.1.1.2:53 -m -w 1
-A -u 10.0.0.2:5060 -s wlc -p 60 --pe sip
-A --sctp-service 10.0.0.1:132 -s wlc
-A -t [2001:db8::1]:80 -s lc
-a -t [2001:db8::1]:80 -r [2001:db8::2]:8080 -m -w 10
-A -f 7 -s wlc
-a -f 7 -r 10.1.1.2:0 -m -w 1
-A -f 8 -6 -s wlc -p 300 -M 64
-a -f 8 -6 -r [2001:db8::9]:0 -g -w 1
`;
// Addresses that are 2^31 or more apart sort the other way round.
const ODD = `-A -t 10.0.0.1:80 -s wlc
-a -t 10.0.0.1:80 -r 10.1.1.2:8080 -m -w 1
-a -t 10.0.0.1:80 -r 10.1.1.5:80 -m -w 1
-a -t 10.0.0.1:80 -r [2001:db8::7]:80 -i -w 1 --tun-type ipip
-A -u 10.0.0.1:80 -s rr
-A -t [fe80::1]:80 -s wlc
-A -t [2001:db8::1]:81 -s rr
-a -t [2001:db8::1]:81 -r 10.9.9.9:81 -i -w 1 --tun-type gue --tun-port 5555 --tun-nocsum
`;

describe('what ipvsadm saved', () => {
  test.each([SAVED, ODD])('comes out as it went in', (text) => {
    expect(printIpvsadm(parseIpvsadm(text).services)).toBe(text);
  });

  test('in whatever order it is given', () => {
    const { services } = parseIpvsadm(SAVED);
    const any = fc.shuffledSubarray([...services], { minLength: services.length });
    fc.assert(
      fc.property(any, (shuffled) => {
        expect(printIpvsadm(shuffled)).toBe(SAVED);
      }),
    );
  });
});

test('what is written is read again, thresholds too', () => {
  fc.assert(
    fc.property(anyServers, (servers) => {
      expect(settled(parseIpvsadm(printIpvsadm(servers)).services)).toEqual(settled(servers));
    }),
    { numRuns: 1000 },
  );
});

describe('lines that people write', () => {
  test.each([
    ['-A -t 10.0.0.1:80', '-A -t 10.0.0.1:80 -s wlc'],
    ['  ipvsadm\t-A  -t 10.0.0.1:80 -s rr # web', '-A -t 10.0.0.1:80 -s rr'],
    ['--add-service --tcp-service 10.0.0.1:80 --scheduler=rr', '-A -t 10.0.0.1:80 -s rr'],
    ['-A -u=10.0.0.1:53 -srr -op60', '-A -u 10.0.0.1:53 -s rr -p 60 -o'],
    ['-A -t 10.0.0.1:80 -p -s rr', '-A -t 10.0.0.1:80 -s rr -p 360'],
    ['-A -t 10.0.0.1 -p 5', '-A -t 10.0.0.1:0 -s wlc -p 5'],
    ['-A -t 2001:db8:0::1 -p 5', '-A -t [2001:db8::1]:0 -s wlc -p 5'],
    ['-A -f9 -6', '-A -f 9 -6 -s wlc'],
    // The kernel never asks for either.
    ['-A -t 10.0.0.1:80 -M 255.255.0.0 --pe sip', '-A -t 10.0.0.1:80 -s wlc'],
    ['-A -t 10.0.0.1:80 -s sh -b flag-1', '-A -t 10.0.0.1:80 -s sh -b sh-fallback'],
  ])('%s', (line, saved) => {
    expect(printIpvsadm(parseIpvsadm(line).services)).toBe(`${saved}\n`);
  });

  test.each([
    ['-r 10.1.1.1 -mw5 -x 7', '-r 10.1.1.1:80 -m -w 5 -x 7'],
    ['-r 10.1.1.1:8080', '-r 10.1.1.1:80 -g -w 1'],
    ['-r 10.1.1.1:8080 -i', '-r 10.1.1.1:80 -i -w 1 --tun-type ipip'],
    ['--real-server 10.1.1.1:8080 --masquerading', '-r 10.1.1.1:8080 -m -w 1'],
  ])('-a … %s', (options, saved) => {
    const text = `-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 ${options}`;
    expect(printIpvsadm(parseIpvsadm(text).services)).toBe(
      `-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 ${saved}\n`,
    );
  });

  test('are carried out one after the other, on an empty table', () => {
    const text = `# what was
-A -t 10.0.0.9:80
-C
-A -t 10.0.0.1:80 -s rr -p 60
-A -t 10.0.0.2:80
-E -t 10.0.0.1:80

-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 5 -x 10
-a -t 10.0.0.1:80 -r 10.1.1.2:8080 -m
-e -t 10.0.0.1:80 -r 10.1.1.1:8080 -m
-d -t 10.0.0.1:80 -r 10.1.1.2:8080
-D -t 10.0.0.2:80
--set 0 50 40`;
    const { services, timeouts, clearedAt } = parseIpvsadm(text);
    expect(printIpvsadm(services)).toBe(
      '-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 1\n',
    );
    expect({ timeouts, clearedAt }).toEqual({ timeouts: { tcpFin: 50, udp: 40 }, clearedAt: 3 });
  });
});

/** What a line alone is told, under `-A -t 10.0.0.1:80`, and the word it is about. */
function complaint(line: string): { message: string; word: string } {
  try {
    parseIpvsadm(`-A -t 10.0.0.1:80\n${line}\n`);
  } catch (error) {
    const { problems, count } = error as StateError;
    const [first] = problems;
    if (first === undefined) throw error;
    const { message, column, length, source, line: number } = first;
    expect({ count, number, source }).toEqual({ count: 1, number: 2, source: line });
    return { message, word: source.slice(column - 1, column - 1 + length) };
  }
  throw new Error(`${line}: taken`);
}

test.each([
  ['-X', '-X', 'a line begins with -A'],
  ['10.0.0.1:80 -A', '10.0.0.1:80', 'a line begins with -A'],
  ['-L -n', '-L', 'a line begins with -A'],
  ['-A -t 10.0.0.1:80', '10.0.0.1:80', 'is here twice: first at 1:1'],
  ['-A -s rr', '-A', 'which service?'],
  ['-A -t', '-t', 'its value is missing'],
  ['-A -t web:http', 'web:http', 'names are not looked up'],
  ['-A -t 10.0.0.2:http', '10.0.0.2:http', 'names are not looked up'],
  ['-A -t 10.0.0.2', '10.0.0.2', '0 takes every port only with persistence'],
  ['-A -t [10.0.0.2]:80', '[10.0.0.2]:80', 'write 10.0.0.1:80'],
  ['-A -t 10.0.0.2:80 -u 10.0.0.2:80', '-u', 'after -t there is no room'],
  ['-A -t 10.0.0.2:80 -s RR', 'RR', 'is no scheduler'],
  ['-A -t 10.0.0.2:80 -w 5', '-w', 'no option of --add-service'],
  ['-A -t 10.0.0.2:80 --scheduler', '--scheduler', 'its value is missing'],
  ['-A -t 10.0.0.2:80 --ops=1', '--ops=1', 'no option'],
  ['-A -t 10.0.0.2:80 -o', '-o', 'only for udp'],
  ['-A -t 10.0.0.2:80 -b mh-port', 'mh-port', 'a flag of mh, not of wlc'],
  ['-A -t 10.0.0.2:80 -s sh -b port4', 'port4', 'is no flag'],
  ['-A -t 10.0.0.2:80 -p 0', '0', 'out of range'],
  ['-A -t 10.0.0.2:80 -p 5m', '5m', 'not a plain decimal number'],
  ['-A -t 10.0.0.2:80 -p 5 -M 255.0.255.0', '255.0.255.0', 'no mask of leading bits'],
  ['-A -t 10.0.0.2:80 -p 5 -M 0.0.0.0', '0.0.0.0', 'no mask of leading bits'],
  ['-A -f 8 -6 -p 5 -M 129', '129', 'out of range'],
  ['-A -f 0x10', '0x10', 'not a plain decimal number'],
  ['-A -f 4294967296', '4294967296', 'out of range'],
  ['-A -6 -f 8', '-6', 'only after -f'],
  ['-A -t 10.0.0.2:80 -6', '-6', 'only after -f'],
  ['-E -t 10.0.0.2:80', '10.0.0.2:80', 'is not there'],
  ['-D -t 10.0.0.2:80', '10.0.0.2:80', 'is not there'],
  ['-a -t 10.0.0.2:80 -r 10.1.1.1:80', '10.0.0.2:80', 'is not there'],
  ['-a -t 10.0.0.1:80', '-a', 'which server?'],
  ['-a -t 10.0.0.1:80 -r [2001:db8::1]:80 -m', '[2001:db8::1]:80', 'crosses families'],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -m -g', '-g', 'after -m there is no room'],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -w -1', '-1', 'not a plain decimal number'],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -w 2147483648', '2147483648', 'out of range'],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -x 5 -y 6', '6', 'above upperThreshold'],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -i --tun-type gue', 'gue', 'is missing'],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -i --tun-type vxlan', 'vxlan', 'is no tunnel'],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -m --tun-type gre', '--tun-type', "only for forward 'tunnel'"],
  ['-a -t 10.0.0.1:80 -r 10.1.1.1 -i --tun-csum', '--tun-csum', 'ipip has no checksum'],
  ['-d -t 10.0.0.1:80 -r 10.1.1.1', '10.1.1.1', 'is not there'],
  ['-C -t 10.0.0.1:80', '-t', '-C takes no more'],
  ['--set 1 2', '--set', 'three timeouts'],
  ['--set 1 2 3 4', '4', 'three timeouts'],
  ['--set 1 2 2678401', '2678401', 'out of range'],
])('%s', (line, word, words) => {
  const found = complaint(line);
  expect(found).toEqual({ word, message: expect.stringContaining(words) as string });
});

test('a service whose settings are wrong is there for the lines below', () => {
  expect(() => parseIpvsadm('-A -t 1.1.1.1:80 -s RR\n-a -t 1.1.1.1:80 -r 2.2.2.2')).toThrow(
    /^parseIpvsadm: 1:21: scheduler: "RR" is no scheduler: [^(]*$/,
  );
});

test('no text makes it fail otherwise', () => {
  const word = fc.constantFrom(
    ...'-A -E -D -C -a -e -d --set ipvsadm -t -u -f -6 -r -m -g -i -w -p -M -b -x -y'.split(' '),
    ...'10.0.0.1:80 10.1.1.1 [::1]:80 :: 7 0 -1 rr sh-port --tun-type gue # = - -- --= -t= \n'.split(
      ' ',
    ),
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word, { maxLength: 30 }).map((words) => words.join(' ')),
  );
  fc.assert(
    fc.property(text, (lines) => {
      try {
        parseIpvsadm(lines);
      } catch (error) {
        expect(error).toBeInstanceOf(StateError);
      }
    }),
    { numRuns: 2000 },
  );
});
