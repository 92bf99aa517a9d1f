// The quota of the store: when it is used up the NOSPACE alarm is raised, and until that is disarmed nothing is added any more.
// Upstream: etcd/server/storage/quota.go
import { etcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { writes, type LoggedRequest, type StateMachine } from './state-machine.ts'

export class Quota {
  /** 0 or less: none. */
  readonly bytes: number
  readonly #machine: StateMachine
  readonly #logger: Logger
  readonly #raise: () => Promise<unknown>
  #raising = false

  constructor(bytes: number, machine: StateMachine, logger: Logger, raise: () => Promise<unknown>) {
    this.bytes = bytes
    this.#machine = machine
    this.#logger = logger
    this.#raise = raise
  }

  /** @throws EtcdError no space */
  check(request: LoggedRequest): void {
    const adds = request.type === 'put' || request.type === 'leaseGrant' || (request.type === 'txn' && writes(request))
    if (!adds) return
    if (this.#machine.hasAlarm('NOSPACE')) throw etcdError('noSpace')
    if (this.bytes <= 0 || this.#machine.store.sizeInUseBytes < this.bytes) return
    this.raiseNoSpace('the store is full')
    throw etcdError('noSpace')
  }

  raiseNoSpace(why: string): void {
    if (this.#raising || this.#machine.hasAlarm('NOSPACE')) return
    this.#raising = true
    this.#logger.warn(`${why}: alarm NOSPACE`, { quotaBytes: this.bytes })
    this.#raise().catch((error: unknown) => this.#logger.error('alarm not raised', error)).finally(() => { this.#raising = false })
  }
}
