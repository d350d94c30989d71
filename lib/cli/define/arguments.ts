// Arguments that commands share, read as soon as they are met: a mistyped name is found before IPVS is opened.
import { Argument } from 'commander';
import type { DestinationKey, DestinationRef, ServiceKey, ServiceRef } from '../../model';
import { lazy } from '../lazy';
import { WrongUse } from '../wrong';

export function serviceArgument(name: '<service>' | '[service]'): Argument {
  return new Argument(name, 'such as tcp://10.0.0.1:80 or fwmark:7').argParser((text): ServiceKey =>
    lazy.id().serviceKey(text as ServiceRef),
  );
}

export function destinationArgument(): Argument {
  return new Argument('<destination>', 'such as 192.0.2.10:8080').argParser(
    (text): DestinationKey => lazy.id().destinationKey(text as DestinationRef),
  );
}

const COMMON = ['netns', 'output', 'quiet'];

/** Refuses a change that names nothing to change. */
export function mustName(flags: object, problem: string): void {
  if (Object.keys(flags).every((name) => COMMON.includes(name))) throw new WrongUse(problem);
}
