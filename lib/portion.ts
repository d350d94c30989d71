// How many services have their destinations read in one call over the border.

/** Before it is known how many destinations they have. */
const FIRST = 256;
/** Enough to make the way there and back cheap, and few enough for others to get their turn. */
const MOST = 512;
/** Fewer gain nothing: the addon reads eight and more together. */
const LEAST = 8;
/** Destinations that a reply should have: a megabyte and a half. */
const ROWS = 10_240;

export class Portion {
  size = FIRST;

  /** After a call about so many services, which have so many destinations together. */
  had(services: number, destinations: number): void {
    const fitting = Math.floor((ROWS * services) / Math.max(destinations, services));
    this.size = Math.min(Math.max(fitting, LEAST), MOST);
  }
}
