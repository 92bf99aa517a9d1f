// What clients asked of an etcd and what they heard, as plain values: the traffic makes them, the checkers read them.
//
// Keys and values are text, leases are text (their ids exceed what JSON can carry). Every put writes a value that nobody else writes, so that
// an operation whose answer was lost can be found again in the store's own history.

/** A living key at some revision. */
export interface KeyState {
  readonly key: string
  readonly value: string
  readonly modRevision: number
  readonly createRevision: number
  readonly version: number
  /** '0': none. */
  readonly lease: string
}

export type Step =
  | { readonly type: 'put'; readonly key: string; readonly value: string; readonly lease: string }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'get'; readonly key: string; readonly end?: string; readonly limit?: number }

export type StepResult =
  | { readonly type: 'put' }
  | { readonly type: 'delete'; readonly deleted: number }
  | { readonly type: 'get'; readonly kvs: readonly KeyState[]; readonly count: number }

export interface Guard { readonly key: string; readonly modRevision: number }

/** What changes the state or is read from the newest: these are checked for linearizability. */
export type LinearCall =
  | { readonly type: 'txn'; readonly guards: readonly Guard[]; readonly success: readonly Step[]; readonly failure: readonly Step[] }
  | { readonly type: 'range'; readonly key: string; readonly end?: string; readonly limit?: number }
  | { readonly type: 'grant'; readonly lease: string; readonly ttlSeconds: number }
  | { readonly type: 'revoke'; readonly lease: string }
  /** Nobody asked for it: the store ended a lease that was not renewed. */
  | { readonly type: 'expire'; readonly lease: string }

/** Reads of the past and housekeeping: checked against the log of events. */
export type OtherCall =
  | { readonly type: 'readAt'; readonly key: string; readonly end?: string; readonly revision: number; readonly serializable: boolean }
  | { readonly type: 'keepAlive'; readonly lease: string }
  | { readonly type: 'compact'; readonly revision: number }

export type Call = LinearCall | OtherCall

export interface Output {
  /** The store's when it answered; absent where an answer doesn't tell it. */
  readonly revision?: number
  readonly succeeded?: boolean
  /** One per step that was executed; absent when only the effect is known. */
  readonly results?: readonly StepResult[]
  /** Of a keep-alive; 0: no such lease. */
  readonly ttlSeconds?: number
}

export interface Operation<C extends Call = Call> {
  readonly client: number
  readonly call: C
  /** Monotonic, nanoseconds. */
  readonly calledAt: number
  readonly returnedAt: number
  /** `refused`: it certainly changed nothing; `unknown`: it may have happened, or may yet. */
  readonly outcome: { readonly type: 'done'; readonly output: Output } | { readonly type: 'refused'; readonly reason: string } | { readonly type: 'unknown'; readonly reason: string }
}

/** A value that carries its own length, so that a damaged one is seen. */
export function paddedValue(id: string, padding: number): string { return `${id}#${padding}|${'x'.repeat(padding)}` }

/** What identifies a value of `paddedValue`. */
export function valueId(text: string): string {
  const at = text.indexOf('|')
  const padding = Number(text.slice(text.indexOf('#') + 1, at))
  return at > 0 && text.length === at + 1 + padding && /^x*$/.test(text.slice(at + 1)) ? text.slice(0, at) : `damaged value ${JSON.stringify(text.slice(0, 60))} of ${text.length}`
}

const largePadding = 60_000

/** The same with large values: room on a disk is used up sooner. */
export function enlarged(call: Call): Call {
  if (call.type !== 'txn') return call
  return { ...call, success: call.success.map((step) => (step.type === 'put' ? { ...step, value: paddedValue(step.value.slice(0, step.value.indexOf('#')), largePadding) } : step)) }
}
