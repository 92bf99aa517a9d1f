// The naive model of the store: all its changes, revision by revision, from which every past state follows. Changes are fed as some watch or
// reader delivered them; whatever they say that doesn't follow from the changes before is a violation.
import type { KeyState } from './operation.ts'

export interface LoggedEvent {
  readonly type: 'PUT' | 'DELETE'
  readonly key: string
  /** Empty for a deletion. */
  readonly value: string
  readonly modRevision: number
  readonly createRevision: number
  readonly version: number
  readonly lease: string
  readonly previous: KeyState | undefined
}

export class EventLog {
  readonly #revisions = new Map<number, readonly LoggedEvent[]>()
  readonly #versions = new Map<string, { readonly revision: number; readonly state: KeyState | undefined }[]>()
  /** Everything up to here is known. */
  #revision: number
  readonly firstRevision: number
  #compactionAsked = 0

  /** Starts from a state that is taken as given. */
  constructor(revision: number, state: readonly KeyState[] = []) {
    this.#revision = revision
    this.firstRevision = revision
    for (const kv of state) this.#versions.set(kv.key, [{ revision: Math.min(revision, kv.modRevision), state: kv }])
  }

  clone(): EventLog {
    const copy = new EventLog(this.firstRevision)
    copy.#revision = this.#revision
    copy.#compactionAsked = this.#compactionAsked
    for (const [revision, events] of this.#revisions) copy.#revisions.set(revision, events)
    for (const [key, versions] of this.#versions) copy.#versions.set(key, [...versions])
    return copy
  }

  get revision(): number { return this.#revision }

  /** Somebody asks for a compaction, which may come at any time, or never. */
  noteCompaction(revision: number): void { this.#compactionAsked = Math.max(this.#compactionAsked, revision) }
  /** A compaction can have taken what was before a change of this revision. */
  mayLackPrevious(revision: number): boolean { return revision <= this.#compactionAsked }
  eventsAt(revision: number): readonly LoggedEvent[] { return this.#revisions.get(revision) ?? [] }

  /** Adds the changes of the next revision. Returns what is wrong with them. */
  append(revision: number, events: readonly LoggedEvent[]): readonly string[] {
    const wrong: string[] = []
    if (revision !== this.#revision + 1) wrong.push(`revision ${revision} follows revision ${this.#revision}`)
    if (events.length === 0) wrong.push(`revision ${revision} has no change`)
    const derived: LoggedEvent[] = []
    for (const event of events) {
      const previous = this.stateOf(event.key, revision - 1)
      const where = `${event.type} ${event.key} at ${revision}`
      if (event.modRevision !== revision) wrong.push(`${where} says revision ${event.modRevision}`)
      if (derived.some((other) => other.key === event.key)) wrong.push(`${where}: the key changes twice in a revision`)
      let version = 0
      let createRevision = 0
      if (event.type === 'PUT') {
        version = (previous?.version ?? 0) + 1
        createRevision = previous?.createRevision ?? revision
        if (event.version !== version || event.createRevision !== createRevision) wrong.push(`${where} says version ${event.version} created at ${event.createRevision}, but it is version ${version} created at ${createRevision}`)
      } else if (!previous) wrong.push(`${where}: there is no such key`)
      derived.push({ ...event, version, createRevision, previous })
      const state = event.type === 'PUT' ? { key: event.key, value: event.value, modRevision: revision, createRevision, version, lease: event.lease } : undefined
      const versions = this.#versions.get(event.key)
      if (versions) versions.push({ revision, state })
      else this.#versions.set(event.key, [{ revision, state }])
    }
    this.#revisions.set(revision, derived)
    this.#revision = Math.max(this.#revision, revision)
    return wrong
  }

  /** The key after `revision`. */
  stateOf(key: string, revision: number): KeyState | undefined {
    const versions = this.#versions.get(key) ?? []
    for (let at = versions.length - 1; at >= 0; at--) {
      const version = versions[at]! // cast: inside the array
      if (version.revision <= revision) return version.state
    }
    return undefined
  }

  /** Living keys in [key, end) after `revision`, by key. Without `end` just the key. */
  statesIn(key: string, end: string | undefined, revision: number): readonly KeyState[] {
    const states: KeyState[] = []
    for (const name of this.#versions.keys()) {
      if (!isInRange(name, key, end)) continue
      const state = this.stateOf(name, revision)
      if (state) states.push(state)
    }
    return states.sort((a, b) => (a.key < b.key ? -1 : 1))
  }
}

export function isInRange(key: string, from: string, end: string | undefined): boolean {
  return end === undefined ? key === from : key >= from && (end === '\0' || key < end)
}

export function sameState(a: KeyState | undefined, b: KeyState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.key === b.key && a.value === b.value && a.modRevision === b.modRevision && a.createRevision === b.createRevision && a.version === b.version && a.lease === b.lease
}
