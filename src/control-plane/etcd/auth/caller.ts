// Who asks, as the log keeps it with every request of an authenticated cluster: permissions are checked when a request is applied, so they
// are checked alike on every member and after every restart.

export interface Caller {
  /** Empty: nobody has said who they are. */
  readonly username: string
  /** Of the auth store when the token was given or checked. A request made under older rules is refused. */
  readonly authRevision: number
}

export const nobody: Caller = { username: '', authRevision: 0 }

export const rootUser = 'root'
export const rootRole = 'root'

/** What the member does of its own accord (revoking expired leases, raising alarms, the API server in the same process). */
export const insider: Caller = { username: rootUser, authRevision: Number.MAX_SAFE_INTEGER }
