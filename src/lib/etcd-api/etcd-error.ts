// What can go wrong when somebody asks something of etcd. Clients of the original recognise errors by gRPC code and exact text, so both are
// fixed here once; code inside k8ts looks at `reason` alone.
// Upstream: etcd/api/v3rpc/rpctypes

export type EtcdErrorReason = 'OutOfRange' | 'Compacted' | 'InvalidArgument' | 'NotFound' | 'FailedPrecondition' | 'ResourceExhausted' | 'Unavailable' | 'Internal'
  | 'DeadlineExceeded' | 'PermissionDenied' | 'Unauthenticated' | 'Canceled' | 'DataLoss' | 'Unimplemented' | 'Unknown'

/** Reasons are etcd's gRPC codes (`Compacted` is a case of OutOfRange that callers must tell apart); `message` is etcd's own text. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError'
  readonly reason: EtcdErrorReason
  constructor(reason: EtcdErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

const texts = {
  emptyKey: ['InvalidArgument', 'key is not provided'],
  keyNotFound: ['InvalidArgument', 'key not found'],
  valueProvided: ['InvalidArgument', 'value is provided'],
  leaseProvided: ['InvalidArgument', 'lease is provided'],
  tooManyOps: ['InvalidArgument', 'too many operations in txn request'],
  duplicateKey: ['InvalidArgument', 'duplicate key given in txn request'],
  invalidSortOption: ['InvalidArgument', 'invalid sort option'],
  compacted: ['Compacted', 'mvcc: required revision has been compacted'],
  futureRevision: ['OutOfRange', 'mvcc: required revision is a future revision'],
  noSpace: ['ResourceExhausted', 'mvcc: database space exceeded'],
  leaseNotFound: ['NotFound', 'requested lease not found'],
  leaseExists: ['FailedPrecondition', 'lease already exists'],
  leaseTtlTooLarge: ['OutOfRange', 'too large lease TTL'],
  watchCanceled: ['Canceled', 'watch canceled'],
  memberNotFound: ['NotFound', 'member not found'],
  memberNotEnoughStarted: ['FailedPrecondition', 're-configuration failed due to not enough started members'],
  requestTooLarge: ['InvalidArgument', 'request is too large'],
  tooManyRequests: ['ResourceExhausted', 'too many requests'],
  rootUserNotExist: ['FailedPrecondition', 'root user does not exist'],
  rootRoleNotExist: ['FailedPrecondition', 'root user does not have root role'],
  userExists: ['FailedPrecondition', 'user name already exists'],
  userEmpty: ['InvalidArgument', 'user name is empty'],
  userNotFound: ['FailedPrecondition', 'user name not found'],
  roleExists: ['FailedPrecondition', 'role name already exists'],
  roleNotFound: ['FailedPrecondition', 'role name not found'],
  roleEmpty: ['InvalidArgument', 'role name is empty'],
  authFailed: ['InvalidArgument', 'authentication failed, invalid user ID or password'],
  permissionNotGiven: ['InvalidArgument', 'permission not given'],
  permissionDenied: ['PermissionDenied', 'permission denied'],
  roleNotGranted: ['FailedPrecondition', 'role is not granted to the user'],
  permissionNotGranted: ['FailedPrecondition', 'permission is not granted to the role'],
  invalidAuthToken: ['Unauthenticated', 'invalid auth token'],
  invalidAuthManagement: ['InvalidArgument', 'invalid auth management'],
  authOldRevision: ['InvalidArgument', 'revision of auth store is old'],
  authNotEnabled: ['FailedPrecondition', 'authentication is not enabled'],
  notCapable: ['FailedPrecondition', 'not capable'],
  badLeaderTransferee: ['FailedPrecondition', 'bad leader transferee'],
  wrongDowngradeVersionFormat: ['InvalidArgument', 'wrong downgrade target version format'],
  invalidDowngradeTarget: ['InvalidArgument', 'invalid downgrade target version'],
  downgradeInProcess: ['FailedPrecondition', 'cluster has a downgrade job in progress'],
  memberExists: ['FailedPrecondition', 'member ID already exist'],
  peerUrlExists: ['FailedPrecondition', 'Peer URLs already exists'],
  memberBadUrls: ['InvalidArgument', 'given member URLs are invalid'],
  memberNotLearner: ['FailedPrecondition', 'can only promote a learner member'],
  learnerNotReady: ['FailedPrecondition', 'can only promote a learner member which is in sync with leader'],
  tooManyLearners: ['FailedPrecondition', 'too many learner members in cluster'],
  notSupportedForLearner: ['FailedPrecondition', 'rpc not supported for learner'],
  unhealthy: ['Unavailable', 'unhealthy cluster'],
  clusterVersionUnavailable: ['FailedPrecondition', 'cluster version not found during downgrade'],
  leaderChanged: ['Unavailable', 'leader changed'],
  timeoutLeaderFailed: ['Unavailable', 'request timed out, possibly due to previous leader failure'],
  timeoutConnectionLost: ['Unavailable', 'request timed out, possibly due to connection lost'],
  timeoutWaitAppliedIndex: ['Unavailable', 'request timed out, waiting for the applied index took too long'],
  notLeader: ['FailedPrecondition', 'not leader'],
  noLeader: ['Unavailable', 'no leader'],
  noInflightDowngrade: ['FailedPrecondition', 'no inflight downgrade job'],
  stopped: ['Unavailable', 'server stopped'],
  timeout: ['Unavailable', 'request timed out'],
  corrupt: ['DataLoss', 'corrupt cluster'],
  canceled: ['Canceled', 'request canceled'],
} as const satisfies { readonly [kind: string]: readonly [EtcdErrorReason, string] }

export type EtcdErrorKind = keyof typeof texts

/** One of etcd's well-known errors, with its exact text. */
export function etcdError(kind: EtcdErrorKind, options?: ErrorOptions): EtcdError {
  const [reason, text] = texts[kind]
  return new EtcdError(reason, `etcdserver: ${text}`, options)
}

const compactedText = `etcdserver: ${texts.compacted[1]}`

/** The error that a remote etcd answered with: gRPC code by name, and text. */
export function etcdErrorFromStatus(code: string, message: string, options?: ErrorOptions): EtcdError {
  if (message === compactedText) return new EtcdError('Compacted', message, options)
  const known: readonly string[] = ['OutOfRange', 'InvalidArgument', 'NotFound', 'FailedPrecondition', 'ResourceExhausted', 'Unavailable', 'Internal', 'DeadlineExceeded', 'PermissionDenied',
    'Unauthenticated', 'Canceled', 'DataLoss', 'Unimplemented']
  return new EtcdError(known.includes(code) ? (code as EtcdErrorReason) : 'Unknown', message, options) // cast: checked in the same expression
}

/** The gRPC code's name for a reason. */
export function grpcCodeOf(reason: EtcdErrorReason): Exclude<EtcdErrorReason, 'Compacted'> {
  return reason === 'Compacted' ? 'OutOfRange' : reason
}
