// A binary heap whose entries can be found, changed and removed by key. Upstream: kube-scheduler backend/heap

export class KeyedHeap<T> {
  readonly #items: T[] = []
  readonly #places = new Map<string, number>()
  readonly #keyOf: (item: T) => string
  readonly #less: (a: T, b: T) => boolean

  constructor(keyOf: (item: T) => string, less: (a: T, b: T) => boolean) { this.#keyOf = keyOf; this.#less = less }

  get size(): number { return this.#items.length }
  has(key: string): boolean { return this.#places.has(key) }
  get(key: string): T | undefined { const place = this.#places.get(key); return place === undefined ? undefined : this.#items[place] }
  peek(): T | undefined { return this.#items[0] }
  values(): IterableIterator<T> { return this.#items.values() }

  /** Adds, or puts in place of what has the same key. */
  set(item: T): void {
    const key = this.#keyOf(item)
    const place = this.#places.get(key) ?? this.#items.length
    this.#items[place] = item
    this.#places.set(key, place)
    this.#down(this.#up(place))
  }

  pop(): T | undefined {
    const top = this.#items[0]
    if (top !== undefined) this.delete(this.#keyOf(top))
    return top
  }

  delete(key: string): T | undefined {
    const place = this.#places.get(key)
    if (place === undefined) return undefined
    const item = this.#items[place]
    const last = this.#items.pop()
    this.#places.delete(key)
    if (place < this.#items.length && last !== undefined) {
      this.#items[place] = last
      this.#places.set(this.#keyOf(last), place)
      this.#down(this.#up(place))
    }
    return item
  }

  #swap(a: number, b: number): void {
    const x = this.#items[a]
    const y = this.#items[b]
    if (x === undefined || y === undefined) return
    this.#items[a] = y
    this.#items[b] = x
    this.#places.set(this.#keyOf(y), a)
    this.#places.set(this.#keyOf(x), b)
  }

  #before(a: number, b: number): boolean {
    const x = this.#items[a]
    const y = this.#items[b]
    return x !== undefined && y !== undefined && this.#less(x, y)
  }

  #up(from: number): number {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!this.#before(place, parent)) break
      this.#swap(place, parent)
      place = parent
    }
    return place
  }

  #down(from: number): void {
    for (let place = from; ;) {
      const left = 2 * place + 1
      const right = left + 1
      const child = this.#before(right, left) ? right : left
      if (!this.#before(child, place)) return
      this.#swap(place, child)
      place = child
    }
  }
}
