// What versions before 3.5 kept nowhere but in their `.snap` files: the keys of the second API, and the names and client URLs of members.
// Upstream: etcd v3.4, server/etcdserver/api/v2store/store.go (Recovery)
import type { StateMachine } from '../state-machine.ts'
import type { V2NodeImage } from '../v2/v2-store.ts'
import { ownV2Path, readAttributes } from '../wal/old-request.ts'
import { BoltError } from './bolt-format.ts'

interface TreeNode {
  readonly Path?: string
  readonly CreatedIndex?: number
  readonly ModifiedIndex?: number
  readonly ExpireTime?: string
  readonly Value?: string
  readonly Children?: { readonly [name: string]: TreeNode } | null
}

/** Completes a machine that was loaded from a database without these. @param data of the `.snap` file @throws BoltError */
export function importV2(data: Uint8Array, machine: StateMachine): void {
  if (data.length === 0) return
  const { Root, CurrentIndex = 0 } = parse(data)
  const nodes: V2NodeImage[] = []
  const visit = (path: string, node: TreeNode): void => {
    const expiresAtMs = node.ExpireTime === undefined || node.ExpireTime.startsWith('0001-') ? 0 : Date.parse(node.ExpireTime)
    // The root is always there.
    if (path !== '/1') nodes.push({ path: ownV2Path(path), ...(node.Children ? {} : { value: node.Value ?? '' }), createdIndex: node.CreatedIndex ?? 0, modifiedIndex: node.ModifiedIndex ?? 0, expiresAtMs })
    for (const [name, child] of Object.entries(node.Children ?? {})) visit(`${path}/${name}`, child)
  }
  // Keys, and users and roles.
  for (const name of ['1', '2']) {
    const part = Root?.Children?.[name]
    if (part && Object.keys(part.Children ?? {}).length > 0) visit(`/${name}`, part)
  }
  if (nodes.length > 0) machine.v2.restore(CurrentIndex, nodes)
  for (const [id, member] of Object.entries(Root?.Children?.['0']?.Children?.['members']?.Children ?? {})) {
    const known = /^[0-9a-f]{1,16}$/.test(id) ? machine.membership.members.get(BigInt(`0x${id}`)) : undefined
    const attributes = readAttributes(member.Children?.['attributes']?.Value ?? '')
    if (known && known.clientUrls.length === 0 && attributes) machine.membership.setAttributes(known.id, attributes.name, attributes.clientUrls)
  }
}

function parse(data: Uint8Array): { readonly Root?: TreeNode; readonly CurrentIndex?: number } {
  try {
    return JSON.parse(Buffer.from(data).toString()) as { readonly Root?: TreeNode; readonly CurrentIndex?: number } // cast: what the original wrote, under a checksum
  } catch (error) {
    throw new BoltError('the membership beside the mark is not JSON', { cause: error })
  }
}
