import { Shell } from './shell';

const HTTP = 'tcp://10.0.0.1:80';

async function settings(shell: Shell, service: string): Promise<Record<string, unknown>> {
  const [found] = JSON.parse(await shell.ok(`list ${service} --output json`)) as [
    Record<string, unknown>,
  ];
  const { scheduler, schedulerFlags, persistence, onePacket } = found;
  return { scheduler, schedulerFlags, persistence, onePacket };
}

describe('ipvs service add', () => {
  it('adds a service with the defaults of the kernel', async () => {
    const shell = new Shell();
    await shell.ok(`service add ${HTTP}`);
    expect(await settings(shell, HTTP)).toEqual({
      scheduler: 'wlc',
      schedulerFlags: [],
      persistence: undefined,
      onePacket: false,
    });
  });

  it('reaches every setting', async () => {
    const shell = new Shell();
    await shell.ok(
      'svc add udp://10.0.0.1:5060 --scheduler sh --scheduler-flags fallback,port --persistence 60 --persistence-prefix 24 --persistence-engine sip --one-packet',
    );
    expect(await settings(shell, 'udp://10.0.0.1:5060')).toEqual({
      scheduler: 'sh',
      schedulerFlags: ['fallback', 'port'],
      persistence: { timeout: 60, prefix: 24, engine: 'sip' },
      onePacket: true,
    });
  });

  it('takes services by firewall mark, of either family', async () => {
    const shell = new Shell();
    await shell.ok('service add fwmark:7');
    await shell.ok('service add fwmark6:7');
    const found = JSON.parse(await shell.ok('list --output json')) as unknown[];
    expect(found).toMatchObject([
      { fwmark: 7, family: 'ipv4' },
      { fwmark: 7, family: 'ipv6' },
    ]);
  });

  it('says what to do when the service exists', async () => {
    const shell = new Shell();
    await shell.ok(`service add ${HTTP}`);
    expect(await shell.type(`service add ${HTTP}`)).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'ipvs service add tcp://10.0.0.1:80: the service exists already: change it with ipvs service set\n',
    });
  });
});

describe('ipvs service set', () => {
  it('changes what is named and keeps the rest', async () => {
    const shell = new Shell();
    await shell.ok(
      'service add udp://10.0.0.1:53 --scheduler wrr --persistence 60 --persistence-prefix 24 --one-packet',
    );
    await shell.ok('service set udp://10.0.0.1:53 --persistence 90');
    expect(await settings(shell, 'udp://10.0.0.1:53')).toEqual({
      scheduler: 'wrr',
      schedulerFlags: [],
      persistence: { timeout: 90, prefix: 24 },
      onePacket: true,
    });
  });

  it('returns what is left out to its default with --replace', async () => {
    const shell = new Shell();
    await shell.ok('service add udp://10.0.0.1:53 --scheduler wrr --persistence 60 --one-packet');
    await shell.ok('service set udp://10.0.0.1:53 --replace --scheduler rr');
    expect(await settings(shell, 'udp://10.0.0.1:53')).toEqual({
      scheduler: 'rr',
      schedulerFlags: [],
      persistence: undefined,
      onePacket: false,
    });
  });

  it('takes settings away', async () => {
    const shell = new Shell();
    const service = 'udp://10.0.0.1:5060';
    await shell.ok(
      `service add ${service} --scheduler sh --scheduler-flags port --persistence 60 --persistence-prefix 24 --persistence-engine sip --one-packet`,
    );
    await shell.ok(`service set ${service} --no-persistence-prefix --no-persistence-engine`);
    expect(await settings(shell, service)).toMatchObject({
      persistence: { timeout: 60, prefix: 32 },
    });
    await shell.ok(`service set ${service} --no-persistence --no-one-packet --no-scheduler-flags`);
    expect(await settings(shell, service)).toEqual({
      scheduler: 'sh',
      schedulerFlags: [],
      persistence: undefined,
      onePacket: false,
    });
  });

  it('keeps the flags of a scheduler for one that knows the same, and for no other', async () => {
    const shell = new Shell();
    await shell.ok(`service add ${HTTP} --scheduler sh --scheduler-flags fallback`);
    await shell.ok(`service set ${HTTP} --scheduler mh`);
    expect(await settings(shell, HTTP)).toMatchObject({ schedulerFlags: ['fallback'] });
    await shell.ok(`service set ${HTTP} --scheduler rr`);
    expect(await settings(shell, HTTP)).toMatchObject({ scheduler: 'rr', schedulerFlags: [] });
  });

  it('fails for a service that is not there', async () => {
    expect(await new Shell().type(`service set ${HTTP} --scheduler rr`)).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'ipvs service set tcp://10.0.0.1:80: no such service: add it first with ipvs service add, or see ipvs list for what there is\n',
    });
  });
});

describe('ipvs service delete', () => {
  it('deletes the service', async () => {
    const shell = new Shell();
    await shell.ok(`service add ${HTTP}`);
    await shell.ok(`service delete ${HTTP}`);
    expect(await shell.ok('list --output json')).toBe('[]\n');
  });

  it('fails for a service that is not there', async () => {
    const { status, stderr } = await new Shell().type(`service delete ${HTTP}`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^ipvs service delete tcp:\/\/10\.0\.0\.1:80: no such service: /);
  });
});
