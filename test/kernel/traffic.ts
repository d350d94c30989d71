// Real connections through IPVS, and the kernel's own words for them, read without any of our code.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Connection } from '../../lib';
import type { Namespace } from './helpers';

const PROGRAM = path.join(__dirname, 'programs/traffic.pl');

export interface Flow {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly client: string;
  readonly service: string;
  readonly destination: string;
  readonly port: number;
  readonly count: number;
}

/** Opens connections and keeps them; the function it resolves with lets go of them. */
export async function traffic(
  namespace: Namespace,
  flows: readonly Flow[],
): Promise<() => Promise<void>> {
  const args = flows.flatMap(({ protocol, client, service, destination, port, count }) =>
    [protocol, client, service, destination, port, count].map(String),
  );
  const child = spawn('ip', ['netns', 'exec', namespace.name, 'perl', PROGRAM, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const end = once(child, 'close');
  const [said] = (await Promise.race([once(child.stdout, 'data'), end])) as [unknown];
  if (String(said) !== 'ready\n') throw new Error(`traffic ended: ${String(said)}`);
  return async () => {
    child.stdin.end();
    await end;
  };
}

const PROTOCOLS: Readonly<Record<string, string>> = {
  TCP: 'tcp',
  UDP: 'udp',
  SCTP: 'sctp',
  IP: 'ip',
};

// Longer than what helpers take from a program.
function read(namespace: Namespace, file: string): string {
  const args = ['netns', 'exec', namespace.name, 'cat', `/proc/net/${file}`];
  return execFileSync('ip', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
}

/** The kernel's file as rows, taken apart by nothing but spaces. */
export function rawRows(namespace: Namespace, file = 'ip_vs_conn'): Connection[] {
  const [header = '', ...lines] = read(namespace, file).split('\n').slice(0, -1);
  const withOrigin = header.includes('Origin');
  return lines.map((line) => {
    const [
      protocol = '',
      ca = '',
      cp = '',
      va = '',
      vp = '',
      da = '',
      dp = '',
      state = '',
      ...rest
    ] = line.split(/ +/);
    const origin = withOrigin ? rest.shift() : undefined;
    const [expires, name, ...data] = rest;
    return {
      protocol: PROTOCOLS[protocol] ?? protocol,
      client: end(ca, cp),
      virtual: end(va, vp),
      destination: end(da, dp),
      state,
      expires: Number(expires),
      ...(name === undefined ? {} : { engine: { name, data: data.join(' ') } }),
      ...(origin === undefined ? {} : { origin: origin.toLowerCase() as 'local' | 'sync' }),
    };
  });
}

function end(address: string, port: string): Connection['client'] {
  const text = address.includes(':')
    ? new URL(`http://[${address}]`).hostname.slice(1, -1)
    : (address.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).join('.');
  return { address: text, port: Number.parseInt(port, 16) };
}

/** A row as `ipvsadm -Lnc` prints it, its spaces made one. */
export function ipvsadmLine({ protocol, client, virtual, destination, state }: Connection): string {
  const [from, to, over] = [client, virtual, destination].map(({ address, port }) =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
  );
  return [protocol.toUpperCase(), state, from, to, over].join(' ');
}

/** What `ipvsadm -Lnc` prints, without the times. */
export function ipvsadmLines(namespace: Namespace): string[] {
  const [, , ...lines] = namespace.ipvsadm('-Lnc').split('\n').slice(0, -1);
  return lines.map((line) =>
    line
      .trim()
      .replace(/ +/g, ' ')
      .replace(/ \d+:\d\d /, ' '),
  );
}

/** The same rows but for the seconds left, which pass: those may differ by what passed between two reads. */
export function expectSame(ours: readonly Connection[], theirs: readonly Connection[]): void {
  const timeless = (row: Connection): object => ({ ...row, expires: undefined });
  expect(ours.map(timeless)).toEqual(theirs.map(timeless));
  const apart = ours.map(({ expires }, i) => Math.abs(expires - (theirs[i]?.expires ?? 0)));
  expect(Math.max(0, ...apart)).toBeLessThan(5);
}
