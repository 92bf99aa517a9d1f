// Makes gRPC handlers of an ordinary object: methods `(request, signal) => Promise` or `=> AsyncIterable`; with a request stream the first
// argument is an AsyncIterable. The same object can be called in the process without any of this.
import { decodeProto3, encodeProto3 } from '../../base/protobuf/proto3.ts'
import { WireError } from '../../base/protobuf/wire-reader.ts'
import type { GrpcHandler, GrpcServerCall } from './server-call.ts'
import { highMark, MessageQueue, methodProperty, type GrpcMethod, type GrpcService } from './service.ts'
import { GrpcError } from './status.ts'

/** Bytes that a streamed answer may have waiting before its producer is asked for more. */
const queuedBytesLimit = 1024 * 1024

/** The third argument says who calls; most methods don't look at it. */
type Method = (request: object, signal: AbortSignal, call: GrpcServerCall) => unknown

/** Handlers for every method of `service` that `implementation` has; the others answer Unimplemented. */
export function serviceHandlers(service: GrpcService, implementation: object): [path: string, handler: GrpcHandler][] {
  return Object.entries(service.methods).map(([name, method]): [string, GrpcHandler] => {
    const property = methodProperty(name)
    const found: unknown = Reflect.get(implementation, property)
    const path = `/${service.name}/${name}`
    if (typeof found !== 'function') return [path, { unary: () => { throw new GrpcError('Unimplemented', `method ${name} not implemented`) } }]
    const call: Method = (request, signal, peer) => Reflect.apply(found, implementation, [request, signal, peer])
    return [path, method.requestStream || method.responseStream ? streamHandler(service, method, call) : unaryHandler(service, method, call)]
  })
}

function decodeRequest(service: GrpcService, method: GrpcMethod, bytes: Uint8Array): object {
  try {
    return decodeProto3<object>(service.table, method.request, bytes)
  } catch (error) {
    if (error instanceof WireError) throw new GrpcError('Internal', `grpc: error unmarshalling request: ${error.message}`, { cause: error })
    throw error
  }
}

function unaryHandler(service: GrpcService, method: GrpcMethod, run: Method): GrpcHandler {
  return {
    unary: async (bytes, call) => {
      const answer = await run(decodeRequest(service, method, bytes), call.signal, call) as object // cast: implementations answer with messages
      return encodeProto3(service.table, method.response, answer)
    },
  }
}

function streamHandler(service: GrpcService, method: GrpcMethod, run: Method): GrpcHandler {
  return {
    stream: (call) => {
      let started = false
      const requests = new MessageQueue<object>(() => call.resume())
      const start = (argument: object): void => {
        if (started) return
        started = true
        void pump(service, method, run, argument, call)
      }
      call.signal.addEventListener('abort', () => requests.fail(call.signal.reason), { once: true })
      if (method.requestStream) start(requests)
      return {
        message: (bytes) => {
          const request = decodeRequest(service, method, bytes)
          if (!method.requestStream) { start(request); return }
          requests.push(request)
          if (requests.length >= highMark) call.pause()
        },
        end: () => {
          if (method.requestStream) requests.finish()
          else if (!started) call.fail(new GrpcError('Internal', 'no message in the request'))
        },
      }
    },
  }
}

async function pump(service: GrpcService, method: GrpcMethod, run: Method, argument: object, call: GrpcServerCall): Promise<void> {
  try {
    const answer = await run(argument, call.signal, call)
    if (!method.responseStream) {
      call.send(encodeProto3(service.table, method.response, answer as object)) // cast: implementations answer with messages
      call.end()
      return
    }
    for await (const message of answer as AsyncIterable<object>) { // cast: a method with a response stream returns an iterable
      call.signal.throwIfAborted()
      call.send(encodeProto3(service.table, method.response, message))
      if (call.queuedBytes > queuedBytesLimit) await drained(call)
    }
    call.end()
  } catch (error) {
    call.fail(error)
  }
}

/** Resolves when what waited for the client has been sent; rejects when the call is over. */
export function drained(call: GrpcServerCall): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => { call.onDrain = undefined; reject(call.signal.reason) }
    call.signal.addEventListener('abort', onAbort, { once: true })
    call.onDrain = () => {
      call.onDrain = undefined
      call.signal.removeEventListener('abort', onAbort)
      resolve()
    }
  })
}
