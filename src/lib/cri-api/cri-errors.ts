// CRI's errors as gRPC carries them.
import { CriError } from './cri-services.ts'
import type { CriErrorCode } from './cri-services.ts'
import type { GrpcError } from '../net/grpc/status.ts'

const kept: ReadonlySet<string> = new Set<CriErrorCode>(['NotFound', 'AlreadyExists', 'InvalidArgument', 'FailedPrecondition', 'Unavailable', 'Internal', 'DeadlineExceeded', 'Unimplemented'])
const isKept = (code: string): code is CriErrorCode => kept.has(code)

export function toCriError(error: GrpcError): CriError { return new CriError(isKept(error.code) ? error.code : 'Internal', error.message, { cause: error }) }
