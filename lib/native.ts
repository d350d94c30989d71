// The border, seen from TypeScript: what the addon offers, and how it is found. Requests and replies are arrays of the
// packed records that records.ts describes.

/** What a call asks for; the same numbers as `Op` in native/src/records.h. */
export const Op = {
  apply: 1,
  services: 2,
  service: 3,
  destinations: 4,
  info: 5,
  timeouts: 6,
  setTimeouts: 7,
  zero: 8,
  flush: 9,
  daemons: 10,
  startDaemon: 11,
  stopDaemon: 12,
  applyUntilError: 13,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

/** An open netlink socket in one network namespace. */
export interface NativeHandle {
  /** Runs on the thread pool, one call at a time in call order. The request is copied before this returns. */
  call(op: Op, request: Uint8Array): Promise<ArrayBuffer>;
  /** Runs here and now. */
  callSync(op: Op, request: Uint8Array): ArrayBuffer;
  /** Waits for the call under way; calls still queued fail with ECANCELED. Closing twice is fine. */
  close(): Promise<void>;
  closeSync(): void;
}

/** The addon itself. Failures are plain errors that carry `op` (a step such as `socket`) and `errno` (positive). */
export interface NativeBinding {
  /** `netns` is a path; empty is the caller's. `timeout` in milliseconds bounds the wait for an answer; 0 is forever. */
  open(netns: string, timeout: number): Promise<NativeHandle>;
  openSync(netns: string, timeout: number): NativeHandle;
  /** Record and field offsets as C++ sees them: `{ ChangeRecord: { size, command: 0, … }, … }`, as JSON text. */
  layout(): string;
}

/** What the addon throws and rejects with. */
export interface NativeFailure extends Error {
  readonly op: string;
  readonly errno: number;
}
