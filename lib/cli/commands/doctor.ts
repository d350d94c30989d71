// ipvs doctor: what the checks found, and how to mend it.
import type { OpenOptions, Ipvs } from '../../client';
import type { System } from '../../doctor/system';
import type { Printer } from '../printer';

export function doctor(
  _system: System,
  _open: (options: OpenOptions) => Promise<Ipvs>,
  _printer: Printer,
  _options: { readonly netns?: string | undefined },
): Promise<number> {
  return Promise.resolve(0);
}
