// JSON as types. API objects are plain JSON-shaped values, deeply readonly: whoever holds one may share it with everybody.
export type JsonPrimitive = string | number | boolean | null | bigint
export type JsonArray = readonly JsonValue[]
export type JsonObject = { readonly [key: string]: JsonValue | undefined }
export type JsonValue = JsonPrimitive | JsonArray | JsonObject

/** True for a JSON object: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `T` with everything optional, all the way down: what a client sends before the server has defaulted it. */
export type Draft<T> = T extends string | number | boolean | bigint | null | undefined ? T
  : T extends readonly (infer E)[] ? readonly Draft<E>[]
    : T extends object ? { readonly [K in keyof T]?: Draft<T[K]> } : T
