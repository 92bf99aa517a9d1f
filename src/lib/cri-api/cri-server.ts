// Serves a container runtime's two CRI services over gRPC on a unix socket, for crictl, for a kubelet in another process, for the original kubelet.
import { criTable } from './generated/table.ts'
import { imageServiceMethods, runtimeServiceMethods } from './cri-services.ts'
import type { ImageService, RuntimeService } from './cri-services.ts'
import { imageImportGrpcService } from './image-import.ts'
import type { ImageImportService } from './image-import.ts'
import type { Clock } from '../base/clock.ts'
import { serveGrpc } from '../net/grpc/grpc-server.ts'
import type { GrpcServer } from '../net/grpc/grpc-server.ts'
import { serviceHandlers } from '../net/grpc/service-handlers.ts'

export const runtimeGrpcService = { name: 'runtime.v1.RuntimeService', methods: runtimeServiceMethods, table: criTable } as const
export const imageGrpcService = { name: 'runtime.v1.ImageService', methods: imageServiceMethods, table: criTable } as const

export interface CriServerOptions {
  readonly clock: Clock
  readonly socketPath: string
  readonly runtime: RuntimeService
  readonly images: ImageService
  /** Offers the call of image-import.ts too. */
  readonly importArchive?: (path: string, name: string) => Promise<readonly string[]>
}

/** Listens until disposed. Only root may connect. */
export function serveCri(options: CriServerOptions): Promise<GrpcServer> {
  const { importArchive } = options
  const importer: ImageImportService | undefined = importArchive && { importArchive: async (request) => ({ names: await importArchive(request.path ?? '', request.name ?? '') }) }
  return serveGrpc({
    clock: options.clock, listen: [{ path: options.socketPath, mode: 0o600 }],
    handlers: [...serviceHandlers(runtimeGrpcService, options.runtime), ...serviceHandlers(imageGrpcService, options.images), ...(importer ? serviceHandlers(imageImportGrpcService, importer) : [])],
  })
}
