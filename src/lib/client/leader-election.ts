// One of many leads: whoever holds the Lease and renews it. A candidate takes a lease over when it has not seen it change for the lease's whole
// duration, measured with its own monotonic clock, so that wrong wall clocks do not matter. A leader that cannot renew within the deadline stops
// leading before anybody else can start.
// Upstream: client-go/tools/leaderelection
import { formatMicroTime, sleep } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Lease, LeaseSpec } from '../api/generated/types/coordination-v1.ts'
import { hasReason } from './api-error.ts'
import type { ApiClient } from './api-client.ts'
import type { InformerLogger } from './informer.ts'
import { leases } from './resource-keys.ts'

export interface LeaderElectionOptions {
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: InformerLogger
  /** Of the Lease. */
  readonly namespace: string
  readonly name: string
  /** Unique among the candidates: host name and a uuid. */
  readonly identity: string
  /** How long others wait after the last renewal they saw. 15 s. */
  readonly leaseDurationMs?: number
  /** How long a leader tries to renew before it gives up. 10 s. */
  readonly renewDeadlineMs?: number
  /** Between tries. 2 s. */
  readonly retryPeriodMs?: number
  /** Give the lease back at the end, so that the next leader need not wait. */
  readonly releaseOnCancel?: boolean
  /** Runs while leading; its signal ends when leadership is lost. */
  lead(signal: AbortSignal): Promise<void>
  /** Told of every new leader, this one included. */
  onNewLeader?(identity: string): void
}

/** How a term ended: `lost` means the lease could not be renewed, `ended` that `signal` was aborted or `lead` returned. */
export type LeadershipOutcome = 'lost' | 'ended'

const jitterFactor = 1.2

/** Waits for the lease, leads, and resolves when leading is over. */
export async function runLeaderElection(options: LeaderElectionOptions, signal: AbortSignal): Promise<LeadershipOutcome> {
  const { clock, random, logger, retryPeriodMs = 2_000, renewDeadlineMs = 10_000 } = options
  const elector = new Elector(options)
  logger.info('Attempting to acquire leader lease', { lock: `${options.namespace}/${options.name}` })
  // A renewal counts from when it was sent: others count from when they see it, which is later.
  let renewedMs = clock.monotonic()
  while (!await elector.tryAcquireOrRenew(signal)) {
    if (signal.aborted) return 'ended'
    try { await sleep(clock, retryPeriodMs * (1 + random.float() * jitterFactor), signal) } catch { return 'ended' }
    renewedMs = clock.monotonic()
  }
  if (signal.aborted) return 'ended'
  logger.info('Successfully acquired lease', { lock: `${options.namespace}/${options.name}`, identity: options.identity })

  const term = new AbortController()
  const endTerm = (): void => term.abort(signal.reason)
  signal.addEventListener('abort', endTerm, { once: true })
  let outcome: LeadershipOutcome = 'ended'
  const leading = options.lead(term.signal)
  const renewing = (async (): Promise<void> => {
    while (!term.signal.aborted) {
      try { await sleep(clock, retryPeriodMs, term.signal) } catch { return }
      // A renewal that hangs must not outlive the deadline.
      const attempt = new AbortController()
      const stopAttempt = (): void => attempt.abort(term.signal.reason)
      term.signal.addEventListener('abort', stopAttempt, { once: true })
      using _timer = clock.setTimer(Math.max(0, renewDeadlineMs - (clock.monotonic() - renewedMs)), () => attempt.abort(new Error('renew deadline passed')))
      const sentMs = clock.monotonic()
      if (await elector.tryAcquireOrRenew(attempt.signal)) renewedMs = sentMs
      term.signal.removeEventListener('abort', stopAttempt)
      if (!term.signal.aborted && clock.monotonic() - renewedMs >= renewDeadlineMs) {
        logger.warn('Failed to renew lease', { lock: `${options.namespace}/${options.name}` })
        outcome = 'lost'
        term.abort(new Error('leadership lost'))
      }
    }
  })()
  try {
    await leading
  } finally {
    term.abort(new Error('term is over'))
    signal.removeEventListener('abort', endTerm)
    await renewing
    if (options.releaseOnCancel && outcome === 'ended') await elector.release()
  }
  return outcome
}

class Elector {
  readonly #options: LeaderElectionOptions
  readonly #leaseDurationMs: number
  #observed: Lease | undefined
  /** When the observed lease was first seen as it is, monotonic. */
  #observedAtMs = 0
  #reported = ''

  constructor(options: LeaderElectionOptions) { this.#options = options; this.#leaseDurationMs = options.leaseDurationMs ?? 15_000 }

  /** True when this candidate holds the lease now. Refusals and broken connections are false. */
  async tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    try {
      const held = await this.#try(signal)
      this.#report()
      return held
    } catch (error) {
      if (!signal.aborted && !hasReason(error, 'Conflict', 'AlreadyExists')) this.#options.logger.error('Error retrieving or updating lease', error, { lock: this.#options.name })
      return false
    }
  }

  async release(): Promise<void> {
    const { client, clock, identity } = this.#options
    const lease = this.#observed
    if (lease?.spec.holderIdentity !== identity) return
    const deadline = new AbortController()
    using _timer = clock.setTimer(this.#options.renewDeadlineMs ?? 10_000, () => deadline.abort(new Error('release deadline passed')))
    const now = formatMicroTime(clock.now())
    const spec: LeaseSpec = { holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now, leaseTransitions: lease.spec.leaseTransitions ?? 0 }
    try { await client.resource(leases).update({ ...lease, spec }, deadline.signal) } catch (error) {
      this.#options.logger.error('Failed to release lease', error, { lock: this.#options.name })
    }
  }

  async #try(signal: AbortSignal): Promise<boolean> {
    const { client, clock, identity, namespace, name } = this.#options
    const resource = client.resource(leases)
    const now = formatMicroTime(clock.now())
    const claim = (old: LeaseSpec | undefined): LeaseSpec => {
      const mine = old?.holderIdentity === identity
      return {
        ...old, holderIdentity: identity, leaseDurationSeconds: Math.max(1, Math.floor(this.#leaseDurationMs / 1000)), renewTime: now,
        acquireTime: mine ? old.acquireTime ?? now : now, leaseTransitions: (old?.leaseTransitions ?? 0) + (old === undefined || mine ? 0 : 1),
      }
    }
    const known = this.#observed
    if (known?.spec.holderIdentity === identity && this.#isValid()) {
      try {
        this.#observe(await resource.update({ ...known, spec: claim(known.spec) }, signal))
        return true
      } catch (error) {
        if (!hasReason(error, 'Conflict', 'NotFound')) throw error
      }
    }
    let lease: Lease
    try {
      lease = await resource.get(namespace, name, signal)
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
      this.#observe(await resource.create(namespace, { metadata: { name, namespace }, spec: claim(undefined) }, signal))
      return true
    }
    if (lease.metadata.resourceVersion !== this.#observed?.metadata.resourceVersion) this.#observe(lease)
    const holder = lease.spec.holderIdentity ?? ''
    if (holder !== '' && holder !== identity && this.#isValid()) return false
    this.#observe(await resource.update({ ...lease, spec: claim(lease.spec) }, signal))
    return true
  }

  #observe(lease: Lease): void { this.#observed = lease; this.#observedAtMs = this.#options.clock.monotonic() }

  #isValid(): boolean {
    const durationMs = (this.#observed?.spec.leaseDurationSeconds ?? 0) * 1000
    return this.#observedAtMs + durationMs > this.#options.clock.monotonic()
  }

  #report(): void {
    const holder = this.#observed?.spec.holderIdentity ?? ''
    if (holder === this.#reported) return
    this.#reported = holder
    this.#options.onNewLeader?.(holder)
  }
}
