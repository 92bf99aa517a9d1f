// Who a container runs as: user and group by number or name, looked up in the image's own /etc/passwd and /etc/group. Pure: takes the files' text.
// Upstream: github.com/moby/sys/user; CRI's SupplementalGroupsPolicy

export interface ContainerUserIds {
  readonly uid: number
  readonly gid: number
  readonly additionalGids: readonly number[]
  /** For HOME. */
  readonly home: string
}

export interface UserRequest {
  /** From the security context; goes before the image's user. */
  readonly runAsUser: number | undefined
  readonly runAsUsername: string
  readonly runAsGroup: number | undefined
  /** `user`, `user:group`, ids or names. */
  readonly imageUser: string
  readonly supplementalGroups: readonly number[]
  /** Strict: groups from the image's /etc/group don't count. */
  readonly strictGroups: boolean
}

const lines = (text: string): string[][] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(':'))
const isNumber = (text: string | undefined): text is string => text !== undefined && /^\d{1,10}$/.test(text)

/** The ids, or why there are none. */
export function resolveUser(request: UserRequest, passwdText: string, groupText: string): ContainerUserIds | { readonly problem: string } {
  const passwd = lines(passwdText)
  const groups = lines(groupText)
  const [imageUser = '', imageGroup = ''] = request.imageUser.split(':')
  const wanted = request.runAsUser !== undefined ? String(request.runAsUser) : request.runAsUsername || imageUser || '0'
  const byName = passwd.find((fields) => fields[0] === wanted)
  const entry = byName ?? (isNumber(wanted) ? passwd.find((fields) => fields[2] === wanted) : undefined)
  if (!entry && !isNumber(wanted)) return { problem: `unable to find user ${wanted}: no matching entries in passwd file` }
  const uid = Number(byName ? byName[2] : wanted)
  const ownsImageGroup = request.runAsUser === undefined && request.runAsUsername === ''
  let gid = request.runAsGroup
  if (gid === undefined && ownsImageGroup && imageGroup !== '') {
    const found = groups.find((fields) => fields[0] === imageGroup)
    if (!found && !isNumber(imageGroup)) return { problem: `unable to find group ${imageGroup}: no matching entries in group file` }
    gid = Number(found ? found[2] : imageGroup)
  }
  gid ??= entry ? Number(entry[3]) : 0
  if (![uid, gid].every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31)) return { problem: `user ${wanted} has no valid ids` }
  const name = entry?.[0]
  const memberships = request.strictGroups || name === undefined ? []
    : groups.filter((fields) => fields[3]?.split(',').includes(name)).map((fields) => Number(fields[2])).filter((id) => Number.isInteger(id) && id >= 0)
  const additionalGids = [...new Set([gid, ...memberships, ...request.supplementalGroups])]
  return { uid, gid, additionalGids, home: entry?.[5] || (uid === 0 ? '/root' : '/') }
}
