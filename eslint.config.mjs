import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

// The arrows between the rooms of the house (docs/architecture.md): what a file may not reach. Types may be shared.
const arrows = (files, ignores, group, message) => ({
  files,
  ignores,
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      { patterns: [{ group, message, allowTypeImports: true }] },
    ],
  },
});
const ground = ['lib/{address,errors,model,lab}.ts'];
const border = [
  'lib/{client,apply,changes,operation,queries,layout,records,native,memory,connections,connection-*,servers}.ts',
];
const commandOnly = [
  './cli/*',
  '**/cli/*',
  './state',
  './state/*',
  'commander',
  'yaml',
  'cli-table3',
];

export default defineConfig(
  globalIgnores([
    'dist/',
    'build/',
    'native/build*/',
    'prebuilds/',
    'docs/api/',
    'coverage/',
    'bench/results/',
  ]),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: ['./test/tsconfig.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        module: 'writable',
        require: 'readonly',
        __dirname: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        AbortController: 'readonly',
        AbortSignal: 'readonly',
        performance: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
      },
    },
  },
  arrows(
    ground,
    [],
    ['./*', '../*', '!./errors', '!./lab', '!./lab/*', '!./address'],
    'this file stands on nothing but addresses and errors',
  ),
  arrows(['lib/lab/**'], [], ['../*'], 'the lab knows nothing of the rest'),
  arrows(
    ['lib/*.ts'],
    [...border, ...ground],
    ['./native', './layout', './records', ...commandOnly],
    'the border is for the clients alone; the core needs no third-party module and knows no command',
  ),
  arrows(
    ['lib/plan.ts', 'lib/plan/**'],
    [],
    [
      './*',
      '../*',
      '!./plan',
      ...['address', 'errors', 'id', 'ipvsadm-args', 'model', 'order', 'plain', 'settings'].flatMap(
        (name) => [`!./${name}`, `!../${name}`],
      ),
      ...['arrange', 'compare', 'options', 'servers', 'text', 'there'].map((name) => `!./${name}`),
      '!./plan/*',
    ],
    'a plan is a pure function of two states',
  ),
  arrows(
    ['lib/{state,ipvsadm}.ts', 'lib/{state,ipvsadm}/**'],
    [],
    [
      './*',
      '../*',
      'commander',
      '!./state',
      '!./ipvsadm',
      '!./state/*',
      '!./ipvsadm/*',
      '!../state',
      '!../state/*',
      ...['address', 'errors', 'id', 'ipvsadm-args', 'model', 'order', 'settings'].flatMap(
        (name) => [`!./${name}`, `!../${name}`],
      ),
      ...[
        ...['document', 'file', 'json', 'limits', 'names', 'options', 'parse', 'print', 'problems'],
        'slim',
      ].map((name) => `!./${name}`),
    ],
    'a state file is text and what it says; yaml is read here alone',
  ),
  arrows(
    ['lib/{reconcile,drain}.ts', 'lib/reconcile/**'],
    [],
    [
      './*',
      '../*',
      './cli/*',
      ...['apply', 'converge', 'drain', 'errors', 'id', 'model', 'plan', 'settings'].flatMap(
        (name) => [`!./${name}`, `!../${name}`],
      ),
      ...['backoff', 'clock', 'loop', 'loss', 'options', 'rounds'].map((name) => `!./${name}`),
      '!./reconcile',
      '!./reconcile/*',
    ],
    'reconciling stands on plans and the interface of a backend, never on a client',
  ),
  arrows(border, [], commandOnly, 'the core needs no third-party module and knows no command'),
  arrows(
    ['lib/kube.ts', 'lib/kube/**'],
    [],
    [
      '../*',
      '!../address',
      '!../errors',
      '!../id',
      '!../settings',
      './native',
      './records',
      './client',
      ...commandOnly,
    ],
    'the Kubernetes half is pure: it stands on addresses, ids, settings and errors',
  ),
  arrows(
    ['lib/iptables.ts', 'lib/iptables/**'],
    [],
    [
      '../*',
      '!../address',
      '!../errors',
      '!../id',
      '!../settings',
      '!../kube',
      '!../kube/*',
      '!../turns',
      './client',
      ...commandOnly,
    ],
    'rules are a pure function of a service map: what reads the map is shared with the Kubernetes half',
  ),
  arrows(
    ['lib/ruleset/**'],
    [],
    [
      '../*',
      ...['address', 'apply', 'backend', 'client', 'errors', 'explain', 'id', 'model'].map(
        (name) => `!../${name}`,
      ),
      ...[
        'namespace',
        'settings',
        'ipvsadm-args',
        'plan',
        'kube',
        'ipvsadm',
        'iptables',
        'node',
        'turns',
      ].map((name) => `!../${name}`),
      '!../plan/*',
      '!../kube/cidr',
      '!../kube/read',
      '!../ipvsadm/*',
      '!../iptables/*',
      '!../node/*',
      ...commandOnly.filter((name) => !name.startsWith('./state')),
    ],
    'rules in a kernel stand on the pure rules and on the programs that a node is set up with',
  ),
  arrows(
    ['lib/cli/**'],
    [],
    ['**/native', '**/layout', '**/records', '**/queries', '**/operation'],
    'a command is a function of a client, a printer and options',
  ),
);
