/** Says that a value has a type, and nothing else: types are all that this folder tests. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the parameter is given, never inferred
export declare function is<T>(value: T): void;
