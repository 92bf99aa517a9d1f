// The membership as a tree of the second API, in the JSON that the original keeps in its `.snap` files and sends in front of a database. Members up
// to version 3.6 begin with what stands there. Upstream: etcd/server/etcdserver/api/{membership/storev2.go,v2store/store.go}
import type { MembershipStore } from '../membership/membership-store.ts'

interface Node {
  readonly Path: string
  readonly CreatedIndex: number
  readonly ModifiedIndex: number
  readonly ExpireTime: string
  readonly Value: string
  Children: { [name: string]: Node } | null
}

const never = '0001-01-01T00:00:00Z'
/** Events that the original keeps; it expects as many places. None of them is ever taken here, so it is always the same text. */
const historyLength = 1000
const history = JSON.stringify({ Queue: { Events: Array.from({ length: historyLength }, () => null), Size: 0, Front: 0, Back: 0, Capacity: historyLength }, StartIndex: 0, LastIndex: 0 })
const counters = [
  'getsSuccess', 'getsFail', 'setsSuccess', 'setsFail', 'deleteSuccess', 'deleteFail', 'updateSuccess', 'updateFail', 'createSuccess', 'createFail',
  'compareAndSwapSuccess', 'compareAndSwapFail', 'compareAndDeleteSuccess', 'compareAndDeleteFail', 'expireCount', 'watchers',
]
const stats = JSON.stringify(Object.fromEntries(counters.map((name) => [name, 0])))

export function membershipInV2Format(membership: MembershipStore): Uint8Array {
  let index = 0
  const folder = (Path: string, at = index): Node => ({ Path, CreatedIndex: at, ModifiedIndex: at, ExpireTime: never, Value: '', Children: Object.create(null) as { [name: string]: Node } }) // cast: empty
  const root = folder('/')
  const put = (path: string, value: string): void => {
    index++
    let node = root
    const names = path.split('/').slice(1)
    names.forEach((name, depth) => {
      const at = `/${names.slice(0, depth + 1).join('/')}`
      const children = (node.Children ??= {})
      node = children[name] ??= depth === names.length - 1 ? { ...folder(at), Value: value, Children: null } : folder(at)
    })
  }
  root.Children = { 0: folder('/0'), 1: folder('/1') }
  for (const member of membership.list()) {
    const path = `/0/members/${member.id.toString(16)}`
    put(`${path}/raftAttributes`, JSON.stringify({ peerURLs: member.peerUrls, ...(member.isLearner ? { isLearner: true } : {}) }))
    put(`${path}/attributes`, JSON.stringify({ ...(member.name === '' ? {} : { name: member.name }), ...(member.clientUrls.length > 0 ? { clientURLs: member.clientUrls } : {}) }))
  }
  for (const id of membership.removed) put(`/0/removed_members/${id.toString(16)}`, 'removed')
  if (membership.clusterVersion !== undefined) put('/0/version', membership.clusterVersion)
  return Buffer.from(`{"Root":${JSON.stringify(root)},"WatcherHub":{"EventHistory":${history}},"CurrentIndex":${index},"Stats":${stats},"CurrentVersion":2}`)
}
