// grpc.health.v1.Health of a member: asked once (Check), or watched, as clients do that leave members which don't serve. There is one service,
// the nameless one of the whole server. Upstream: etcdserver/api/v3rpc/health.go, google.golang.org/grpc/health
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import type { GrpcHandler } from '../../../lib/net/grpc/grpc-server.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import type { EtcdInternals } from '../embedded.ts'

const statuses = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const
type HealthStatus = keyof typeof statuses

export function healthHandlers(etcd: EtcdInternals): readonly (readonly [path: string, handler: GrpcHandler])[] {
  const { member, features, defragmentation } = etcd
  const current = (service: string): HealthStatus => {
    if (service !== '') return 'SERVICE_UNKNOWN'
    return member.isServing && !(features.StopGRPCServiceOnDefrag && defragmentation.isRunning) ? 'SERVING' : 'NOT_SERVING'
  }
  const check: GrpcHandler = {
    unary: (request) => {
      const service = serviceOf(request)
      if (service !== '') throw new GrpcError('NotFound', 'unknown service')
      return encode(current(service))
    },
  }
  const watch: GrpcHandler = {
    stream: (call) => {
      let asked = false
      return {
        message: (request) => {
          if (asked) return
          asked = true
          const service = serviceOf(request)
          let last: HealthStatus | undefined
          const tell = (): void => {
            const status = current(service)
            if (status === last) return
            last = status
            call.send(encode(status))
          }
          const listening = defragmentation.listen(tell)
          call.signal.addEventListener('abort', () => listening[Symbol.dispose](), { once: true })
          tell()
        },
        end: () => { if (!asked) call.fail(new GrpcError('Internal', 'no message in the request')) },
      }
    },
  }
  return [['/grpc.health.v1.Health/Check', check], ['/grpc.health.v1.Health/Watch', watch]]
}

/** The first field of the request. */
function serviceOf(request: Uint8Array): string {
  const r = new WireReader(request)
  let service = ''
  while (!r.done) {
    const tag = r.tag()
    if (tag === 10) service = r.string()
    else r.skip(tag % 8)
  }
  return service
}

function encode(status: HealthStatus): Uint8Array { return Uint8Array.of(8, statuses[status]) }
