// Objects of a cluster, out of whatever stands around them: services and endpoint slices are kept, with no more of them
// than a map looks at; of the rest, how many there were.
import { getHeapStatistics } from 'node:v8';
import type { KubeEndpointSlice, KubeService } from '../../kube';

type Json = Readonly<Record<string, unknown>>;

const METADATA = [
  'name',
  'namespace',
  'labels',
  'annotations',
  'creationTimestamp',
  'resourceVersion',
];
const ENDPOINT = ['addresses', 'conditions', 'hints', 'nodeName', 'zone'];
/** What kubectl leaves behind for itself, often the largest part of an object. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** What a service, a slice or an endpoint may come to in the end, with its part of the program and of what is compared. */
const BYTES_EACH = 3072;

export class Gathered {
  #room = Math.floor(getHeapStatistics().heap_size_limit / BYTES_EACH);
  readonly services: KubeService[] = [];
  readonly slices: KubeEndpointSlice[] = [];
  readonly others = new Map<string, number>();

  /** Takes an object, or a list of them. */
  take(value: unknown): void {
    if (Array.isArray(value)) {
      for (const item of value) this.take(item);
      return;
    }
    const object = toRecord(value);
    if (object === undefined) {
      if (value !== null && value !== undefined) this.#count(`a ${typeof value}`);
      return;
    }
    const { items } = object;
    const kind = kindOf(object);
    if (Array.isArray(items)) this.take(items);
    else if (kind === 'Service') this.services.push(this.#fitting(slimService(object)));
    else if (kind === 'EndpointSlice') this.slices.push(this.#fitting(slimSlice(object)));
    else if (!kind.endsWith('List')) this.#count(kind);
  }

  /** What was not looked at, a line a kind. */
  problems(): readonly string[] {
    return [...this.others]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(
        ([kind, count]) =>
          `${kind}: ${count === 1 ? 'one is' : `${count} are`} no Service and no EndpointSlice; passed over`,
      );
  }

  // Without a word of ours, the process would end in one of the collector's.
  #fitting<T extends KubeService | KubeEndpointSlice>(kept: T): T {
    const { endpoints } = kept as KubeEndpointSlice;
    this.#room -= 1 + (Array.isArray(endpoints) ? endpoints.length : 0);
    if (this.#room >= 0) return kept;
    const megabytes = Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20);
    throw new Error(
      `after ${this.services.length} services and ${this.slices.length} slices, the rest would not fit into the memory that Node.js may use (${megabytes} MB): give it more: NODE_OPTIONS=--max-old-space-size=${4 * megabytes}`,
    );
  }

  #count(kind: string): void {
    this.others.set(kind, (this.others.get(kind) ?? 0) + 1);
  }
}

// In the API's own lists the items do not say what they are.
function kindOf(object: Json): string {
  const { kind } = object;
  if (typeof kind === 'string' && kind !== '') return kind.replace(/[^\w.-]/g, '?').slice(0, 60);
  if ('addressType' in object) return 'EndpointSlice';
  const spec = toRecord(object['spec']);
  return spec !== undefined && ('clusterIP' in spec || 'clusterIPs' in spec)
    ? 'Service'
    : 'something without a kind';
}

function slimService({ metadata, spec, status }: Json): KubeService {
  return { metadata: slimMetadata(metadata), spec, status } as KubeService;
}

function slimSlice({ metadata, addressType, endpoints, ports }: Json): KubeEndpointSlice {
  const slim = Array.isArray(endpoints)
    ? endpoints.map((each: unknown) => pick(each, ENDPOINT))
    : endpoints;
  return {
    metadata: slimMetadata(metadata),
    addressType,
    endpoints: slim,
    ports,
  } as KubeEndpointSlice;
}

function slimMetadata(metadata: unknown): unknown {
  const slim = pick(metadata, METADATA);
  const annotations = toRecord(toRecord(slim)?.['annotations']);
  if (annotations === undefined) return slim;
  const kept = Object.keys(annotations).filter((name) => name !== LAST_APPLIED);
  return { ...(slim as Json), annotations: pick(annotations, kept) };
}

function pick(value: unknown, names: readonly string[]): unknown {
  const record = toRecord(value);
  if (record === undefined) return value;
  return Object.fromEntries(
    names.filter((name) => name in record).map((name) => [name, record[name]]),
  );
}

function toRecord(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : undefined;
}
