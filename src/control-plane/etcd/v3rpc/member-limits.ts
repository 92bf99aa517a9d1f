// What a member refuses because of its place in the cluster, before the method is asked: a learner answers little, and who says `hasleader`
// (the API server's watches do) wants no answer from a member that may be cut off.
//
// A learner answers Status and serializable ranges, and gives snapshots. A stream that wants a leader ends when there has been none for three
// election timeouts. Upstream: etcd/server/etcdserver/api/v3rpc/interceptor.go, util.go
import { sleep } from '../../../lib/base/clock.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { GrpcHandler, GrpcServerCall } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { tokenOf } from './access.ts'
import { toStatus } from './response-header.ts'

const statusPath = '/etcdserverpb.Maintenance/Status'
const rangePath = '/etcdserverpb.KV/Range'
const snapshotPath = '/etcdserverpb.Maintenance/Snapshot'
const serializableField = 7
/** Looks without a leader after which streams end. */
const patience = 3
/** For a token's entry to be applied here. */
const tokenPatienceMs = 5000
const tokenLookMs = 5
/** Who is told of an entry further ahead than any is made up. */
const farAhead = 10_000

/** Puts the limits before handlers. The streams of all of them end together. */
export class MemberLimits {
  readonly #etcd: EtcdInternals
  readonly #bound = new Set<LeaderBoundCall>()
  #isLooking = false
  #looksWithoutLeader = 0

  constructor(etcd: EtcdInternals) { this.#etcd = etcd }

  limit(path: string, handler: GrpcHandler): GrpcHandler {
    const { member } = this.#etcd
    if ('unary' in handler) {
      const { unary, direct } = handler
      const answersLearners = path === statusPath ? () => true : path === rangePath ? isSerializable : () => false
      const check = (request: WireReader | Uint8Array, call: Pick<GrpcServerCall, 'headers'>): void => {
        if (member.isLearner && !answersLearners(request instanceof WireReader ? request.copy() : new WireReader(request))) throw toStatus(etcdError('notSupportedForLearner'))
        if (member.leaderId === 0n && wantsLeader(call)) throw toStatus(etcdError('noLeader'))
      }
      return {
        ...handler,
        unary: (request, call) => {
          check(request, call)
          const known = this.#awaitToken(call, call.connectionSignal ?? call.signal)
          return known ? known.then(() => unary(request, call)) : unary(request, call)
        },
        ...(direct ? {
          direct: (request, call) => {
            check(request, call)
            const known = this.#awaitToken(call, call.connectionSignal)
            if (known) known.then(() => direct(request, call)).catch((error: unknown) => call.fail(toStatus(error)))
            else direct(request, call)
          },
        } : {}),
      }
    }
    const open = handler.stream
    return {
      stream: (call) => {
        if (member.isLearner && path !== snapshotPath) throw toStatus(etcdError('notSupportedForLearner'))
        if (!wantsLeader(call)) return open(call)
        if (member.leaderId === 0n) throw toStatus(etcdError('noLeader'))
        const bound = new LeaderBoundCall(call)
        this.#watch(bound)
        return open(bound)
      },
    }
  }

  /** A simple token that another member gave names an entry which this one may be about to apply. */
  #awaitToken(call: Pick<GrpcServerCall, 'headers'>, signal: AbortSignal): Promise<void> | undefined {
    const { member } = this.#etcd
    if (!member.machine.auth.enabled) return undefined
    const index = Number(/^(?:Bearer )?[A-Za-z]+\.(\d{1,15})$/.exec(tokenOf(call) ?? '')?.[1] ?? 0)
    // The token is made by the entry that follows.
    return index < member.appliedIndex || index > member.committedIndex + farAhead ? undefined : this.#awaitApplied(index + 1, signal)
  }

  async #awaitApplied(index: number, signal: AbortSignal): Promise<void> {
    const { member, clock } = this.#etcd
    for (let waitedMs = 0; member.appliedIndex < index && waitedMs < tokenPatienceMs; waitedMs += tokenLookMs) await sleep(clock, tokenLookMs, signal)
  }

  #watch(call: LeaderBoundCall): void {
    this.#bound.add(call)
    call.onEnd = () => this.#bound.delete(call)
    this.#arm()
  }

  #arm(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#etcd.clock.setTimer(this.#etcd.electionTimeoutMs, () => {
      this.#isLooking = false
      this.#looksWithoutLeader = this.#etcd.member.leaderId === 0n ? this.#looksWithoutLeader + 1 : 0
      if (this.#looksWithoutLeader >= patience) for (const bound of [...this.#bound]) bound.lose(toStatus(etcdError('noLeader')))
      if (this.#bound.size > 0) this.#arm()
      else this.#looksWithoutLeader = 0
    }, { keepAlive: false })
  }
}

function wantsLeader(call: Pick<GrpcServerCall, 'headers'>): boolean { return call.headers['hasleader'] === 'true' }

function isSerializable(r: WireReader): boolean {
  let serializable = false
  while (!r.done) {
    const tag = r.tag()
    if (tag === serializableField * 8) serializable = r.varint() !== 0
    else r.skip(tag % 8)
  }
  return serializable
}

/** A call that also ends when the leader is lost; its handler then sees an aborted signal, as when the client goes away. */
class LeaderBoundCall implements GrpcServerCall {
  readonly signal: AbortSignal
  readonly sendParts?: (head: Uint8Array, tail: Uint8Array) => void
  onEnd: () => void = () => {}
  readonly #call: GrpcServerCall
  readonly #lost = new AbortController()

  constructor(call: GrpcServerCall) {
    this.#call = call
    this.signal = AbortSignal.any([call.signal, this.#lost.signal])
    call.signal.addEventListener('abort', () => this.onEnd(), { once: true })
    if (call.sendParts) this.sendParts = (head, tail) => call.sendParts?.(head, tail)
  }

  get path(): string { return this.#call.path }
  get headers(): GrpcServerCall['headers'] { return this.#call.headers }
  get clientCommonName(): string | undefined { return this.#call.clientCommonName }
  get queuedBytes(): number { return this.#call.queuedBytes }
  get onDrain(): (() => void) | undefined { return this.#call.onDrain }
  set onDrain(drained: (() => void) | undefined) { this.#call.onDrain = drained }
  send(message: Uint8Array): void { this.#call.send(message) }
  end(): void { this.onEnd(); this.#call.end() }
  fail(error: unknown): void { this.onEnd(); this.#call.fail(error) }
  pause(): void { this.#call.pause() }
  resume(): void { this.#call.resume() }

  lose(error: unknown): void {
    this.onEnd()
    this.#lost.abort(error)
    this.#call.fail(error)
  }
}
