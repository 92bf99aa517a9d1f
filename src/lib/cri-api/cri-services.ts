// The container runtime as the kubelet sees it: two services, in the same process or over a socket.
export type { ImageService, RuntimeService } from './generated/services.ts'
export { imageServiceMethods, runtimeServiceMethods } from './generated/services.ts'

export type CriErrorCode = 'NotFound' | 'AlreadyExists' | 'InvalidArgument' | 'FailedPrecondition' | 'Unavailable' | 'Internal' | 'DeadlineExceeded' | 'Unimplemented'

/** A CRI call failed; the code is gRPC's. */
export class CriError extends Error {
  override readonly name = 'CriError'
  readonly code: CriErrorCode
  constructor(code: CriErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
