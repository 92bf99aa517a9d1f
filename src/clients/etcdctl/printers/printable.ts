// What commands hand to a printer: the server's answer, and what the words around it need besides.
import type {
  AlarmResponse, AuthRoleAddResponse, AuthRoleDeleteResponse, AuthRoleGetResponse, AuthRoleGrantPermissionResponse, AuthRoleListResponse, AuthRoleRevokePermissionResponse, AuthStatusResponse,
  AuthUserAddResponse, AuthUserChangePasswordResponse, AuthUserDeleteResponse, AuthUserGetResponse, AuthUserGrantRoleResponse, AuthUserListResponse, AuthUserRevokeRoleResponse, DeleteRangeResponse,
  DowngradeResponse, HashKVResponse, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse, LeaseTimeToLiveResponse, MemberAddResponse, MemberListResponse,
  MemberPromoteResponse, MemberRemoveResponse, MemberUpdateResponse, MoveLeaderResponse, PutResponse, RangeResponse, StatusResponse, TxnResponse, WatchResponse,
} from '../../../lib/etcd-api/generated/types.ts'

export interface EndpointHealth { readonly endpoint: string; readonly health: boolean; readonly took: string; readonly error?: string }
export interface EndpointStatus { readonly endpoint: string; readonly status: StatusResponse }
export interface EndpointHash { readonly endpoint: string; readonly hash: HashKVResponse }

export type Printable =
  | { readonly kind: 'get'; readonly response: RangeResponse; readonly valueOnly?: boolean }
  | { readonly kind: 'put'; readonly response: PutResponse }
  | { readonly kind: 'del'; readonly response: DeleteRangeResponse }
  | { readonly kind: 'txn'; readonly response: TxnResponse }
  | { readonly kind: 'watch'; readonly response: WatchResponse }
  | { readonly kind: 'leaseGrant'; readonly response: LeaseGrantResponse }
  | { readonly kind: 'leaseRevoke'; readonly response: LeaseRevokeResponse; readonly id: bigint }
  | { readonly kind: 'leaseKeepAlive'; readonly response: LeaseKeepAliveResponse }
  | { readonly kind: 'leaseTimeToLive'; readonly response: LeaseTimeToLiveResponse; readonly withKeys: boolean }
  | { readonly kind: 'leases'; readonly response: LeaseLeasesResponse }
  | { readonly kind: 'memberAdd'; readonly response: MemberAddResponse }
  | { readonly kind: 'memberRemove'; readonly response: MemberRemoveResponse; readonly id: bigint }
  | { readonly kind: 'memberUpdate'; readonly response: MemberUpdateResponse; readonly id: bigint }
  | { readonly kind: 'memberPromote'; readonly response: MemberPromoteResponse; readonly id: bigint }
  | { readonly kind: 'memberList'; readonly response: MemberListResponse }
  | { readonly kind: 'endpointHealth'; readonly endpoints: readonly EndpointHealth[] }
  | { readonly kind: 'endpointStatus'; readonly endpoints: readonly EndpointStatus[] }
  | { readonly kind: 'endpointHashKv'; readonly endpoints: readonly EndpointHash[] }
  | { readonly kind: 'moveLeader'; readonly response: MoveLeaderResponse; readonly from: bigint; readonly to: bigint }
  | { readonly kind: 'downgrade'; readonly response: DowngradeResponse; readonly action: 'validate' | 'enable' | 'cancel' }
  | { readonly kind: 'alarm'; readonly response: AlarmResponse }
  | { readonly kind: 'roleAdd'; readonly response: AuthRoleAddResponse; readonly role: string }
  | { readonly kind: 'roleGet'; readonly response: AuthRoleGetResponse; readonly role: string }
  | { readonly kind: 'roleDelete'; readonly response: AuthRoleDeleteResponse; readonly role: string }
  | { readonly kind: 'roleList'; readonly response: AuthRoleListResponse }
  | { readonly kind: 'roleGrantPermission'; readonly response: AuthRoleGrantPermissionResponse; readonly role: string }
  | { readonly kind: 'roleRevokePermission'; readonly response: AuthRoleRevokePermissionResponse; readonly role: string; readonly key: string; readonly end: string }
  | { readonly kind: 'userAdd'; readonly response: AuthUserAddResponse; readonly user: string }
  | { readonly kind: 'userGet'; readonly response: AuthUserGetResponse; readonly user: string }
  | { readonly kind: 'userList'; readonly response: AuthUserListResponse }
  | { readonly kind: 'userChangePassword'; readonly response: AuthUserChangePasswordResponse }
  | { readonly kind: 'userGrantRole'; readonly response: AuthUserGrantRoleResponse; readonly user: string; readonly role: string }
  | { readonly kind: 'userRevokeRole'; readonly response: AuthUserRevokeRoleResponse; readonly user: string; readonly role: string }
  | { readonly kind: 'userDelete'; readonly response: AuthUserDeleteResponse; readonly user: string }
  | { readonly kind: 'authStatus'; readonly response: AuthStatusResponse }

/** The answer's protobuf message, for the printers that know messages by their tables; absent for what is not one message. */
export const messageNames: { readonly [K in Printable['kind']]?: string } = {
  get: 'RangeResponse', put: 'PutResponse', del: 'DeleteRangeResponse', txn: 'TxnResponse', watch: 'WatchResponse', leaseGrant: 'LeaseGrantResponse', leaseRevoke: 'LeaseRevokeResponse',
  leaseKeepAlive: 'LeaseKeepAliveResponse', leaseTimeToLive: 'LeaseTimeToLiveResponse', leases: 'LeaseLeasesResponse', memberAdd: 'MemberAddResponse', memberRemove: 'MemberRemoveResponse',
  memberUpdate: 'MemberUpdateResponse', memberPromote: 'MemberPromoteResponse', memberList: 'MemberListResponse', moveLeader: 'MoveLeaderResponse', downgrade: 'DowngradeResponse', alarm: 'AlarmResponse',
  roleAdd: 'AuthRoleAddResponse', roleGet: 'AuthRoleGetResponse', roleDelete: 'AuthRoleDeleteResponse', roleList: 'AuthRoleListResponse', roleGrantPermission: 'AuthRoleGrantPermissionResponse',
  roleRevokePermission: 'AuthRoleRevokePermissionResponse', userAdd: 'AuthUserAddResponse', userGet: 'AuthUserGetResponse', userList: 'AuthUserListResponse',
  userChangePassword: 'AuthUserChangePasswordResponse', userGrantRole: 'AuthUserGrantRoleResponse', userRevokeRole: 'AuthUserRevokeRoleResponse', userDelete: 'AuthUserDeleteResponse',
  authStatus: 'AuthStatusResponse',
}

/** What a printer makes of a Printable: pieces for standard output in order (texts or raw bytes), and text for standard error. */
export interface Printed { readonly out: readonly (string | Uint8Array)[]; readonly err?: string }

/** This format has no form for it (exit code 4). */
export class UnsupportedFormat extends Error {
  override readonly name = 'UnsupportedFormat'
}

export interface PrinterOptions { readonly hex: boolean }
export type Printer = (printable: Printable, options: PrinterOptions) => Printed
