// One event of a watch, as it is on the wire.
import type { JsonObject } from '../base/json.ts'

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'

export interface WatchEvent<T = JsonObject> {
  readonly type: WatchEventType
  /** The object after the change; for DELETED its last state; for ERROR a Status. */
  readonly object: T
}
