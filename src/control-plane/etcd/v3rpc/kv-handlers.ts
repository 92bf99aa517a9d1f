// The calls of etcdserverpb.KV that make the load: reads, writes and transactions, from the bytes of a request to the bytes of its answer
// without a message object, a promise or a closure more than the store needs. What is rare has its place in kv-service.ts.
import { WireError, WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { encodeWith, type MessageEncoder } from '../../../lib/base/protobuf/exact-writer.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdRangeRequest, EtcdRangeResponse, EtcdTxnResponse } from '../../../lib/etcd-api/operations.ts'
import type { DirectCall, GrpcHandler, GrpcServerCall } from '../../../lib/net/grpc/grpc-server.ts'
import { drained } from '../../../lib/net/grpc/service-handlers.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import type { EtcdInternals } from '../embedded.ts'
import type { Caller } from '../auth/caller.ts'
import { checkTxnRequest } from '../auth/check-request.ts'
import { isLongRange, isOfMessages, listMessages, readRange, readRangeInPieces } from '../mvcc/range.ts'
import { checkDeleteRange, checkPut, checkRange } from '../mvcc/request-checks.ts'
import type { ProposalWaiter } from '../consensus/proposals.ts'
import type { AppliedResult, LoggedRequest } from '../state-machine.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { callerOf } from './access.ts'
import { allocate, deleteRangeAnswer, listedPieces, listedSize, listedStreamAnswer, putAnswer, rangeAnswer, rangePieces, rangeSizeInPieces, rangeStreamAnswer, txnAnswer, type Answer, type DeleteRangeAnswer, type PutAnswer } from './kv-answers.ts'
import { readDeleteRangeRequest, readPutRequest, readRangeRequest, readTxnRequest } from './kv-requests.ts'
import { toStatus } from './response-header.ts'

type Direct = (request: WireReader, call: DirectCall) => void

/** Handlers of Range, RangeStream, Put, DeleteRange and Txn, by method. */
export function kvHandlers(etcd: EtcdInternals): readonly (readonly [method: string, handler: GrpcHandler])[] {
  const { client, member } = etcd
  const { clusterId, memberId } = etcd.identity
  const { auth, leases } = member.machine
  const answerOf = <T>(revision: number, body: T): Answer<T> => ({ clusterId, memberId, revision, raftTerm: member.term, body })

  const range: Direct = (request, call) => {
    const asked = readRangeRequest(request)
    checkRange(asked)
    if (auth.enabled) auth.checkRange(callerOf(etcd, call), asked.key, asked.rangeEnd)
    const signal = call.connectionSignal
    member.checkServing(signal)
    const confirmed = asked.serializable ? undefined : member.readIndex(signal)
    if (confirmed === undefined) read(asked, call)
    else confirmed.then(() => read(asked, call)).catch((error: unknown) => call.fail(toStatus(error)))
  }

  const read = (asked: EtcdRangeRequest, call: DirectCall): void => {
    const { store } = member.machine
    if (isLongRange(store, asked)) {
      readLong(asked, call).catch((error: unknown) => call.fail(toStatus(error)))
      return
    }
    const response = readRange(store, asked)
    call.answer<Answer<EtcdRangeResponse>>(rangeAnswer, answerOf(response.revision, response))
  }

  /** What many keys take is done between other requests. */
  const readLong = async (asked: EtcdRangeRequest, call: DirectCall): Promise<void> => {
    const pause = async (): Promise<void> => {
      await yieldToLoop()
      call.connectionSignal.throwIfAborted()
    }
    const { store } = member.machine
    if (isOfMessages(asked)) {
      const listed = await listMessages(store, asked, pause)
      const answer = answerOf(listed.revision, listed)
      call.answerInPieces(listedSize(answer), listedPieces(answer))
      return
    }
    const response = await readRangeInPieces(store, asked, pause)
    const answer = answerOf(response.revision, response)
    call.answerInPieces(await rangeSizeInPieces(answer, pause), rangePieces(answer), answer)
  }

  /** Answers a call when its request is applied: all that waits for it. */
  class Writing implements ProposalWaiter {
    readonly #call: DirectCall
    readonly #answer: (call: DirectCall, response: EtcdTxnResponse) => void

    constructor(call: DirectCall, answer: (call: DirectCall, response: EtcdTxnResponse) => void) {
      this.#call = call
      this.#answer = answer
    }

    resolve(applied: AppliedResult): void {
      try {
        if (applied.type === 'txn') this.#answer(this.#call, applied.response)
        else this.reject(etcdError('canceled'))
      } catch (error) {
        this.reject(error)
      }
    }

    reject(error: unknown): void { this.#call.fail(toStatus(error)) }
  }
  const write = (call: DirectCall, request: LoggedRequest, answer: (call: DirectCall, response: EtcdTxnResponse) => void): void => {
    client.submit(auth.enabled ? { ...request, caller: callerOf(etcd, call) } : request, call.connectionSignal, new Writing(call, answer))
  }
  const answerPut = (call: DirectCall, { revision, results: [result] }: EtcdTxnResponse): void => call.answer<Answer<PutAnswer>>(putAnswer, answerOf(revision, result?.type === 'put' ? result : nothing))
  const answerDeletion = (call: DirectCall, { revision, results: [result] }: EtcdTxnResponse): void => {
    if (result?.type === 'deleteRange') call.answer<Answer<DeleteRangeAnswer>>(deleteRangeAnswer, answerOf(revision, result))
    else call.fail(toStatus(etcdError('canceled')))
  }
  const answerTxn = (call: DirectCall, response: EtcdTxnResponse): void => call.answer<Answer<EtcdTxnResponse>>(txnAnswer, answerOf(response.revision, response))

  const put: Direct = (request, call) => {
    const asked = readPutRequest(request)
    checkPut(asked)
    write(call, asked, answerPut)
  }

  const deleteRange: Direct = (request, call) => {
    const asked = readDeleteRangeRequest(request)
    checkDeleteRange(asked)
    write(call, asked, answerDeletion)
  }

  const txn: Direct = (request, call) => {
    const read = readTxnRequest(request)
    const asked: typeof read & { readonly caller?: Caller } = auth.enabled ? { ...read, caller: callerOf(etcd, call) } : read
    if (client.submitTxn(asked, call.connectionSignal, new Writing(call, answerTxn))) return
    // A transaction that only reads is not logged, so it is checked here.
    if (asked.caller) checkTxnRequest(auth, leases, asked.caller, asked)
    client.txn(asked, call.connectionSignal).then((response) => answerTxn(call, response), (error: unknown) => call.fail(toStatus(error)))
  }

  const rangeStream = async (bytes: Uint8Array, call: GrpcServerCall): Promise<void> => {
    const asked = readRangeRequest(new WireReader(bytes))
    checkRange(asked)
    if (auth.enabled) auth.checkRange(callerOf(etcd, call), asked.key, asked.rangeEnd)
    if (isOfMessages(asked) && isLongRange(member.machine.store, asked)) {
      await streamMessages(asked, call)
      return
    }
    const response = await client.range(asked, call.signal)
    const { kvs } = response
    for (let at = 0; at === 0 || at < kvs.length; at += streamedKvs) {
      const last = at + streamedKvs >= kvs.length ? answerOf(response.revision, response) : undefined
      call.send(encodeWith(rangeStreamAnswer, { last, kvs: kvs.slice(at, at + streamedKvs) }, allocate))
      if (call.queuedBytes > queuedBytesLimit) await drained(call)
      else await yieldToLoop()
      call.signal.throwIfAborted()
    }
    call.end()
  }

  const streamMessages = async (asked: EtcdRangeRequest, call: GrpcServerCall): Promise<void> => {
    const pause = async (): Promise<void> => {
      await yieldToLoop()
      call.signal.throwIfAborted()
    }
    member.checkServing(call.signal)
    if (!asked.serializable) await member.readIndex(call.signal)
    const listed = await listMessages(member.machine.store, asked, pause)
    const { messages } = listed
    for (let from = 0; from === 0 || from < messages.length; from += streamedKvs) {
      const to = Math.min(from + streamedKvs, messages.length)
      const last = to === messages.length ? answerOf(listed.revision, listed) : undefined
      call.send(encodeWith(listedStreamAnswer, { last, messages, from, to }, allocate))
      if (call.queuedBytes > queuedBytesLimit) await drained(call)
      else await yieldToLoop()
      call.signal.throwIfAborted()
    }
    call.end()
  }

  return [['RangeStream', streamOf(rangeStream)], ['Range', handlerOf(range)], ['Put', handlerOf(put)], ['DeleteRange', handlerOf(deleteRange)], ['Txn', handlerOf(txn)]]
}

const nothing: PutAnswer = {}
/** Key-values per message of a streamed range, and bytes that may wait for its client. */
const streamedKvs = 500
const queuedBytesLimit = 256 * 1024

/** A call with one message that is answered by many. */
function streamOf(run: (request: Uint8Array, call: GrpcServerCall) => Promise<void>): GrpcHandler {
  return {
    stream: (call) => {
      let asked = false
      return {
        message: (bytes) => {
          if (asked) return
          asked = true
          run(bytes, call).catch((error: unknown) => call.fail(statusOf(error)))
        },
        end: () => { if (!asked) call.fail(new GrpcError('Internal', 'no message in the request')) },
      }
    },
  }
}

function statusOf(error: unknown): unknown {
  return error instanceof WireError ? new GrpcError('Internal', `grpc: error unmarshalling request: ${error.message}`, { cause: error }) : toStatus(error)
}

/** What is thrown becomes the call's status. */
function handlerOf(run: Direct): GrpcHandler {
  const direct: Direct = (request, call) => {
    try {
      run(request, call)
    } catch (error) {
      call.fail(statusOf(error))
    }
  }
  return { direct, unary: (request, call) => new Promise((resolve, reject) => direct(new WireReader(request), new CallOfPromise(call, resolve, reject))) }
}

/** For callers that want the answer as bytes: the gateway, for instance. */
class CallOfPromise implements DirectCall {
  readonly #call: GrpcServerCall
  readonly #resolve: (answer: Uint8Array) => void
  readonly #reject: (error: unknown) => void

  constructor(call: GrpcServerCall, resolve: (answer: Uint8Array) => void, reject: (error: unknown) => void) {
    this.#call = call
    this.#resolve = resolve
    this.#reject = reject
  }

  get headers(): DirectCall['headers'] { return this.#call.headers }
  get clientCommonName(): string | undefined { return this.#call.clientCommonName }
  get connectionSignal(): AbortSignal { return this.#call.connectionSignal ?? this.#call.signal }
  answer<T>(encoder: MessageEncoder<T>, message: T): void { this.#resolve(encodeWith(encoder, message, allocate)) }
  answerInPieces(size: number, pieces: Iterator<Uint8Array>): void {
    const whole = Buffer.allocUnsafe(size)
    let at = 0
    for (let piece = pieces.next(); !piece.done; piece = pieces.next()) {
      whole.set(piece.value, at)
      at += piece.value.length
    }
    this.#resolve(whole)
  }

  fail(error: unknown): void { this.#reject(error) }
}
