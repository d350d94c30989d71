// ipvs diff, apply, save and restore.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Shell } from './shell';

let folder: string;
let shell: Shell;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ipvs-cli-state-'));
  shell = new Shell();
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function file(text: string, name = 'web.yaml'): string {
  const at = path.join(folder, name);
  writeFileSync(at, text);
  return at;
}

const WEB = `timeouts: { udp: 30 }
services:
  - service: tcp://10.0.0.1:80
    scheduler: wrr
    destinations: [192.0.2.10:8080, { destination: 192.0.2.11:8080, weight: 3, upperThreshold: 7 }]
`;
const LINES = `-A -t 10.0.0.1:80 -s wrr
-a -t 10.0.0.1:80 -r 192.0.2.10:8080 -m -w 1
-a -t 10.0.0.1:80 -r 192.0.2.11:8080 -m -w 3 -x 7
`;

describe('diff', () => {
  test('shows what apply would do, and changes nothing', async () => {
    const web = file(WEB);
    const { status, stdout } = await shell.type(`diff -f ${web}`);
    expect(status).toBe(1);
    expect(stdout).toBe(`+ tcp://10.0.0.1:80 scheduler wrr
+ tcp://10.0.0.1:80 192.0.2.10:8080 forward masq weight 1
+ tcp://10.0.0.1:80 192.0.2.11:8080 forward masq weight 3 upper-threshold 7
~ timeouts udp 300 → 30
`);
    expect(await shell.ok('list --output save')).toBe('');
    await shell.ok(`apply -f ${web}`);
    expect(await shell.ok(`diff -f ${web}`)).toBe('');
  });

  test("as data, and as ipvsadm's lines", async () => {
    const web = file(WEB);
    const { stdout } = await shell.type(`diff -f ${web} --output json`);
    expect(JSON.parse(stdout)).toMatchObject({
      changes: [{ op: 'addService' }, { op: 'addDestination' }, { op: 'addDestination' }],
      timeouts: { udp: 30 },
    });
    const lines = await shell.type(`diff -f ${web} --output save`);
    expect(lines).toMatchObject({ status: 1, stdout: `${LINES}--set 0 0 30\n` });
  });

  test.each([
    ['gone.yaml', 'ipvs diff: gone.yaml: there is no such file: check its name\n'],
    ['/', 'ipvs diff: /: that is a directory: name a file in it\n'],
  ])('trouble with %s is 2', async (name, stderr) => {
    expect(await shell.type(`diff -f ${name}`)).toEqual({ status: 2, stdout: '', stderr });
  });

  test('so is a kernel without IPVS: 1 is a difference', async () => {
    const broken = new Shell(() => Promise.reject(new Error('no IPVS')));
    expect(await broken.type(`diff -f ${file(WEB)}`)).toMatchObject({ status: 2 });
  });
});

describe('apply', () => {
  test('makes services what the file says, and leaves others alone', async () => {
    await shell.ok('service add tcp://10.0.0.1:80 --scheduler rr');
    await shell.ok('destination add tcp://10.0.0.1:80 192.0.2.10:8080 --weight 9');
    await shell.ok('destination add tcp://10.0.0.1:80 192.0.2.99:8080');
    await shell.ok('service add tcp://10.0.0.2:80');
    await shell.ok(`apply -f ${file(WEB)}`);
    expect(await shell.ok('save')).toBe(`${LINES}-A -t 10.0.0.2:80 -s wlc\n`);
    expect(await shell.ok('timeouts --output json')).toContain('"udp": 30');
  });

  test('tells as data what became of each change', async () => {
    const command = `apply -f ${file(WEB)} --output json`;
    expect(JSON.parse(await shell.ok(command))).toMatchObject({
      outcomes: [
        { change: { op: 'addService' }, status: 'done' },
        { change: { op: 'addDestination' }, status: 'done' },
        { change: { op: 'addDestination' }, status: 'done' },
      ],
      restored: [],
    });
    expect(JSON.parse(await shell.ok(command))).toEqual({ outcomes: [], restored: [] });
  });

  test('keeps weights when it is told to', async () => {
    await shell.ok(`apply -f ${file(WEB)}`);
    await shell.ok('destination set tcp://10.0.0.1:80 192.0.2.10:8080 --weight 9');
    await shell.ok(`apply -f ${file(WEB)} --keep-weights`);
    expect(await shell.ok('save')).toContain('-r 192.0.2.10:8080 -m -w 9\n');
    await shell.ok(`apply -f ${file(WEB)}`);
    expect(await shell.ok('save')).toBe(LINES);
  });

  test('prunes the networks that it is told, when that is meant', async () => {
    for (const id of [
      'tcp://10.9.0.1:80',
      'tcp://10.8.0.1:80',
      'tcp://[2001:db8::1]:80',
      'fwmark:7',
    ]) {
      await shell.ok(`service add ${id}`);
    }
    const command = `apply -f ${file(WEB)} --prune 10.9.0.0/16 2001:db8::/32`;
    expect(await shell.type(command)).toEqual({
      status: 2,
      stdout: '',
      stderr: 'ipvs apply: this cannot be undone and there is no terminal to ask on: give --yes\n',
    });
    expect(await shell.ok(`${command} --dry-run`)).toContain(
      '- tcp://10.9.0.1:80\n- tcp://[2001:db8::1]:80\n',
    );
    shell.isTTY = { stdin: true, stdout: true, stderr: true };
    shell.stdin = 'n\n';
    expect(await shell.type(command)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('Delete 2 services that the state does not have?') as string,
    });
    expect(await shell.ok('list --output save')).toContain('10.9.0.1');
    shell.stdin = 'y\n';
    expect(await shell.type(command)).toMatchObject({ status: 0 });
    expect(await shell.ok('save')).toBe(`${LINES}-A -t 10.8.0.1:80 -s wlc\n-A -f 7 -s wlc\n`);
  });

  test('without anything to prune there is nothing to ask', async () => {
    shell.isTTY = { stdin: true, stdout: true, stderr: true };
    expect(await shell.type(`apply -f ${file(WEB)} --prune 10.9.0.0/16`)).toMatchObject({
      status: 0,
      stderr: '3 changes done\n',
    });
  });

  test('reads stdin, which cannot answer as well', async () => {
    shell.stdin = WEB;
    expect(await shell.type('apply -f - --prune 10.0.0.0/8')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('stdin is the state and cannot answer') as string,
    });
    await shell.ok('apply -f - --prune 10.0.0.0/8 --yes');
    expect(await shell.ok('save')).toBe(LINES);
  });

  test('what is wrong with the file is shown, and nothing done', async () => {
    const bad = file(WEB.replace('scheduler', 'schedular'));
    expect(await shell.type(`apply -f ${bad}`)).toEqual({
      status: 2,
      stdout: '',
      stderr: `ipvs apply: ${bad}:4:5: schedular: no such setting of a service: did you mean scheduler?
  4 |     schedular: wrr
    |     ^^^^^^^^^
`,
    });
    expect(shell.opened).toEqual([]);
  });

  test('what the kernel refuses is told, with what was done', async () => {
    const text = WEB.replace('192.0.2.10:8080', '224.0.0.1:80');
    const { status, stderr } = await shell.type(`apply -f ${file(text)}`);
    expect(status).toBe(1);
    expect(stderr).toContain('ipvs apply tcp://10.0.0.1:80 224.0.0.1:80: the kernel takes only');
    expect(stderr).toContain('ipvs apply: 2 done, 1 failed, 0 not tried: mend the cause');
    expect(await shell.ok('timeouts --output json')).toContain('"udp": 300');
  });

  test('so it is as data', async () => {
    const text = WEB.replace('192.0.2.10:8080', '224.0.0.1:80');
    const { status, stdout } = await shell.type(`apply -f ${file(text)} --output json`);
    expect(status).toBe(1);
    const { outcomes } = JSON.parse(stdout) as { outcomes: { status: string }[] };
    expect(outcomes.filter((outcome) => outcome.status === 'failed')).toMatchObject([
      {
        change: { destination: { address: '224.0.0.1' } },
        error: {
          code: 'EINVAL',
          message: expect.stringContaining('the kernel takes only') as unknown,
        },
      },
    ]);
    expect(outcomes).toHaveLength(3);
  });

  test.each([
    ['apply', "required option '-f, --file <state>' not specified"],
    [
      'apply -f x --prune 10.0.0',
      "argument '10.0.0' is invalid: write a network such as 10.0.0.0/8",
    ],
    ['apply -f x --prune 10.0.0.0/33', 'is invalid: write a network'],
    ['apply -f x --prune ::/129', 'is invalid: write a network'],
    ['apply -f x --prune 10.0.0.0/8/8', 'is invalid: write a network'],
    [
      'restore x --replace --prune 10.0.0.0/8',
      "option '--replace' cannot be used with option '--prune",
    ],
    ['save --output table', '--output table is not for saving: use save, yaml or json'],
    ['info --output save', '--output save: only services and destinations have that form'],
    ['daemon list --output save', '--output save: only services and destinations have that form'],
  ])('%s', async (line, words) => {
    const { status, stderr } = await shell.type(line);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringContaining(words) as string,
    });
  });
});

describe('save and restore', () => {
  test('lines come back as they went', async () => {
    await shell.ok(`apply -f ${file(WEB)}`);
    const rules = path.join(folder, 'rules');
    await shell.ok(`save ${rules}`);
    expect(readFileSync(rules, 'utf8')).toBe(LINES);
    await shell.ok('flush --yes');
    await shell.ok(`restore ${rules}`);
    expect(await shell.ok('save')).toBe(LINES);
    expect(await shell.ok('list --output save')).toBe(LINES);
    expect(readdirSync(folder).sort()).toEqual(['rules', 'web.yaml']);
  });

  test('so does a state file', async () => {
    await shell.ok(`apply -f ${file(WEB)}`);
    for (const form of ['yaml', 'json']) {
      const text = await shell.ok(`save --output ${form}`);
      const at = file(text, `saved.${form}`);
      await shell.ok('flush --yes');
      await shell.ok(`apply -f ${at}`);
      expect(await shell.ok(`save --output ${form}`)).toBe(text);
    }
  });

  test('restore leaves others alone, unless it replaces', async () => {
    await shell.ok('service add tcp://10.9.0.1:80');
    shell.stdin = LINES;
    await shell.ok('restore');
    expect(await shell.ok('save')).toBe(`${LINES}-A -t 10.9.0.1:80 -s wlc\n`);
    await shell.ok('restore - --replace --yes');
    expect(await shell.ok('save')).toBe(LINES);
  });

  test('-C has to be meant', async () => {
    await shell.ok('service add tcp://10.9.0.1:80');
    shell.stdin = `-C\n${LINES}`;
    expect(await shell.type('restore')).toEqual({
      status: 2,
      stdout: '',
      stderr:
        'ipvs restore: stdin:1: -C deletes every service that the lines do not have: give --replace to mean it, or leave it out\n',
    });
    await shell.ok('restore --replace --yes');
    expect(await shell.ok('save')).toBe(LINES);
  });

  test('one bad line, and nothing is done', async () => {
    const rules = file(`${LINES}-a -t 10.0.0.1:80 -r 192.0.2.12:http -m\n`, 'rules');
    const { status, stderr } = await shell.type(`restore ${rules}`);
    expect(status).toBe(2);
    expect(stderr).toContain(`ipvs restore: ${rules}:4:22: "192.0.2.12:http": write`);
    expect(await shell.ok('save')).toBe('');
  });

  test('a place that cannot be written', async () => {
    expect(await shell.type('save /nowhere/rules')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('/nowhere/rules: cannot be written: ') as string,
    });
  });
});
