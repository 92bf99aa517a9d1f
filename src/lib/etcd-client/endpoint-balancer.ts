// Which of etcd's endpoints the next call goes to: the first of the list that is connected, and that one until it is lost or refuses to serve.
//
// Rules it keeps: nothing is sent where no connection stands, so a dead endpoint costs nobody anything; all endpoints are connected to at once,
// and those that fail again and again at growing distances; while none is connected callers wait, but not longer than `patienceMs` after the last
// one was lost. Upstream: grpc-go's connectivity states, as clientv3 uses them (there the calls go round, here they stay: an API server hears of
// its own writes soonest from the member that it wrote to).
import type { Random } from '../base/random.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { EtcdError, NoEndpointError } from './etcd-client.ts'

/** What of a GrpcChannel matters here. */
export interface BalancedChannel extends Disposable {
  readonly isReady: boolean
  ready(): Promise<void>
}

export interface EndpointBalancerOptions<C extends BalancedChannel> {
  readonly endpoints: readonly string[]
  readonly clock: Clock
  readonly random?: Random
  /** `onDisconnect` is to be called when a connection that stood has ended. */
  readonly open: (endpoint: string, onDisconnect: (error: Error | undefined) => void) => C
  /** How long callers wait for a connection after the last was lost. Default 5 s. */
  readonly patienceMs?: number
}

export interface Endpoint<C> {
  readonly target: string
  readonly channel: C
}

interface Connection<C> extends Endpoint<C> {
  /** Connecting for the first time or again; ready; failed and waiting for its next attempt. */
  state: 'connecting' | 'ready' | 'failed'
  failures: number
  error: Error | undefined
  timer: Timer | undefined
}

interface Waiter<C> { readonly resolve: (endpoint: Endpoint<C>) => void; readonly reject: (error: unknown) => void }

const firstDelayMs = 100
const lastDelayMs = 2000
/** How long the first calls wait for an endpoint that stands earlier in the list. */
const preferenceMs = 50
const defaultPatienceMs = 5000

export class EndpointBalancer<C extends BalancedChannel> implements Disposable {
  readonly #options: EndpointBalancerOptions<C>
  readonly #connections: readonly Connection<C>[]
  readonly #waiters = new Set<Waiter<C>>()
  #current = 0
  /** Since when no endpoint has been connected. */
  #lostAt: number
  #closed = false

  constructor(options: EndpointBalancerOptions<C>) {
    this.#options = options
    this.#lostAt = options.clock.monotonic()
    this.#connections = options.endpoints.map((target) => {
      const connection: Connection<C> = { target, channel: options.open(target, (error) => { this.#lost(connection, error) }), state: 'connecting', failures: 0, error: undefined, timer: undefined }
      return connection
    })
    for (const connection of this.#connections) this.#connect(connection)
  }

  /** Every endpoint, connected or not. */
  get endpoints(): readonly Endpoint<C>[] { return this.#connections }

  /** Where a call can go right now. */
  get ready(): Endpoint<C> | undefined {
    for (let i = 0; i < this.#connections.length; i++) {
      const at = (this.#current + i) % this.#connections.length
      const connection = this.#connections[at]! // cast: within bounds
      if (connection.state !== 'ready') continue
      if (connection.channel.isReady) { this.#current = at; return connection }
      // The server has said goodbye and its last answers are still coming.
      this.#lost(connection, undefined)
    }
    return undefined
  }

  /** An endpoint to call. @throws NoEndpointError when there has been none for some time, saying why */
  async pick(signal: AbortSignal): Promise<Endpoint<C>> {
    signal.throwIfAborted()
    const { ready } = this
    if (ready) return ready
    const { clock } = this.#options
    const left = this.#lostAt + (this.#options.patienceMs ?? defaultPatienceMs) - clock.monotonic()
    if (this.#closed || left <= 0) throw this.#unavailable()
    return new Promise((resolve, reject) => {
      const leave = (): void => { this.#waiters.delete(waiter); timer[Symbol.dispose](); signal.removeEventListener('abort', onAbort) }
      const onAbort = (): void => { leave(); reject(signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason })) }
      const waiter: Waiter<C> = { resolve: (endpoint) => { leave(); resolve(endpoint) }, reject: (error) => { leave(); reject(error instanceof Error ? error : new Error(String(error))) } }
      const timer = clock.setTimer(left, () => { waiter.reject(this.#unavailable()) })
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.add(waiter)
    })
  }

  /** Leaves an endpoint whose server could not serve, for the next one, unless somebody else did so already. */
  avoid(endpoint: Endpoint<C>): void {
    if (this.#connections[this.#current] === endpoint) this.#current = (this.#current + 1) % this.#connections.length
  }

  #connect(connection: Connection<C>): void {
    if (this.#closed) return
    connection.timer = undefined
    connection.channel.ready().then(() => {
      if (this.#closed) return
      connection.state = 'ready'
      connection.failures = 0
      connection.error = undefined
      // Those that stand before it in the list are a moment behind at most, or not there.
      const at = this.#connections.indexOf(connection)
      if (!this.#connections.slice(0, at).some((one) => one.state === 'connecting')) this.#wake()
      else connection.timer = this.#options.clock.setTimer(preferenceMs, () => { connection.timer = undefined; this.#wake() }, { keepAlive: false })
    }, (error: unknown) => { this.#failed(connection, error instanceof Error ? error : new Error(String(error))) })
  }

  #wake(): void {
    if (this.#waiters.size === 0) return
    const { ready } = this
    if (ready) for (const waiter of this.#waiters) waiter.resolve(ready)
  }

  #lost(connection: Connection<C>, error: Error | undefined): void {
    if (this.#closed || connection.state !== 'ready') return
    // The first attempt after a loss is made at once: a server that was restarted is there again soon.
    connection.timer?.[Symbol.dispose]()
    connection.state = 'connecting'
    connection.error = error ?? new Error('the server closed the connection')
    if (!this.#connections.some((one) => one.state === 'ready')) this.#lostAt = this.#options.clock.monotonic()
    connection.timer = this.#options.clock.setTimer(0, () => { this.#connect(connection) }, { keepAlive: false })
  }

  #failed(connection: Connection<C>, error: Error): void {
    if (this.#closed) return
    connection.state = 'failed'
    connection.error = error
    this.#wake()
    const { clock, random } = this.#options
    const jitter = random ? 0.8 + 0.4 * random.float() : 1
    const delay = Math.min(lastDelayMs, firstDelayMs * 1.6 ** connection.failures++) * jitter
    connection.timer = clock.setTimer(delay, () => { connection.state = 'connecting'; this.#connect(connection) }, { keepAlive: false })
  }

  #unavailable(): NoEndpointError {
    const errors = this.#connections.filter((one) => one.error !== undefined)
    const why = errors.map((one) => `${one.target}: ${one.error?.message ?? ''}`).join('; ')
    return new NoEndpointError(`etcdclient: no available endpoints${why === '' ? '' : ` (${why})`}`, { cause: errors[0]?.error })
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const { timer, channel } of this.#connections) { timer?.[Symbol.dispose](); channel[Symbol.dispose]() }
    for (const waiter of this.#waiters) waiter.reject(new EtcdError('Canceled', 'etcdclient: the client is closed'))
  }
}
