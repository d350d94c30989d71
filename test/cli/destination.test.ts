import { Shell } from './shell';

const HTTP = 'tcp://10.0.0.1:80';

async function settings(shell: Shell): Promise<unknown> {
  const [{ destinations }] = JSON.parse(await shell.ok(`list ${HTTP} --output json`)) as [
    { destinations: Record<string, unknown>[] },
  ];
  return destinations.map(({ stats, ...rest }) => {
    expect(stats).toBeDefined();
    delete rest['activeConnections'];
    delete rest['inactiveConnections'];
    delete rest['persistentConnections'];
    return rest;
  });
}

let shell: Shell;
beforeEach(async () => {
  shell = new Shell();
  await shell.ok(`service add ${HTTP}`);
});

describe('ipvs destination add', () => {
  it('adds a destination with the defaults', async () => {
    await shell.ok(`destination add ${HTTP} 192.0.2.10:8080`);
    expect(await settings(shell)).toEqual([
      {
        address: '192.0.2.10',
        port: 8080,
        forward: 'masq',
        weight: 1,
        upperThreshold: 0,
        lowerThreshold: 0,
      },
    ]);
  });

  it('reaches every setting', async () => {
    await shell.ok(
      `dest add ${HTTP} 192.0.2.10:80 --forward tunnel --weight 5 --upper-threshold 100 --lower-threshold 50 --tunnel gue --tunnel-port 6080 --tunnel-checksum remote`,
    );
    expect(await settings(shell)).toEqual([
      {
        address: '192.0.2.10',
        port: 80,
        forward: 'tunnel',
        weight: 5,
        upperThreshold: 100,
        lowerThreshold: 50,
        tunnel: { type: 'gue', port: 6080, checksum: 'remote' },
      },
    ]);
  });

  it('takes a checksum without more words', async () => {
    await shell.ok(
      `dest add ${HTTP} 192.0.2.10:80 --forward tunnel --tunnel gre --tunnel-checksum`,
    );
    expect(await settings(shell)).toMatchObject([{ tunnel: { type: 'gre', checksum: true } }]);
  });

  it('names the service when that is not there', async () => {
    const { status, stderr } = await shell.type('dest add tcp://10.0.0.2:80 192.0.2.10:80');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^ipvs destination add tcp:\/\/10\.0\.0\.2:80 192\.0\.2\.10:80: no such service: add it first with ipvs service add/,
    );
  });
});

describe('ipvs destination set', () => {
  it('changes what is named and keeps the rest', async () => {
    await shell.ok(
      `dest add ${HTTP} 192.0.2.10:80 --forward tunnel --weight 5 --upper-threshold 100 --tunnel gue --tunnel-port 6080 --tunnel-checksum`,
    );
    await shell.ok(`destination set ${HTTP} 192.0.2.10:80 --weight 0`);
    expect(await settings(shell)).toEqual([
      {
        address: '192.0.2.10',
        port: 80,
        forward: 'tunnel',
        weight: 0,
        upperThreshold: 100,
        lowerThreshold: 0,
        tunnel: { type: 'gue', port: 6080, checksum: true },
      },
    ]);
    await shell.ok(`destination set ${HTTP} 192.0.2.10:80 --no-tunnel-checksum`);
    expect(await settings(shell)).toMatchObject([
      { weight: 0, tunnel: { type: 'gue', port: 6080, checksum: false } },
    ]);
  });

  it('drops the port and checksum of a tunnel for another one, and the tunnel for another method', async () => {
    await shell.ok(
      `dest add ${HTTP} 192.0.2.10:80 --forward tunnel --tunnel gue --tunnel-port 6080 --tunnel-checksum`,
    );
    await shell.ok(`dest set ${HTTP} 192.0.2.10:80 --tunnel gre`);
    expect(await settings(shell)).toMatchObject([{ tunnel: { type: 'gre', checksum: false } }]);
    await shell.ok(`dest set ${HTTP} 192.0.2.10:80 --forward masq`);
    expect(await settings(shell)).toEqual([
      expect.not.objectContaining({ tunnel: expect.anything() as unknown }),
    ]);
  });

  it('returns what is left out to its default with --replace', async () => {
    await shell.ok(`dest add ${HTTP} 192.0.2.10:80 --forward route --upper-threshold 9`);
    await shell.ok(`dest set ${HTTP} 192.0.2.10:80 --replace --weight 3`);
    expect(await settings(shell)).toMatchObject([
      { forward: 'masq', weight: 3, upperThreshold: 0 },
    ]);
  });

  it('fails for a destination that is not there', async () => {
    expect(await shell.type(`dest set ${HTTP} 192.0.2.10:80 --weight 3`)).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'ipvs destination set tcp://10.0.0.1:80 192.0.2.10:80: the service has no such destination: add it first with ipvs destination add\n',
    });
  });
});

describe('ipvs destination delete', () => {
  it('deletes that destination alone', async () => {
    await shell.ok(`dest add ${HTTP} 192.0.2.10:80`);
    await shell.ok(`dest add ${HTTP} 192.0.2.11:80`);
    await shell.ok(`dest delete ${HTTP} 192.0.2.10:80`);
    expect(await settings(shell)).toMatchObject([{ address: '192.0.2.11' }]);
  });
});
