// The plugin that holds the keys of KMS v2, over gRPC on a unix socket. Upstream: kms/apis/v2/api.proto
import type { Clock } from '../../../../lib/base/clock.ts'
import type { Proto3Table } from '../../../../lib/base/protobuf/proto3.ts'
import { GrpcChannel } from '../../../../lib/net/grpc/grpc-channel.ts'
import { createGrpcClient } from '../../../../lib/net/grpc/grpc-client.ts'
import type { GrpcMethod, GrpcService } from '../../../../lib/net/grpc/service.ts'

export interface KmsStatus { readonly version?: string; readonly healthz?: string; readonly keyId?: string }
export interface KmsAnnotations { readonly [key: string]: Uint8Array }

export interface KmsService {
  status(request: object, signal: AbortSignal): Promise<KmsStatus>
  encrypt(request: { readonly plaintext: Uint8Array; readonly uid: string }, signal: AbortSignal): Promise<{ readonly ciphertext?: Uint8Array; readonly keyId?: string; readonly annotations?: KmsAnnotations }>
  decrypt(request: { readonly ciphertext: Uint8Array; readonly uid: string; readonly keyId: string; readonly annotations?: KmsAnnotations }, signal: AbortSignal): Promise<{ readonly plaintext?: Uint8Array }>
}

const annotations = (number: number) => ({ name: 'annotations', number, type: 'bytes', mapKey: 'string' }) as const

const table: Proto3Table = {
  StatusRequest: [],
  StatusResponse: [{ name: 'version', number: 1, type: 'string' }, { name: 'healthz', number: 2, type: 'string' }, { name: 'keyId', number: 3, type: 'string' }],
  DecryptRequest: [{ name: 'ciphertext', number: 1, type: 'bytes' }, { name: 'uid', number: 2, type: 'string' }, { name: 'keyId', number: 3, type: 'string' }, annotations(4)],
  DecryptResponse: [{ name: 'plaintext', number: 1, type: 'bytes' }],
  EncryptRequest: [{ name: 'plaintext', number: 1, type: 'bytes' }, { name: 'uid', number: 2, type: 'string' }],
  EncryptResponse: [{ name: 'ciphertext', number: 1, type: 'bytes' }, { name: 'keyId', number: 2, type: 'string' }, annotations(3)],
}

const method = (name: string): GrpcMethod => ({ request: `${name}Request`, response: `${name}Response` })

export const keyManagementService: GrpcService = { name: 'v2.KeyManagementService', table, methods: { Status: method('Status'), Encrypt: method('Encrypt'), Decrypt: method('Decrypt') } }

/** @param endpoint `unix:///path`; `unix:///@name` is a socket without a file */
export function connectKms(endpoint: string, timeoutMs: number, clock: Clock): KmsService & Disposable {
  const channel = new GrpcChannel({ target: endpoint.replace(/^unix:\/\/\/@/, 'unix:\0'), clock })
  const client = createGrpcClient<KmsService>(channel, keyManagementService, { timeoutMs })
  return { status: (r, s) => client.status(r, s), encrypt: (r, s) => client.encrypt(r, s), decrypt: (r, s) => client.decrypt(r, s), [Symbol.dispose]() { channel[Symbol.dispose]() } }
}
