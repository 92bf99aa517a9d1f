// What the API server knows of one resource: every object as bytes, the last changes, and who watches. State in, deliveries out: pure but for
// the calls to watchers. The etcd feed drives it.
//
// Rules it keeps: `revision` never goes back; a change is told to watchers in the order of revisions and only after it is in the cache; objects
// and events are shared and readonly.
import { CacheEvent, Delivery } from './cache-event.ts'
import type { ObjectFilter } from './cache-event.ts'
import { CacheWatcher } from './cache-watcher.ts'
import type { WatcherOptions } from './cache-watcher.ts'
import { SortedKeys } from './sorted-keys.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { StoredKind, StoredLayout } from './stored-object.ts'
import { StoredObject, asApiObject, encodeForStorage, withResourceVersion } from './stored-object.ts'

/** Called for every change, for those inside the server who keep something up to date (RBAC rules, IP allocation). */
export type CacheListener = (event: CacheEvent) => void

const defaultWindow = 4096

/** A write that is on its way. */
export interface ExpectedWrite {
  /** As etcd gets it. */
  readonly sealed: Uint8Array
  /** As it is served. */
  readonly layout: StoredLayout
  /** The two are the same bytes. */
  readonly isPlain: boolean
  readonly object: ApiObject
}

export class WatchCache {
  readonly kind: StoredKind
  readonly #objects = new Map<string, StoredObject>()
  readonly #keys = new SortedKeys()
  /** The last changes, oldest first, in a ring. */
  #window: CacheEvent[] = []
  #windowStart = 0
  readonly #windowLimit: number
  /** Changes with a revision above this are all in the window. */
  #windowAfter = 0
  /** Revision of the newest change of this resource. */
  #changedAt = 0
  readonly #watchers = new Set<CacheWatcher>()
  /** Watchers that can only ever see one key. */
  readonly #watchersByKey = new Map<string, Set<CacheWatcher>>()
  /** Watchers of the pods of one node. */
  readonly #watchersByNode = new Map<string, Set<CacheWatcher>>()
  readonly #listeners: CacheListener[] = []
  /** Objects that are being written: when the feed brings these very bytes, nobody needs to parse them. */
  readonly #expected = new Map<string, ExpectedWrite>()
  /** Objects that etcd has and nobody can read, with the reason. */
  readonly #unreadable = new Map<string, string>()

  constructor(kind: StoredKind, windowLimit = defaultWindow) {
    this.kind = kind
    this.#windowLimit = windowLimit
  }

  get size(): number { return this.#objects.size }
  get watcherCount(): number { return this.#watchers.size + this.#watchersByKey.size + this.#watchersByNode.size }
  get changedAt(): number { return this.#changedAt }
  /** A watch may start after any revision from this on. */
  get oldestResumable(): number { return this.#windowAfter }

  get(key: string): StoredObject | undefined { return this.#objects.get(key) }

  /** Objects under `prefix` in key order, from `start` on. */
  list(prefix: string, start?: string, limit?: number): StoredObject[] {
    return this.#keys.range(prefix, start, limit).map((key) => this.#objects.get(key)!) // cast: keys and objects hold the same keys
  }

  countAfter(prefix: string, key: string): number { return this.#keys.countAfter(prefix, key) }

  /** Replaces everything, at the start and when changes were lost. Watchers end: their clients list again. */
  reset(objects: readonly StoredObject[], revision: number, unreadable?: ReadonlyMap<string, string>): void {
    const before = new Map(this.#objects)
    this.#unreadable.clear()
    for (const [key, reason] of unreadable ?? []) this.#unreadable.set(key, reason)
    this.#objects.clear()
    for (const key of before.keys()) this.#keys.delete(key)
    for (const object of objects) { this.#objects.set(object.key, object); this.#keys.add(object.key) }
    this.#window = []
    this.#windowStart = 0
    this.#windowAfter = revision
    this.#changedAt = revision
    for (const watcher of this.#allWatchers()) watcher.finish('closed')
    for (const object of objects) {
      const previous = before.get(object.key)
      before.delete(object.key)
      if (previous?.revision !== object.revision) this.#tellListeners(new CacheEvent(object.revision, object, previous))
    }
    for (const gone of before.values()) this.#tellListeners(new CacheEvent(revision, undefined, gone))
  }

  /** @param object what the bytes hold, where that is known without parsing them */
  put(key: string, value: Uint8Array, revision: number, insertAt: number, object?: ApiObject): void {
    const previous = this.#objects.get(key)
    if (previous && previous.revision >= revision) return
    this.#unreadable.delete(key)
    const current = new StoredObject(this.kind, key, value, revision, insertAt, object && withResourceVersion(object, String(revision)))
    this.#objects.set(key, current)
    if (!previous) this.#keys.add(key)
    this.#record(new CacheEvent(revision, current, previous))
  }

  delete(key: string, revision: number): void {
    this.#unreadable.delete(key)
    const previous = this.#objects.get(key)
    if (!previous) return
    this.#objects.delete(key)
    this.#keys.delete(key)
    this.#record(new CacheEvent(revision, undefined, previous))
  }

  /** The key holds something that nobody can read: for watchers the object is gone, lists say that they are not whole. */
  putUnreadable(key: string, revision: number, reason: string): void {
    this.delete(key, revision)
    this.#unreadable.set(key, reason)
  }

  /** What can't be read under a prefix: keys with their reasons. */
  unreadableUnder(prefix: string): readonly (readonly [string, string])[] {
    return this.#unreadable.size === 0 ? [] : [...this.#unreadable].filter(([key]) => key.startsWith(prefix))
  }

  /** Tells of a write that is on its way, with the object that its bytes hold. Until the result is disposed of. */
  expect(key: string, write: ExpectedWrite): Disposable {
    this.#expected.set(key, write)
    return { [Symbol.dispose]: () => { if (this.#expected.get(key) === write) this.#expected.delete(key) } }
  }

  /** The write on its way that gives etcd these very bytes: nobody needs to read them. */
  expected(key: string, sealed: Uint8Array): ExpectedWrite | undefined {
    const write = this.#expected.get(key)
    return write && Buffer.compare(write.sealed, sealed) === 0 ? write : undefined
  }

  listen(listener: CacheListener): void { this.#listeners.push(listener) }

  /** Changes after `revision`, oldest first; undefined when the window begins later. */
  since(revision: number): readonly CacheEvent[] | undefined {
    if (revision < this.#windowAfter) return undefined
    const all = this.#window.slice(this.#windowStart)
    let at = all.length
    while (at > 0 && all[at - 1]!.revision > revision) at-- // cast: within bounds
    return all.slice(at)
  }

  /** Adds a watcher that starts with `initial` and goes on with everything newer than `options.afterRevision`. */
  watch(options: WatcherOptions, initial: readonly StoredObject[], backlog: readonly CacheEvent[]): CacheWatcher {
    const watcher = new CacheWatcher(options, initial, (w) => { this.#remove(w) })
    for (const event of backlog) watcher.offer(event)
    const index = this.#indexOf(options)
    if (index) {
      let set = index.sets.get(index.value)
      if (!set) index.sets.set(index.value, set = new Set())
      set.add(watcher)
    } else this.#watchers.add(watcher)
    return watcher
  }

  /** Tells every watcher that asked how far the cache is. `object` is the bookmark's body for a revision. */
  sendBookmarks(revision: number, object: (revision: number) => StoredObject): void {
    let bookmark: Delivery | undefined
    for (const watcher of this.#allWatchers()) if (watcher.options.bookmarks) watcher.bookmark(bookmark ??= new Delivery('BOOKMARK', object(revision)))
  }

  closeWatchers(): void { for (const watcher of this.#allWatchers()) watcher.finish('closed') }

  #record(event: CacheEvent): void {
    this.#changedAt = event.revision
    this.#window.push(event)
    if (this.#window.length - this.#windowStart > this.#windowLimit) {
      this.#windowAfter = this.#window[this.#windowStart]!.revision // cast: the ring is longer than its limit
      this.#windowStart++
      if (this.#windowStart > this.#windowLimit) { this.#window = this.#window.slice(this.#windowStart); this.#windowStart = 0 }
    }
    this.#tellListeners(event)
    for (const watcher of this.#watchers) watcher.offer(event)
    const byKey = this.#watchersByKey.get(event.key)
    if (byKey) for (const watcher of byKey) watcher.offer(event)
    if (this.#watchersByNode.size === 0) return
    const now = event.current?.selection.fields['spec.nodeName']
    const before = event.previous?.selection.fields['spec.nodeName']
    for (const node of now === before ? [now] : [now, before]) {
      const ofNode = node === undefined ? undefined : this.#watchersByNode.get(node)
      if (ofNode) for (const watcher of ofNode) watcher.offer(event)
    }
  }

  /** Where a watcher that can see only few changes is kept. */
  #indexOf({ key, nodeName }: WatcherOptions): { readonly sets: Map<string, Set<CacheWatcher>>; readonly value: string } | undefined {
    if (key !== undefined) return { sets: this.#watchersByKey, value: key }
    return nodeName === undefined ? undefined : { sets: this.#watchersByNode, value: nodeName }
  }

  #tellListeners(event: CacheEvent): void { for (const listener of this.#listeners) listener(event) }

  #remove(watcher: CacheWatcher): void {
    this.#watchers.delete(watcher)
    const index = this.#indexOf(watcher.options)
    const set = index?.sets.get(index.value)
    set?.delete(watcher)
    if (index && set?.size === 0) index.sets.delete(index.value)
  }

  #allWatchers(): CacheWatcher[] { return [...this.#watchers, ...[...this.#watchersByKey.values(), ...this.#watchersByNode.values()].flatMap((set) => [...set])] }
}

/** A bookmark's body: the kind, the version and the revision, nothing else. */
export function bookmarkObject(kind: StoredKind, apiVersion: string, kindName: string, revision: number, annotations?: { readonly [key: string]: string }): StoredObject {
  const object = asApiObject({ kind: kindName, apiVersion, metadata: { uid: '', ...(annotations && { annotations }) } })
  const { value, insertAt } = encodeForStorage(object)
  // The uid only marks the place; an empty one isn't sent.
  const text = Buffer.from(value).toString()
  const without = Buffer.from(text.replace('"uid":""', '"resourceVersion":"' + revision + '"'))
  return new BookmarkObject(kind, without, revision, insertAt, asApiObject({ kind: kindName, apiVersion, metadata: { resourceVersion: String(revision), ...(annotations && { annotations }) } }))
}

/** Bytes that already carry their resourceVersion. */
class BookmarkObject extends StoredObject {
  readonly #body: ApiObject
  constructor(kind: StoredKind, value: Uint8Array, revision: number, insertAt: number, body: ApiObject) {
    super(kind, '', value, revision, insertAt)
    this.#body = body
  }
  override get object(): ApiObject { return this.#body }
  override get byteLength(): number { return this.value.length }
  override toBytes(): Uint8Array { return this.value }
  override writeTo(target: Buffer, offset: number): number { target.set(this.value, offset); return offset + this.value.length }
}

export type { ObjectFilter }
