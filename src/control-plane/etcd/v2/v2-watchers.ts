// The last thousand events of the second API, and those who wait for the next one. Upstream: etcd v3.5, server/etcdserver/api/v2store/{event_history,watcher_hub}.go
import type { V2Event, V2Failure } from './v2-request.ts'

const historyLength = 1000

export interface V2Seen {
  readonly event: V2Event
  readonly index: number
  /** A refreshed lifetime: kept for its index, shown to nobody. */
  readonly isRefresh: boolean
}

interface Waiter {
  readonly path: string
  readonly recursive: boolean
  readonly sinceIndex: number
  readonly onEvent: (seen: V2Seen) => void
}

export class V2Watchers {
  #events: V2Seen[] = []
  readonly #waiters = new Set<Waiter>()

  get count(): number { return this.#waiters.size }
  /** Watches asked for since the process began. */
  asked = 0

  /** @param removed paths that vanished with it: who watches those is told too. */
  add(event: V2Event, index: number, options: { readonly isRefresh?: boolean; readonly removed?: readonly string[] } = {}): void {
    const seen = { event, index, isRefresh: options.isRefresh ?? false }
    this.#events.push(seen)
    if (this.#events.length > historyLength) this.#events = this.#events.slice(-historyLength)
    if (seen.isRefresh) return
    const key = event.node.key ?? '/'
    for (const waiter of this.#waiters) {
      if (index < waiter.sinceIndex) continue
      const vanished = options.removed?.includes(waiter.path) ?? false
      if (waiter.path === key || vanished || (waiter.recursive && isBelow(key, waiter.path) && !isHiddenBelow(waiter.path, key))) waiter.onEvent(seen)
    }
  }

  /** The first event of the past that a watch wants, or undefined; a failure when that past is gone. */
  scan(path: string, recursive: boolean, sinceIndex: number, storeIndex: number): V2Seen | V2Failure | undefined {
    this.asked++
    const oldest = this.#events[0]?.index ?? 0
    if (sinceIndex < oldest) return { errorCode: 401, cause: `the requested history has been cleared [${oldest}/${sinceIndex}]`, index: storeIndex }
    return this.#events.find(({ event, index, isRefresh }) => {
      if (index < sinceIndex || isRefresh) return false
      const key = event.node.key ?? '/'
      if (key === path || (recursive && isBelow(key, path) && !isHiddenBelow(path, key))) return true
      return (event.action === 'delete' || event.action === 'expire') && event.prevNode?.dir === true && isBelow(path, key)
    })
  }

  wait(waiter: Waiter): Disposable {
    this.#waiters.add(waiter)
    return { [Symbol.dispose]: () => { this.#waiters.delete(waiter) } }
  }
}

function isBelow(key: string, folder: string): boolean { return folder === '/' ? key !== '/' : key.startsWith(`${folder}/`) }

/** Whether something between the watched path and the key is hidden. */
function isHiddenBelow(path: string, key: string): boolean { return key.slice(path === '/' ? 0 : path.length).includes('/_') }
