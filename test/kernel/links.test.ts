// Network devices and their addresses, against what ip(8) says.
import { execFileSync } from 'node:child_process';
import { loadBinding } from '../../lib/native';
import { LINK_LAYOUT } from '../../lib/node/link-records';
import { openLinks, type Links } from '../../lib/node/links';
import { run } from './helpers';

const NETNS = 'links-test';
const ip = (...args: string[]) =>
  execFileSync('ip', ['-n', NETNS, ...args], { encoding: 'utf8', stdio: 'pipe' });

// The kernel loads IPv6 when somebody opens a socket of it, and none of these tests does.
beforeAll(() => {
  run('modprobe', 'ipv6');
});

let links: Links;
beforeEach(async () => {
  execFileSync('ip', ['netns', 'add', NETNS]);
  links = await openLinks(`/run/netns/${NETNS}`);
});
afterEach(async () => {
  await links.close();
  execFileSync('ip', ['netns', 'delete', NETNS]);
});

async function linkOf(name: string) {
  const link = (await links.links()).find((one) => one.name === name);
  if (link === undefined) throw new Error(`no ${name}`);
  return link;
}

test('C++ and TypeScript describe the same records', () => {
  const native = JSON.parse(loadBinding().layout()) as Record<string, unknown>;
  for (const [record, fields] of Object.entries(LINK_LAYOUT))
    expect([record, native[record]]).toEqual([record, fields]);
});

test('a dummy device is made down, is seen, and goes', async () => {
  await links.addDummy('kube-ipvs0');
  const link = await linkOf('kube-ipvs0');
  expect(link).toMatchObject({ kind: 'dummy', loopback: false });
  expect(ip('link', 'show', 'kube-ipvs0')).toMatch(/NOARP.* state DOWN/);
  await expect(links.addDummy('kube-ipvs0')).rejects.toThrow(
    'addLink kube-ipvs0: it exists already',
  );
  await links.deleteLink(link.index);
  expect((await links.links()).map(({ name }) => name)).not.toContain('kube-ipvs0');
  await expect(links.deleteLink(link.index)).rejects.toMatchObject({ code: 'ENODEV' });
});

test('addresses are bound with a full prefix, listed canonically, and taken off', async () => {
  await links.addDummy('d0');
  const { index } = await linkOf('d0');
  const all = ['10.1.2.3', '169.254.20.10', 'fd00::1', '2001:db8::ff'];
  const add = all.map((address) => ({ op: 'add' as const, link: index, address }));
  expect((await links.changeAddresses(add)).filter(({ error }) => error !== undefined)).toEqual([]);
  const shown = ip('-o', 'address', 'show', 'd0');
  for (const address of all)
    expect(shown).toContain(`${address}/${address.includes(':') ? 128 : 32} `);
  expect((await links.addresses()).map(({ address }) => address)).toEqual(
    expect.arrayContaining(all),
  );

  const remove = all.map((address) => ({ op: 'remove' as const, link: index, address }));
  await links.changeAddresses(remove);
  expect((await links.addresses()).filter(({ link }) => link === index)).toEqual([]);
});

test('doing it twice is fine; what cannot be done is said of the one that it is about', async () => {
  await links.addDummy('d0');
  const { index } = await linkOf('d0');
  const change = (op: 'add' | 'remove', address: string, link = index) => ({ op, link, address });
  const outcomes = await links.changeAddresses([
    change('add', '10.0.0.1'),
    change('add', '10.0.0.1'),
    change('add', '10.0.0.2', 9999),
    change('remove', '10.0.0.3'),
    change('add', 'fd00::2'),
  ]);
  expect(outcomes.map(({ error }) => error?.message)).toEqual([
    undefined,
    undefined,
    'addAddress 10.0.0.2: the device is gone: try again',
    undefined,
    undefined,
  ]);
});

test('thousands of addresses go in a few system calls and come back in one dump', async () => {
  await links.addDummy('d0');
  const { index } = await linkOf('d0');
  const all = Array.from({ length: 5000 }, (_, i) => `10.9.${i >> 8}.${i & 255}`);
  await links.changeAddresses(all.map((address) => ({ op: 'add', link: index, address })));
  const found = (await links.addresses()).filter(({ link }) => link === index);
  expect(new Set(found.map(({ address }) => address))).toEqual(new Set(all));
});

test('a namespace that is not there is named', async () => {
  await expect(openLinks('/run/netns/nowhere')).rejects.toThrow(
    'openLinks: there is no such namespace: see ip netns',
  );
});
