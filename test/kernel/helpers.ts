// What tests on a real kernel stand on: network namespaces of their own, made and taken away again, and the programs that
// look at them from outside. Never the table of the host.
import { execFileSync } from 'node:child_process';
import { open, openSync, type Ipvs, type IpvsSync } from '../../lib/client';
import { asynchronously, DEVICE, DOWN_DEVICE, FOREIGN_DEVICE } from '../contract/kit';
import type { Place } from '../contract';
import { asRun, feed } from './feed';

let made = 0;

/** Runs a program and returns what it writes; what it complains about is in the error. */
export function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A network namespace with loopback up, and nothing else in it. */
export class Namespace {
  readonly name = `ipvs-test-${process.pid}-${made++}`;

  constructor() {
    run('ip', 'netns', 'add', this.name);
    this.ip('link', 'set', 'lo', 'up');
  }

  /** `ip` inside, without the cost of entering. */
  ip(...args: readonly string[]): string {
    return run('ip', '-n', this.name, ...args);
  }

  /** Any program inside. */
  run(command: string, ...args: readonly string[]): string {
    return run('ip', 'netns', 'exec', this.name, command, ...args);
  }

  ipvsadm(...args: readonly string[]): string {
    return this.run('ipvsadm', ...args);
  }

  /** A dummy interface; those that are up have an address, which a sync daemon likes to send from. */
  addDevice(name: string, { up = true } = {}): void {
    this.ip('link', 'add', name, 'type', 'dummy');
    if (!up) return;
    this.ip('addr', 'add', `198.51.100.${this.#devices++}/32`, 'dev', name);
    this.ip('link', 'set', name, 'up');
  }
  #devices = 1;

  open(timeout = 30_000): Promise<Ipvs> {
    return open({ netns: this.name, timeout });
  }

  openSync(timeout = 30_000): IpvsSync {
    return openSync({ netns: this.name, timeout });
  }

  delete(): void {
    run('ip', 'netns', 'delete', this.name);
  }
}

/** Does something in a namespace that is gone afterwards. */
export async function inNamespace<T>(use: (namespace: Namespace) => Promise<T>): Promise<T> {
  const namespace = new Namespace();
  try {
    return await use(namespace);
  } finally {
    namespace.delete();
  }
}

/** A place for the contract suite: a namespace with the interfaces that the suite knows. */
export async function kernelPlace(client: 'asynchronous' | 'synchronous'): Promise<Place> {
  const namespace = new Namespace();
  namespace.addDevice(DEVICE);
  namespace.addDevice(DOWN_DEVICE, { up: false });
  namespace.addDevice(FOREIGN_DEVICE);
  const opened: Ipvs[] = [];
  const openOne = async (): Promise<Ipvs> => {
    const one =
      client === 'asynchronous' ? await namespace.open() : asynchronously(namespace.openSync());
    opened.push(one);
    return one;
  };
  return {
    client: await openOne(),
    open: openOne,
    connect: (rows) => {
      run('modprobe', 'ip_vs_pe_sip');
      feed(namespace, ...rows.map(asRun));
      return Promise.resolve();
    },
    release: async () => {
      for (const one of opened) await one.close();
      namespace.delete();
    },
  };
}
