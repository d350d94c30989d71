// Compiled as CommonJS, as a module, and for a bundler.
import { IpvsError, open, serviceId, type Ipvs, type VirtualServer } from 'ipvs';
import { ipvsProgram, serviceMap, type NodeView } from 'ipvs/kube';
import { memoryIpvs } from 'ipvs/testing';

export async function serve(client: Ipvs, server: VirtualServer): Promise<string[]> {
  const { destinations, ...service } = server;
  await client.addService(service);
  for (const destination of destinations) await client.addDestination(service, destination);
  return (await client.services()).map((status) => serviceId(status));
}

export async function main(): Promise<void> {
  const destinations = [{ address: '192.0.2.10', port: 8080 }];
  const server = { protocol: 'tcp', address: '10.0.0.1', port: 80, destinations } as const;
  const ids = await serve(memoryIpvs(), server);
  if (ids.join() !== 'tcp://10.0.0.1:80') throw new Error(ids.join());
  const node: NodeView = { name: 'a', addresses: [] };
  const { servers } = ipvsProgram(serviceMap([], [], node), node);
  if (servers.length > 0) throw new Error('servers of no service');
  try {
    await (await open()).close();
  } catch (error) {
    if (!(error instanceof IpvsError) || error.code !== 'ERR_IPVS_UNAVAILABLE') throw error;
  }
}

void main();
