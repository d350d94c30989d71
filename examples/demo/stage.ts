// What every chapter of the demo has at hand, and what it does over and over: send, draw, judge.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ipvs } from 'ipvs';
import type { Load, Tally } from './messages';
import { bars, Panel, verdict } from './screen';
import { nameOf, type Server } from './services';
import { answered, openRequests, type Traffic } from './traffic';

/** Milliseconds from one request to the next: slow enough to watch. */
export const EVERY = 30;

export class Stage {
  readonly ipvs: Ipvs;
  readonly traffic: Traffic;
  #failures = 0;

  constructor(ipvs: Ipvs, traffic: Traffic) {
    this.ipvs = ipvs;
    this.traffic = traffic;
  }

  /** Prints what was found, and remembers if it is not what the demo promises. */
  check(good: boolean, text: string, otherwise: string): void {
    if (!good) this.#failures += 1;
    verdict(good, good ? text : otherwise);
  }

  get failures(): number {
    return this.#failures;
  }

  start(server: Server, how: Partial<Load> = {}): number {
    const { protocol, address, port } = server;
    if (protocol === 'sctp') throw new Error('the demo has no SCTP client');
    return this.traffic.start({ protocol, address, port, path: '/', every: EVERY, ...how });
  }

  /** Sends so many requests and draws who answers them. */
  async send(server: Server, total: number): Promise<Tally> {
    const id = this.start(server, { total });
    const panel = new Panel();
    for (;;) {
      const tally = this.traffic.tally(id);
      const lines = this.draw(server, tally, total);
      if (tally.sent === total && openRequests(tally) === 0) {
        panel.end(lines);
        return tally;
      }
      panel.draw(lines);
      await sleep(100);
    }
  }

  /** One bar a destination, so long that the largest share of `total` fills the line. */
  draw({ destinations }: Server, { answers }: Tally, total = answered(answers)): string[] {
    const weights = destinations.map(({ weight = 1 }) => weight);
    const sum = weights.reduce((one, other) => one + other, 0);
    const full = (total * Math.max(...weights)) / sum;
    const rows = destinations.map((destination, row) => ({
      name: nameOf(destination),
      note: `weight ${weights[row] ?? 1}`,
      count: answers[nameOf(destination)] ?? 0,
    }));
    return bars(rows, Math.max(full, 1));
  }
}
