// Time as the loop sees it, so that tests can bring their own.

export interface Clock {
  /** Milliseconds that never go back. */
  readonly now: () => number;
  /** Until so many milliseconds have passed, or `woken` resolves. */
  readonly wait: (milliseconds: number, woken: Promise<void>) => Promise<void>;
  /** 0…1, so that many programs that fail together do not try again together. */
  readonly random: () => number;
}

const LONGEST = 2 ** 31 - 1;

export const CLOCK: Clock = {
  now: () => performance.now(),
  wait: async (milliseconds, woken) => {
    let timer: NodeJS.Timeout | undefined;
    const passed = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.min(Math.max(milliseconds, 0), LONGEST));
    });
    await Promise.race([passed, woken]);
    clearTimeout(timer);
  },
  random: Math.random,
};
