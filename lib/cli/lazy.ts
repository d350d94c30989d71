// Modules that a run may not need, loaded when it does: `ipvs --help` should take no longer than node itself. They go
// through `require`, as import() in CommonJS is both slower and out of reach of the test runner.
import { createRequire } from 'node:module';

const load = createRequire(__filename);

export const lazy = {
  client: () => load('../client') as typeof import('../client'),
  node: () => load('../node') as typeof import('../node'),
  render: () => load('../ruleset/render') as typeof import('../ruleset/render'),
  lab: () => load('../lab') as typeof import('../lab'),
  address: () => load('../address') as typeof import('../address'),
  id: () => load('../id') as typeof import('../id'),
  system: () => load('../doctor/system') as typeof import('../doctor/system'),
  terminal: () => load('./top/terminal') as typeof import('./top/terminal'),
  ask: () => load('./ask') as typeof import('./ask'),
  words: () => load('./words') as typeof import('./words'),
  yaml: () => load('yaml') as typeof import('yaml'),
  package: () => load('../../package.json') as { readonly version: string },
  commands: {
    list: () => load('./commands/list') as typeof import('./commands/list'),
    table: () => load('./commands/table') as typeof import('./commands/table'),
    service: () => load('./commands/service') as typeof import('./commands/service'),
    destination: () => load('./commands/destination') as typeof import('./commands/destination'),
    daemon: () => load('./commands/daemon') as typeof import('./commands/daemon'),
    connections: () => load('./commands/connections') as typeof import('./commands/connections'),
    top: () => load('./commands/top') as typeof import('./commands/top'),
    run: () => load('./commands/run') as typeof import('./commands/run'),
    state: () => load('./commands/state') as typeof import('./commands/state'),
    kube: () => load('./commands/kube') as typeof import('./commands/kube'),
    kubeNode: () => load('./commands/kube-node') as typeof import('./commands/kube-node'),
    kubeDiff: () => load('./commands/kube-diff') as typeof import('./commands/kube-diff'),
    kubeImport: () => load('./commands/kube-import') as typeof import('./commands/kube-import'),
    iptables: () => load('./commands/iptables') as typeof import('./commands/iptables'),
    doctor: () => load('./commands/doctor') as typeof import('./commands/doctor'),
  },
};
