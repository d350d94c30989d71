// A node's plan in lines, as a dry run prints them.
import type { NodePlan } from './plan';

/** One line a change: `+` added, `~` edited, `-` gone. */
export function describePlan(plan: NodePlan): string[] {
  const { addresses, sets } = plan;
  return [
    ...(plan.makesDevice ? ['+ device'] : []),
    ...plan.settings.map(
      ({ path, before, value }) => `~ ${path.replaceAll('/', '.')} ${before} -> ${value}`,
    ),
    ...sets.grow.flatMap(setLine),
    ...plan.rules.map(({ family, reason, variant }) => `~ ${family} rules (${variant}): ${reason}`),
    ...lines(plan.servers.toString()),
    ...addresses.add.map((address) => `+ address ${address}`),
    ...addresses.remove.map((address) => `- address ${address}`),
    ...sets.shrink.flatMap(setLine),
  ];
}

function setLine(line: string): string[] {
  const [verb, name, entry] = line.split(' ');
  if (verb === 'create') return [`+ ipset ${name ?? ''}`];
  if (verb === 'add') return [`+ ipset ${name ?? ''} ${entry ?? ''}`];
  return verb === 'del' ? [`- ipset ${name ?? ''} ${entry ?? ''}`] : [];
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
