// The schema that editors get, and the parser: they take the same files, as far as a schema can tell.
import Ajv from 'ajv';
import fc from 'fast-check';
import schema from '../schema/state.schema.json';
import { parseState, printState, StateError } from '../lib/state';
import * as names from '../lib/state/names';
import { anyServers } from './states';

const validate = new Ajv({ allowUnionTypes: true }).compile(schema);

function isTaken(value: unknown): boolean {
  try {
    parseState(JSON.stringify(value));
    return true;
  } catch (error) {
    if (error instanceof StateError) return false;
    throw error;
  }
}

const { definitions } = schema;

test.each([
  ['state', definitions.state, names.TOP],
  ['defaults', definitions.defaults, names.DEFAULTS],
  ['timeouts', definitions.timeouts, names.TIMEOUTS],
  ['service', definitions.service, names.SERVICE],
  ['destination', definitions.destination, names.DESTINATION],
  ['persistence', definitions.persistence.anyOf[1], names.WITHIN['persistence']],
  ['tunnel', definitions.tunnel.anyOf[1], names.WITHIN['tunnel']],
])('a %s has the same keys', (_name, definition, list = []) => {
  expect(Object.keys(definition?.properties ?? {}).sort()).toEqual([...list].sort());
});

test('what is printed is valid', () => {
  fc.assert(
    fc.property(anyServers, (services) => {
      expect(validate(JSON.parse(printState({ services }, { format: 'json' })))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

const GOOD = {
  timeouts: { tcp: 5 },
  defaults: { weight: 3 },
  services: [
    {
      service: 'tcp://10.0.0.1:80',
      scheduler: 'sh',
      schedulerFlags: ['port'],
      persistence: { timeout: 5, prefix: 24 },
      destinations: [
        '192.0.2.10:80',
        { destination: '192.0.2.11:80', weight: 0, upperThreshold: 9, lowerThreshold: 3 },
        { address: '2001:db8::1', port: 80, forward: 'tunnel', tunnel: { type: 'gue', port: 1 } },
      ],
    },
    { protocol: 'udp', address: '10.0.0.1', port: 53, onePacket: true, destinations: [] },
    { fwmark: 7, family: 'ipv6', destinations: [] },
  ],
};

const junk = fc.constantFrom(
  null,
  true,
  false,
  -1,
  0,
  1.5,
  70_000,
  3e9,
  'x',
  '',
  [],
  {},
  [1],
  ['x'],
  { x: 1 },
);

/** The good state with one thing in it changed, taken away or added. */
const spoilt = fc
  .tuple(fc.infiniteStream(fc.nat()), junk, fc.constantFrom('set', 'remove', 'add'))
  .map(([choices, value, how]) => {
    const copy = structuredClone(GOOD) as unknown;
    const pick = (length: number): number => Number(choices.next().value) % length;
    let at = copy as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(at);
      const key = keys[pick(keys.length)];
      const below = key === undefined ? undefined : at[key];
      if (key !== undefined && typeof below === 'object' && below !== null && pick(4) > 0) {
        at = below as Record<string, unknown>;
        continue;
      }
      if (how === 'add' && Array.isArray(at)) at.push(value);
      else if (how === 'add' || key === undefined) at['unheardOf'] = value;
      else if (how === 'set' || Array.isArray(at)) at[key] = value;
      else Reflect.deleteProperty(at, key);
      return copy;
    }
  });

test('what the schema refuses, the parser refuses', () => {
  let refused = 0;
  expect([validate(GOOD), isTaken(GOOD)]).toEqual([true, true]);
  fc.assert(
    fc.property(spoilt, (state) => {
      if (validate(state)) return;
      refused++;
      expect({ state, isTaken: isTaken(state) }).toEqual({ state, isTaken: false });
    }),
    { numRuns: 2000 },
  );
  expect(refused).toBeGreaterThan(500);
});

// What a schema cannot say, or not simply: an address's form, settings that do not go together, no services in any document.
const BEYOND =
  /address|not an IP|crosses families|above upperThreshold|does not change the port|only with persistence|is a flag of|only for forward|has no|is here twice|there are no services|tunnel.port is missing|only for udp|of the kernel|out of range: use a whole number from 1 to 32$/;

test('what the parser refuses, the schema refuses, but for what no schema says', () => {
  fc.assert(
    fc.property(spoilt, (state) => {
      try {
        parseState(JSON.stringify(state));
      } catch (error) {
        const { problems } = error as StateError;
        if (problems.some(({ message }) => !BEYOND.test(message))) {
          expect({ state, problems, isValid: validate(state) }).toMatchObject({ isValid: false });
        }
      }
    }),
    { numRuns: 2000 },
  );
});
