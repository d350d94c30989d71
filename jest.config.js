'use strict';
// Two projects: `unit` runs anywhere; `kernel` needs IPVS and so runs inside the lab (npm run test:kernel).
const common = {
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/native/build', '<rootDir>/build/'],
  transform: {
    '\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/test/tsconfig.json' }],
  },
};
module.exports = {
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/test/*.test.ts',
        '<rootDir>/test/cli/*.test.ts',
        '<rootDir>/test/iptables/*.test.ts',
        '<rootDir>/test/kube/*.test.ts',
        '<rootDir>/test/node/*.test.ts',
        '<rootDir>/test/ruleset/*.test.ts',
      ],
    },
    { ...common, displayName: 'kernel', testMatch: ['<rootDir>/test/kernel/*.test.ts'] },
  ],
};
