// What the demo's main program and its client say to each other.

/** Requests to send, each over a connection of its own. */
export interface Load {
  readonly id: number;
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  /** `/` is answered at once, `/download` takes a few seconds. */
  readonly path: string;
  /** Milliseconds from one request to the next. */
  readonly every: number;
  /** The address that requests come from, where the host has several. */
  readonly from?: string;
  /** Milliseconds to wait for an answer; 8 s if not said. */
  readonly patience?: number;
  /** How many; undefined goes on until told to stop. */
  readonly total?: number;
}

export type Order = { readonly start: Load } | { readonly stop: number };

/** How a load is getting on. */
export interface Tally {
  readonly id: number;
  /** Requests begun; those neither answered nor failed are still open. */
  readonly sent: number;
  readonly failed: number;
  /** What the last failed one failed of. */
  readonly reason?: string;
  /** Complete answers, by the server that gave them. */
  readonly answers: Readonly<Record<string, number>>;
}
