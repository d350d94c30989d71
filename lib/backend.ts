// What desired state is applied to: the part of a client that planning and reconciling need.
import type { ApplyOptions, Outcome } from './apply';
import type { Change, VirtualServer } from './model';

/** Something that has virtual servers and takes changes: an `Ipvs`, one in memory, or your own. @public */
export interface Backend {
  snapshot(): Promise<readonly VirtualServer[]>;
  /** The same, settings alone, where that is to be had sooner; used instead of `snapshot` where it is there. */
  servers?(): Promise<readonly VirtualServer[]>;
  /** Does the changes in order; one outcome for each. */
  apply(changes: Iterable<Change>, options?: ApplyOptions): Promise<Outcome[]>;
}
