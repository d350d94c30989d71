// Reading objects that anybody may have written: a field is what it should be, or absent, or a problem.
import { show } from '../errors';

/** @public */
export type Json = Readonly<Record<string, unknown>>;

/** Says in one line what was wrong with an object and what was done about it. */
export type Report = (problem: string) => void;

export function toRecord(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : undefined;
}

/** A nested object, empty when absent or null. */
export function recordAt(of: Json, name: string, report: Report): Json {
  const value = of[name];
  if (value === undefined || value === null) return {};
  const record = toRecord(value);
  if (record === undefined) report(`${name}: ${show(value)} is not an object; passed over`);
  return record ?? {};
}

/** A list, empty when absent or null. */
export function listAt(of: Json, name: string, report: Report): readonly unknown[] {
  const value = of[name];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  report(`${name}: ${show(value)} is not a list; passed over`);
  return [];
}

/** One of the words, or the first where the field is absent, null, empty or something else. */
export function wordAt<W extends string>(
  of: Json,
  name: string,
  words: readonly [W, ...W[]],
  report: Report,
): W {
  const value = of[name];
  if (value === undefined || value === null || value === '') return words[0];
  if ((words as readonly unknown[]).includes(value)) return value as W;
  report(`${name}: ${show(value)} is none of ${words.join(', ')}; taken as ${words[0]}`);
  return words[0];
}

/** A boolean, or what stands for it when absent or null; undefined when it is neither. */
export function booleanAt(of: Json, name: string, absent: boolean): boolean | undefined {
  const value = of[name];
  if (value === undefined || value === null) return absent;
  return typeof value === 'boolean' ? value : undefined;
}

/** Whether the value is a port to send to. */
export function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535;
}

/**
 * Names go into comments of restore lines and into messages. The API server lets nothing else pass; a file may have
 * anything.
 */
export function isName(value: unknown): value is string {
  return (
    typeof value === 'string' && /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(value)
  );
}

/** The namespace an object is in; one without is in the one that kubectl would put it in. */
export function namespaceOf(metadata: Json): string {
  const namespace = metadata['namespace'];
  return isName(namespace) ? namespace : 'default';
}

/** `namespace/name` of an object; what of it cannot be shown as it is, quoted. */
export function called(kind: string, metadata: Json): string {
  const one = (value: unknown): string => (isName(value) ? value : show(value));
  return `${kind} ${one(metadata['namespace'] ?? 'default')}/${one(metadata['name'])}`;
}

/** When an object was made, in milliseconds; objects without a date count as newest. */
export function createdAt(metadata: Json): number {
  const value = metadata['creationTimestamp'];
  const time =
    value instanceof Date ? value.getTime() : typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? Infinity : time;
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
