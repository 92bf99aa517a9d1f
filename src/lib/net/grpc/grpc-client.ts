// A typed client of a described service: an object with the service's methods, as its implementation has them.
import { decodeProto3, encodeProto3 } from '../../base/protobuf/proto3.ts'
import type { GrpcChannel, GrpcClientCall } from './grpc-channel.ts'
import { highMark, MessageQueue, methodProperty, type GrpcMethod, type GrpcService } from './service.ts'
import type { GrpcError } from './status.ts'

export interface GrpcClientOptions {
  /** What callers get instead of a GrpcError. */
  readonly toError?: (error: GrpcError) => Error
  /** For calls that are not streams. */
  readonly timeoutMs?: number
  readonly metadata?: { readonly [name: string]: string }
}

/** `T`: the service's interface; methods are `(request, signal)` giving a promise or, for response streams, an async iterable. */
export function createGrpcClient<T extends object>(channel: GrpcChannel, service: GrpcService, options: GrpcClientOptions = {}): T {
  const toError = options.toError ?? ((error: GrpcError): Error => error)
  const client: { [method: string]: (request: object, signal: AbortSignal) => unknown } = {}
  for (const [name, method] of Object.entries(service.methods)) {
    const path = `/${service.name}/${name}`
    client[methodProperty(name)] = method.responseStream || method.requestStream
      ? (request, signal) => openStream(channel, path, service, method, request, signal, options, toError)
      : async (request, signal) => {
        const callOptions = { signal, ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }), ...(options.metadata ? { metadata: options.metadata } : {}) }
        let answer: Uint8Array
        try {
          answer = await channel.unary(path, encodeProto3(service.table, method.request, request), callOptions)
        } catch (error) {
          throw toError(error as GrpcError) // cast: channels reject with nothing else
        }
        return decodeProto3<object>(service.table, method.response, answer)
      }
  }
  return client as T // cast: the description lists the interface's methods
}

function openStream(channel: GrpcChannel, path: string, service: GrpcService, method: GrpcMethod, request: object, signal: AbortSignal, options: GrpcClientOptions, toError: (error: GrpcError) => Error): unknown {
  const answers = new MessageQueue<object>(() => call.resume())
  const call: GrpcClientCall = channel.call(path, { signal, ...(options.metadata ? { metadata: options.metadata } : {}) }, {
    message: (bytes) => {
      answers.push(decodeProto3<object>(service.table, method.response, bytes))
      if (answers.length >= highMark) call.pause()
    },
    end: (error) => { if (error) answers.fail(toError(error)); else answers.finish() },
  })
  if (method.requestStream) void sendAll(call, service, method, request as AsyncIterable<object>) // cast: a method with a request stream takes an iterable
  else {
    call.send(encodeProto3(service.table, method.request, request))
    call.finish()
  }
  if (method.responseStream) return cancelling(answers, call)
  return (async () => {
    for await (const answer of answers) return answer
    throw new Error('the answer has no message')
  })()
}

async function sendAll(call: GrpcClientCall, service: GrpcService, method: GrpcMethod, requests: AsyncIterable<object>): Promise<void> {
  try {
    for await (const request of requests) call.send(encodeProto3(service.table, method.request, request))
    call.finish()
  } catch (error) {
    call.cancel(error)
  }
}

/** Leaving the loop over the answers cancels the call. */
async function* cancelling(answers: MessageQueue<object>, call: GrpcClientCall): AsyncGenerator<object> {
  try {
    yield* answers
  } finally {
    call.cancel()
  }
}
