// Load on API servers, and the proof afterwards: no acknowledged write is lost, and no watch has a gap, a duplicate or a wrong order.
//
// Each writer owns one ConfigMap and counts in it: every write is the last value plus one, guarded by its resourceVersion. A write whose outcome
// is not known is settled by reading. Watchers go on from the last resourceVersion that they saw, never by listing again.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Loose, ServerUnderTest } from './apiserver-under-test.ts'

export interface Write { readonly name: string; readonly value: number; readonly revision: number }
export interface Seen extends Write { readonly type: string }

export interface History {
  /** Answered with success, in the order of each writer. */
  readonly acknowledged: readonly Write[]
  /** What each watcher was told, in order. */
  readonly watched: readonly (readonly Seen[])[]
  /** What is there in the end. */
  readonly stored: readonly Write[]
  /** Watches that were told to list again. */
  readonly expired?: number
}

/** Names what is wrong; empty when all is well. */
export function problemsOf({ acknowledged, watched, stored, expired = 0 }: History): readonly string[] {
  const problems: string[] = expired > 0 ? [`${expired} watches had to list again`] : []
  const last = new Map<string, Write>()
  for (const write of acknowledged) last.set(write.name, write)
  for (const { name, value } of last.values()) {
    const found = stored.find((one) => one.name === name)
    if (!found || found.value < value) problems.push(`lost: ${name}=${value} was acknowledged, ${found ? `${found.value} is` : 'nothing is'} stored`)
  }
  for (const [at, seen] of watched.entries()) {
    const values = new Map<string, number>()
    const revisions = new Set<number>()
    let before = 0
    for (const { name, value, revision } of seen) {
      if (revisions.has(revision)) problems.push(`watcher ${at}: duplicate: revision ${revision} twice`)
      else if (revision < before) problems.push(`watcher ${at}: order: revision ${revision} after ${before}`)
      revisions.add(revision)
      before = Math.max(before, revision)
      const known = values.get(name)
      if (known !== undefined && value !== known + 1 && value !== known) problems.push(`watcher ${at}: gap: ${name}=${value} after ${known}`)
      if (known !== undefined && value === known) problems.push(`watcher ${at}: duplicate: ${name}=${value} again`)
      values.set(name, value)
    }
    for (const write of acknowledged) if (!revisions.has(write.revision)) problems.push(`watcher ${at}: gap: ${write.name}=${write.value} at ${write.revision} was never told`)
    for (const { name, value } of stored) if (values.get(name) !== value) problems.push(`watcher ${at}: gap: ${name} is ${value}, told was ${values.get(name)}`)
  }
  return problems
}

const mapsPath = '/api/v1/namespaces/load/configmaps'

export interface LoadOptions {
  /** Servers that writers write to and watchers watch: each takes the next. They may be exchanged while the load runs. */
  readonly servers: readonly (() => ServerUnderTest)[]
  readonly writers?: number
  readonly watchers?: number
}

export class Load {
  readonly #options: LoadOptions
  readonly #acknowledged: Write[] = []
  readonly #watched: Seen[][]
  readonly #stopWriting = new AbortController()
  readonly #stopWatching = new AbortController()
  readonly #writing: Promise<void>[] = []
  readonly #watching: Promise<void>[] = []
  /** Statuses that writers were refused with, and how often. */
  readonly refusals = new Map<string, number>()
  #expired = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#watched = Array.from({ length: options.watchers ?? 3 }, () => [])
  }

  get acknowledgedCount(): number { return this.#acknowledged.length }

  async start(): Promise<void> {
    const first = this.#server(0)
    await first.call('POST', '/api/v1/namespaces', { metadata: { name: 'load' } })
    const list = await first.ask(200, 'GET', mapsPath)
    for (const [at, seen] of this.#watched.entries()) this.#watching.push(this.#watch(seen, Number(list.metadata.resourceVersion), at))
    for (let i = 0; i < (this.#options.writers ?? 4); i++) this.#writing.push(this.#write(`w${i}`, i))
  }

  #server(at: number): ServerUnderTest {
    const { servers } = this.#options
    const server = servers[at % servers.length]
    assert.ok(server)
    return server()
  }

  async #write(name: string, at: number): Promise<void> {
    let known: Loose
    let value = 0
    while (!this.#stopWriting.signal.aborted) {
      await delay(5)
      try {
        const server = this.#server(at)
        const answer = known === undefined ? await server.call('POST', mapsPath, { metadata: { name }, data: { value: '0' } })
          : await server.call('PUT', `${mapsPath}/${name}`, { metadata: { name, resourceVersion: known.metadata.resourceVersion }, data: { value: String(value + 1) } })
        if (answer.status < 300) {
          known = answer.body
          value = Number(known.data.value)
          this.#acknowledged.push({ name, value, revision: Number(known.metadata.resourceVersion) })
          continue
        }
        this.#refused(`${answer.status} ${answer.body?.reason ?? ''}`)
      } catch (error) {
        this.#refused(error instanceof Error ? error.name : String(error))
      }
      // Whether it was written has to be seen.
      for (;;) {
        try {
          const found = await this.#server(at).call('GET', `${mapsPath}/${name}`)
          if (found.status === 200) { known = found.body; value = Number(known.data.value); break }
          if (found.status === 404) { known = undefined; break }
          this.#refused(`read ${found.status} ${found.body?.reason ?? ''}`)
        } catch (error) { this.#refused(`read ${error instanceof Error ? error.name : String(error)}`) }
        if (this.#stopWriting.signal.aborted) return
        await delay(50)
      }
    }
  }

  #refused(how: string): void { this.refusals.set(how, (this.refusals.get(how) ?? 0) + 1) }

  async #watch(seen: Seen[], from: number, at: number): Promise<void> {
    let revision = from
    const { signal } = this.#stopWatching
    while (!signal.aborted) {
      try {
        const answer = await this.#server(at).transport.request({ method: 'GET', path: `${mapsPath}?watch=true&allowWatchBookmarks=true&resourceVersion=${revision}`, signal })
        if (answer.body.kind === 'events') {
          for await (const batch of answer.body.events) {
            for (const event of batch as readonly Loose[]) {
              if (event.type === 'ERROR') { this.#expired++; throw new Error(event.object.message) }
              revision = Number(event.object.metadata.resourceVersion)
              if (event.type !== 'BOOKMARK') seen.push({ type: event.type, name: event.object.metadata.name, value: Number(event.object.data?.value), revision })
            }
          }
        }
      } catch { /* taken up again */ }
      await delay(20)
    }
  }

  /** Waits until that many more writes are acknowledged. */
  async more(count: number, withinMs = 15_000): Promise<void> {
    const goal = this.acknowledgedCount + count
    for (let waited = 0; this.acknowledgedCount < goal; waited += 10) {
      if (waited > withinMs) throw new Error(`${this.acknowledgedCount - goal + count} of ${count} writes in ${withinMs} ms; refused: ${JSON.stringify([...this.refusals])}`)
      await delay(10)
    }
  }

  /** Ends the writers, lets the watchers come to the end, and gives what is to be judged. */
  async finish(): Promise<History> {
    this.#stopWriting.abort()
    await Promise.all(this.#writing)
    const list = await this.#server(0).ask(200, 'GET', mapsPath)
    const stored: readonly Write[] = list.items.map((item: Loose) => ({ name: item.metadata.name, value: Number(item.data.value), revision: Number(item.metadata.resourceVersion) }))
    const newest = Math.max(0, ...stored.map((one) => one.revision))
    for (let waited = 0; waited < 8000 && !this.#watched.every((seen) => (seen.at(-1)?.revision ?? 0) >= newest); waited += 50) await delay(50)
    this.#stopWatching.abort()
    await Promise.all(this.#watching)
    return { acknowledged: this.#acknowledged, watched: this.#watched, stored, expired: this.#expired }
  }
}
