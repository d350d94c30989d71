// The demo's story, one chapter a function. Every number in it was counted by the client or read from the kernel.
import { setTimeout as sleep } from 'node:timers/promises';
import { destinationId, serviceId, type Destination, type DestinationStatus } from 'ipvs';
import { code, colour, heading, Panel, print, printUnlessLive, say } from './screen';
import { FILE, isIpv6, nameOf, spreadAsWeighted, toChanges, type Server } from './services';
import type { Stage } from './stage';
import { openRequests } from './traffic';

/** Longest wait for a server to run empty, in milliseconds. */
const DRAIN_PATIENCE = 40_000;

export async function programKernel(stage: Stage, servers: readonly Server[]): Promise<void> {
  heading('1. Tell the kernel');
  say(`The director's table is empty. ${FILE} asks for ${servers.length} services: TCP and UDP, over
    IPv4 and IPv6, each with ash, elm and oak as its destinations. One call sends it all:`);
  code('await ipvs.apply(changes);');
  const outcomes = await stage.ipvs.apply(toChanges(servers));
  const refused = outcomes.find(({ status }) => status !== 'done');
  const known = await stage.ipvs.snapshot();
  stage.check(
    refused === undefined && known.length === servers.length,
    `${outcomes.length} changes done; the kernel now has ${known.length} services.`,
    refused?.error?.message ?? `the kernel has ${known.length} services`,
  );
}

export async function spread(stage: Stage, servers: readonly Server[]): Promise<void> {
  heading('2. Send requests');
  say(`The client knows one address. Each request is a new connection, the kernel picks a server
    for it, and the server answers with its name.`);
  for (const server of servers) {
    const total = server === servers[0] ? 60 : 30;
    const protocol = server.protocol === 'tcp' ? 'HTTP requests' : 'UDP queries';
    const how = `(scheduler ${server.scheduler ?? 'wlc'}, ${isIpv6(server) ? 'IPv6' : 'IPv4'})`;
    print(`  ${total} ${protocol} to ${colour('bold', serviceId(server))} ${how}`, '');
    const { answers, failed, reason } = await stage.send(server, total);
    stage.check(
      failed === 0 && spreadAsWeighted(server.destinations, answers),
      'All answered, and shared out evenly.',
      `${failed} failed (${reason ?? 'none'}), or the shares are not even.`,
    );
  }
}

/** Leaves requests running; returns which load they are, and the service as it is now. */
export async function changeWeight(
  stage: Stage,
  server: Server,
): Promise<{ heavier: Server; load: number }> {
  heading('3. Change a weight while requests go on');
  say(`Say ash has got a bigger machine: with weight 3 it should take three connections for each
    one that elm and oak take. No restart, no reload:`);
  const before = stage.start(server);
  await sleep(800);
  const heavier = await setWeight(stage, server, 'ash', 3);
  const load = stage.start(heavier);
  stage.traffic.stop(before);

  const panel = new Panel();
  let tally = stage.traffic.tally(load);
  for (; tally.sent - openRequests(tally) < 60; tally = stage.traffic.tally(load)) {
    panel.draw(stage.draw(heavier, tally));
    await sleep(100);
  }
  panel.end(stage.draw(heavier, tally));
  const { failed } = stage.traffic;
  stage.check(
    failed === 0 && spreadAsWeighted(heavier.destinations, tally.answers),
    'From the next connection on: three to one to one.',
    `${failed} failed, or the shares do not follow the weights.`,
  );
  return { heavier, load };
}

/** Takes over the requests that are running. */
export async function drain(stage: Stage, server: Server, before: number): Promise<void> {
  heading('4. Take a server away, and lose nothing');
  say(`Now ash must be updated. To cut it off would break what it is in the middle of, so the client
    starts five slow downloads as well. Weight 0 means: keep your connections, get no new ones.`);
  const downloads = stage.start(server, { path: '/download', every: 10, total: 5 });
  await sleep(800);
  const without = await setWeight(stage, server, 'ash', 0);
  const load = stage.start(without);
  stage.traffic.stop(before);
  say(`The kernel remembers closed connections for a while, for packets that come late: 10 seconds
    here, because this client resets its connections in the end (else 2 minutes).`);

  const panel = new Panel();
  const { ash, seconds } = await waitUntilEmpty(stage, without, load, panel);
  if (ash !== undefined) await stage.ipvs.deleteDestination(server, ash);
  await sleep(2000);
  const tally = await stage.traffic.finish(load);
  printUnlessLive('');
  const done = ash === undefined ? 'did not run empty' : 'ran empty, and is deleted';
  panel.end([...stage.draw(without, tally), '', `    ash ${done}, after ${seconds} s`]);
  print('');
  if (ash !== undefined) {
    code(`await ipvs.deleteDestination('${serviceId(server)}', '${destinationId(ash)}');`);
  }

  stage.check(
    ash !== undefined &&
      tally.failed === 0 &&
      spreadAsWeighted(without.destinations, tally.answers),
    `${tally.sent} requests since: none of them went to ash, none failed.`,
    `${tally.failed} of ${tally.sent} requests since failed (${tally.reason ?? 'none'}), or ash did not
      run empty or got new connections, or the shares are not even.`,
  );
  const slow = stage.traffic.tally(downloads);
  stage.check(
    slow.failed === 0 && openRequests(slow) === 0,
    `${slow.sent} downloads that were under way: all complete.`,
    `${slow.failed} downloads failed (${slow.reason ?? 'none'}), ${openRequests(slow)} never ended.`,
  );
}

async function waitUntilEmpty(
  stage: Stage,
  server: Server,
  load: number,
  panel: Panel,
): Promise<{ ash: DestinationStatus | undefined; seconds: string }> {
  const began = performance.now();
  for (let round = 0; ; round += 1) {
    const ash = await findAsh(stage, server);
    const waited = performance.now() - began;
    const seconds = (waited / 1000).toFixed(0);
    const { activeConnections: active = 0, inactiveConnections: inactive = 0 } = ash ?? {};
    if (active + inactive === 0) return { ash, seconds };
    if (waited > DRAIN_PATIENCE) return { ash: undefined, seconds };
    const status = `    ash: ${active} open, ${inactive} closed but remembered`;
    panel.draw([...stage.draw(server, stage.traffic.tally(load)), '', status]);
    if (round % 12 === 0) printUnlessLive(status);
    await sleep(250);
  }
}

async function findAsh(stage: Stage, server: Server): Promise<DestinationStatus | undefined> {
  const destinations = await stage.ipvs.destinations(server);
  return destinations.find((destination) => nameOf(destination) === 'ash');
}

/** Every request against what the kernel counted: nothing was made up, and nothing went past it. */
export async function compareCounts(stage: Stage, servers: readonly Server[]): Promise<void> {
  heading('5. Ask the kernel what it counted');
  // The kernel adds its counters up every two seconds.
  await sleep(2200);
  let counted = 0n;
  for (const server of servers) {
    const stats = (await stage.ipvs.service(server))?.stats;
    // Two UDP queries may come from one port, one after the other: then they are one connection of two packets.
    counted += (server.protocol === 'udp' ? stats?.packets.in : stats?.connections) ?? 0n;
  }
  const { sent, failed } = stage.traffic;
  stage.check(
    failed === 0 && counted === BigInt(sent),
    `The client sent ${sent} requests, the kernel balanced ${counted}, ${failed} failed.`,
    `The client sent ${sent} requests, the kernel balanced ${counted}, ${failed} failed.`,
  );
}

async function setWeight(
  stage: Stage,
  server: Server,
  name: string,
  weight: number,
): Promise<Server> {
  const destinations: Destination[] = [];
  for (const destination of server.destinations) {
    if (nameOf(destination) !== name) {
      destinations.push(destination);
      continue;
    }
    const changed = { ...destination, weight };
    await stage.ipvs.setDestination(server, changed);
    code(
      `await ipvs.setDestination('${serviceId(server)}',`,
      `  { address: '${changed.address}', port: ${changed.port}, weight: ${weight} });`,
    );
    destinations.push(changed);
  }
  return { ...server, destinations };
}
