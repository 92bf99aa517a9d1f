// One change of one object, shared by every watcher of it: the frames for the wire are made when first asked for and then reused.
import { StoredObject } from './stored-object.ts'

export type DeliveryType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'

/** What one watcher gets to see. Shared by all watchers that see the same. */
export class Delivery {
  readonly type: DeliveryType
  readonly object: StoredObject
  #frames: Map<string, Uint8Array> | undefined
  constructor(type: DeliveryType, object: StoredObject) {
    this.type = type
    this.object = object
  }

  /** The bytes for one media type, made once. */
  frame(mediaType: string, make: (delivery: Delivery) => Uint8Array): Uint8Array {
    this.#frames ??= new Map()
    let frame = this.#frames.get(mediaType)
    if (!frame) this.#frames.set(mediaType, frame = make(this))
    return frame
  }
}

/** A selector's view of an object. */
export type ObjectFilter = (object: StoredObject) => boolean

export class CacheEvent {
  readonly revision: number
  /** Absent: the object was deleted. */
  readonly current: StoredObject | undefined
  /** Absent: the object was created. */
  readonly previous: StoredObject | undefined
  #added: Delivery | undefined
  #modified: Delivery | undefined
  #deleted: Delivery | undefined

  constructor(revision: number, current: StoredObject | undefined, previous: StoredObject | undefined) {
    this.revision = revision
    this.current = current
    this.previous = previous
  }

  get key(): string { return (this.current ?? this.previous)!.key } // cast: a change has a state before or after it

  /** What a watcher with this filter sees: an object that comes into view is ADDED, one that leaves it DELETED with its last visible state. */
  deliver(filter: ObjectFilter | undefined): Delivery | undefined {
    const now = this.current !== undefined && (filter === undefined || filter(this.current))
    const before = this.previous !== undefined && (filter === undefined || filter(this.previous))
    if (now) return before ? (this.#modified ??= new Delivery('MODIFIED', this.current!)) : (this.#added ??= new Delivery('ADDED', this.current!)) // cast: `now` says there is one
    if (before) return (this.#deleted ??= new Delivery('DELETED', this.previous!.at(this.revision))) // cast: `before` says there is one
    return undefined
  }
}
