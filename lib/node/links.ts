// Network devices and their addresses, over the border.
import type { IpvsError } from '../errors';
import { loadBinding, RouteOp, type RouteHandle } from '../native';
import type { BoundAddress } from './addresses';
import { explain, PLACE_WORDS, toError } from './explain';
import {
  readAddresses,
  readLinks,
  writeAddressChanges,
  writeLink,
  type AddressChange,
  type Link,
} from './link-records';

/** The devices of one network namespace. Every call rejects with an IpvsError. */
export interface Links {
  links(): Promise<Link[]>;
  /** Every address of every device, in one dump. */
  addresses(): Promise<BoundAddress[]>;
  /** In order, pipelined. An address that is there already, or gone already, is as good as done. */
  changeAddresses(changes: readonly AddressChange[]): Promise<AddressOutcome[]>;
  /** Makes a dummy device, which stays down. */
  addDummy(name: string): Promise<void>;
  deleteLink(index: number): Promise<void>;
  close(): Promise<void>;
}
export interface AddressOutcome {
  readonly change: AddressChange;
  readonly error?: IpvsError;
}

const TIMEOUT = 30_000;
const EEXIST = 17;
const EADDRNOTAVAIL = 99;
const NOTHING = new Uint8Array(0);

/** @param netns - a path; empty for the caller's own namespace */
export async function openLinks(netns: string): Promise<Links> {
  try {
    return new NativeLinks(await loadBinding().openRoute(netns, TIMEOUT));
  } catch (error) {
    throw explain('openLinks', error, WORDS);
  }
}

class NativeLinks implements Links {
  readonly #handle: RouteHandle;

  constructor(handle: RouteHandle) {
    this.#handle = handle;
  }

  async links() {
    return readLinks(await this.#call('links', RouteOp.links, NOTHING));
  }

  async addresses() {
    return readAddresses(await this.#call('addresses', RouteOp.addresses, NOTHING));
  }

  async changeAddresses(changes: readonly AddressChange[]) {
    const request = writeAddressChanges(changes);
    const errors = new Int32Array(
      await this.#call('changeAddresses', RouteOp.changeAddresses, request),
    );
    return changes.map((change, i): AddressOutcome => {
      const errno = errors[i] ?? 0;
      const done = errno === 0 || errno === (change.op === 'add' ? EEXIST : EADDRNOTAVAIL);
      return done ? { change } : { change, error: addressError(change, errno) };
    });
  }

  async addDummy(name: string) {
    await this.#call(`addLink ${name}`, RouteOp.addDummy, writeLink({ name }));
  }

  async deleteLink(index: number) {
    await this.#call('deleteLink', RouteOp.deleteLink, writeLink({ index }));
  }

  close() {
    return this.#handle.close();
  }

  async #call(operation: string, op: RouteOp, request: Uint8Array): Promise<ArrayBuffer> {
    try {
      return await this.#handle.call(op, request);
    } catch (error) {
      throw explain(operation, error, WORDS);
    }
  }
}

function addressError({ op, address }: AddressChange, errno: number): IpvsError {
  return toError(`${op === 'add' ? 'addAddress' : 'removeAddress'} ${address}`, errno, WORDS);
}

const WORDS: Readonly<Record<string, string>> = {
  ...PLACE_WORDS,
  EEXIST: 'it exists already: see ip link',
  ENODEV: 'the device is gone: try again',
  ENOTSUP: 'the kernel has no such devices or addresses: modprobe dummy, and ipv6 for IPv6',
};
