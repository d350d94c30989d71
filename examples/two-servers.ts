// One address, two web servers behind it, in turn. `ipvs lab -- node two-servers.js` tries it out in a kernel of its own.
import { destinationId, open, serviceId, type ServiceId } from 'ipvs';

const WEB: ServiceId = 'tcp://198.51.100.1:80';

async function main(): Promise<void> {
  await using ipvs = await open();

  await ipvs.addService({ protocol: 'tcp', address: '198.51.100.1', port: 80, scheduler: 'rr' });
  await ipvs.addDestination(WEB, { address: '10.0.1.2', port: 8080 });
  await ipvs.addDestination(WEB, { address: '10.0.2.2', port: 8080 });

  for (const { destinations, ...service } of await ipvs.snapshot()) {
    console.log(serviceId(service), service.scheduler);
    for (const destination of destinations) {
      const { forward, weight } = destination;
      console.log(`  ${destinationId(destination)} ${forward}, weight ${weight}`);
    }
  }
}

main().catch((error: unknown) => {
  // Such as: addService tcp://198.51.100.1:80: there is one already …
  console.error(String(error));
  process.exitCode = 1;
});
