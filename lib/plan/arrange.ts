// The order of steps: what adds capacity first, what takes it away last, and the same order whatever the order of the input.
import { destinationRank, serviceRank, sortBy } from '../order';
import type { ChangeKind } from './options';
import type { Draining, ServerSteps } from './servers';
import type { Step } from './text';

export interface Arranged {
  readonly steps: readonly Step[];
  readonly withheld: readonly Step[];
  readonly draining: readonly Draining[];
}

export function arrange(
  servers: readonly ServerSteps[],
  allows: ReadonlySet<ChangeKind>,
): Arranged {
  const added: Step[] = [];
  const gains: Step[] = [];
  const edits: Step[] = [];
  const losses: Step[] = [];
  const deleted: Step[] = [];
  const late: Step[] = [];
  const withheld: Step[] = [];
  const draining: Draining[] = [];
  for (const server of sortBy(servers, ({ key }) => serviceRank(key))) {
    const steps = inOrder(server);
    const isNew = server.service?.change.op === 'addService';
    const stays = keepBack(steps, allows, isNew, withheld);
    for (const step of stays) {
      const { op } = step.change;
      if (isNew) added.push(step);
      else if (op === 'deleteService' || isLate(step)) late.push(step);
      else if (op === 'deleteDestination') deleted.push(step);
      else if (step.effect === 'gain') gains.push(step);
      else if (step.effect === 'loss') losses.push(step);
      else edits.push(step);
    }
    const waiting = sortBy(server.draining, ({ destination }) => destinationRank(destination));
    for (const one of waiting) draining.push(one);
  }
  const steps = added.concat(gains, edits, losses, deleted, late);
  return { steps, withheld, draining };
}

/** The service before its destinations. */
function inOrder({ service, destinations }: ServerSteps): Step[] {
  const sorted = sortBy(destinations, ({ change }) =>
    // All of these are of destinations.
    destinationRank('destination' in change ? change.destination : { address: '', port: 0 }),
  );
  if (service !== undefined) sorted.unshift(service);
  return sorted;
}

// mh refuses a service with more destinations than its table has slots: it may fit only once others are gone.
function isLate({ change, before }: Step): boolean {
  return (
    change.op === 'setService' &&
    change.service.scheduler === 'mh' &&
    (before as typeof change.service | undefined)?.scheduler !== 'mh'
  );
}

/** Takes out what may not happen, and what must not happen without it. */
function keepBack(
  steps: readonly Step[],
  allows: ReadonlySet<ChangeKind>,
  isNew: boolean,
  withheld: Step[],
): readonly Step[] {
  if (steps.every(({ change }) => allows.has(change.op))) return steps;
  // Without the service there is nothing to add destinations to; without new capacity the old one stays.
  const nothing = isNew && !allows.has('addService');
  const noGain = steps.some((step) => step.effect === 'gain' && !allows.has(step.change.op));
  return steps.filter((step) => {
    const may = allows.has(step.change.op) && !nothing && !(noGain && takesAway(step));
    if (!may) withheld.push(step);
    return may;
  });
}

/** Whether new connections no longer reach a destination after this. */
export function takesAway({ change, before }: Step): boolean {
  if (change.op === 'deleteDestination') return true;
  if (change.op !== 'setDestination' || change.destination.weight !== 0) return false;
  return (before as typeof change.destination | undefined)?.weight !== 0;
}
