// One call beyond CRI on the runtime's socket: imports an image archive that lies on the runtime's machine. CRI has pulls only, and a first
// cluster has no registry: `k8ts image load` uses this.
import { toCriError } from './cri-errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Proto3Table } from '../base/protobuf/proto3.ts'
import { GrpcChannel } from '../net/grpc/grpc-channel.ts'
import { createGrpcClient } from '../net/grpc/grpc-client.ts'

export interface ImportArchiveRequest {
  /** Absolute, on the runtime's machine. */
  readonly path?: string
  /** For an image that its archive doesn't name. */
  readonly name?: string
}

export interface ImportArchiveResponse { readonly names?: readonly string[] }

export interface ImageImportService {
  importArchive(request: ImportArchiveRequest, signal: AbortSignal): Promise<ImportArchiveResponse>
}

const table: Proto3Table = {
  ImportArchiveRequest: [{ name: 'path', number: 1, type: 'string' }, { name: 'name', number: 2, type: 'string' }],
  ImportArchiveResponse: [{ name: 'names', number: 1, type: 'string', list: true }],
}

export const imageImportGrpcService = { name: 'k8ts.runtime.v1.ImageImport', methods: { ImportArchive: { request: 'ImportArchiveRequest', response: 'ImportArchiveResponse' } }, table } as const

/** Returns the names of the imported images. @throws CriError */
export async function importArchiveOver(socketPath: string, request: ImportArchiveRequest, clock: Clock, signal: AbortSignal): Promise<readonly string[]> {
  using channel = new GrpcChannel({ target: `unix://${socketPath}`, clock })
  const client = createGrpcClient<ImageImportService>(channel, imageImportGrpcService, { toError: toCriError })
  return (await client.importArchive(request, signal)).names ?? []
}
