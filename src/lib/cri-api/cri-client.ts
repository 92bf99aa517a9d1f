// A container runtime in another process, reached over its CRI socket: ours, containerd, CRI-O. Gives the same two interfaces that an
// in-process runtime has.
import { imageGrpcService, runtimeGrpcService } from './cri-server.ts'
import { toCriError } from './cri-errors.ts'
import type { ImageService, RuntimeService } from './cri-services.ts'
import type { Clock } from '../base/clock.ts'
import { GrpcChannel } from '../net/grpc/grpc-channel.ts'
import { createGrpcClient } from '../net/grpc/grpc-client.ts'

export interface CriClient extends Disposable {
  readonly runtime: RuntimeService
  readonly images: ImageService
}

/** @param endpoint `unix:///run/containerd/containerd.sock`; a bare path is a socket too */
export function connectCri(endpoint: string, clock: Clock): CriClient {
  const channel = new GrpcChannel({ target: endpoint.startsWith('/') ? `unix://${endpoint}` : endpoint, clock })
  return {
    runtime: createGrpcClient<RuntimeService>(channel, runtimeGrpcService, { toError: toCriError }),
    images: createGrpcClient<ImageService>(channel, imageGrpcService, { toError: toCriError }),
    [Symbol.dispose]: () => channel[Symbol.dispose](),
  }
}
