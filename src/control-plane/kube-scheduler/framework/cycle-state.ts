// What the plugins remember between the steps of one pod's cycle. Upstream: kube-scheduler framework/cycle_state.go

/** A value that trials (preemption) change must be able to give an independent copy; others are shared. */
export interface Copyable {
  copy(): Copyable
}

/** A typed name for a value in the state. */
export interface StateKey<T extends object> {
  readonly name: string
  /** Never set: carries the type. */
  readonly valueType?: T
}

export function stateKey<T extends object>(name: string): StateKey<T> { return { name } }

export class CycleState {
  readonly #values = new Map<string, object>()
  /** Plugins that have nothing to say about this pod in Filter, in Score. */
  readonly skipFilter = new Set<string>()
  readonly skipScore = new Set<string>()

  read<T extends object>(key: StateKey<T>): T | undefined {
    return this.#values.get(key.name) as T | undefined // cast: the key carries the type that write took
  }
  write<T extends object>(key: StateKey<T>, value: T): void { this.#values.set(key.name, value) }

  copy(): CycleState {
    const copy = new CycleState()
    for (const [name, value] of this.#values) copy.#values.set(name, 'copy' in value && typeof value.copy === 'function' ? (value as Copyable).copy() : value) // cast: it has a copy method
    for (const name of this.skipFilter) copy.skipFilter.add(name)
    for (const name of this.skipScore) copy.skipScore.add(name)
    return copy
  }
}
