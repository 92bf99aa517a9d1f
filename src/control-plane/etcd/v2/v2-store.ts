// The keys of etcd's second API: a tree with time-to-live, compare-and-swap and in-order keys. Pure; part of the state that the log makes, apart
// from the revisions of the third API. Upstream: etcd v3.5, server/etcdserver/api/v2store/store.go
import { describe, describeTree, lifetimeOf, TreeNode } from './v2-node.ts'
import type { V2Action, V2Event, V2Failure, V2Node, V2Request, V2Result } from './v2-request.ts'
import { V2Watchers } from './v2-watchers.ts'

/** A node as a snapshot keeps it; parents come before their children. */
export interface V2NodeImage {
  readonly path: string
  readonly value?: string
  readonly createdIndex: number
  readonly modifiedIndex: number
  readonly expiresAtMs: number
}

class Refusal extends Error {
  readonly failure: V2Failure
  constructor(failure: V2Failure) {
    super(failure.cause)
    this.failure = failure
  }
}

const permanent = 0
const countedNames = ['gets', 'sets', 'delete', 'update', 'create', 'compareAndSwap', 'compareAndDelete']

export class V2Store {
  #root = new TreeNode('/', undefined, 0, 'directory', permanent)
  #index = 0
  /** Nodes that will expire. */
  readonly #mortal = new Set<TreeNode>()
  readonly watchers = new V2Watchers()
  readonly #stats = new Map<string, number>([...countedNames.flatMap((name) => [`${name}Success`, `${name}Fail`]), 'expireCount'].map((name) => [name, 0]))

  get index(): number { return this.#index }
  get isEmpty(): boolean { return this.#index === 0 }
  /** When the next node expires, milliseconds since the epoch; undefined: none does. */
  get nextExpiryMs(): number | undefined {
    let next: number | undefined
    for (const { expiresAtMs } of this.#mortal) if (next === undefined || expiresAtMs < next) next = expiresAtMs
    return next
  }

  /** Counts since the process began, under the original's names. */
  get stats(): { readonly [name: string]: number } { return Object.fromEntries(this.#stats) }

  #count(request: V2Request, succeeded: boolean): void {
    if (request.method === 'SYNC') return
    const names = { QGET: 'gets', POST: 'create', PUT: request.prevExist === 'no' ? 'create' : request.prevIndex || request.prevValue ? 'compareAndSwap' : request.prevExist === 'yes' ? 'update' : 'sets', DELETE: request.prevIndex || request.prevValue ? 'compareAndDelete' : 'delete', SYNC: 'expire' }
    const name = `${names[request.method]}${succeeded ? 'Success' : 'Fail'}`
    this.#stats.set(name, (this.#stats.get(name) ?? 0) + 1)
  }

  apply(request: V2Request): V2Result {
    const result = this.#apply(request)
    this.#count(request, 'event' in result)
    return result
  }

  #apply(request: V2Request): V2Result {
    try {
      const event = this.#dispatch(request)
      return { event, index: this.#index }
    } catch (error) {
      if (error instanceof Refusal) return { failure: error.failure }
      throw error
    }
  }

  get(path: string, recursive: boolean, sorted: boolean, nowMs: number): V2Result {
    return this.apply({ method: 'QGET', path, recursive, sorted, timeMs: nowMs })
  }

  /** Reads without being counted. */
  peek(path: string, nowMs: number): V2Result { return this.#apply({ method: 'QGET', path, timeMs: nowMs }) }

  #dispatch(request: V2Request): V2Event {
    const path = cleanPath(request.path ?? '/')
    const compares = (request.prevIndex ?? 0) > 0 || (request.prevValue ?? '') !== ''
    switch (request.method) {
      case 'QGET': return { action: 'get', node: describeTree(this.#find(path), request.recursive ?? false, request.sorted ?? false, request.timeMs) }
      case 'SYNC': return this.#expire(request.timeMs)
      case 'POST': return this.#create(path, request, { unique: true, replace: false, action: 'create' })
      case 'DELETE': return compares ? this.#compareAndDelete(path, request) : this.#delete(path, request)
      case 'PUT':
        if (request.prevExist === 'no') return this.#create(path, request, { unique: false, replace: false, action: 'create' })
        if (request.prevExist === 'yes' && !compares) return this.#update(path, request)
        return compares ? this.#compareAndSwap(path, request) : this.#set(path, request)
    }
  }

  #refuse(errorCode: number, cause: string): never { throw new Refusal({ errorCode, cause, index: this.#index }) }

  #find(path: string): TreeNode {
    let node = this.#root
    for (const name of path.split('/').filter((part) => part !== '')) {
      if (!node.children) this.#refuse(104, node.path)
      const child = node.children.get(name)
      if (!child) this.#refuse(100, joinPath(node.path, name))
      node = child
    }
    return node
  }

  #tryFind(path: string): TreeNode | undefined {
    try {
      return this.#find(path)
    } catch (error) {
      if (error instanceof Refusal && error.failure.errorCode === 100) return undefined
      throw error
    }
  }

  #notRoot(path: string): void { if (path === '/') this.#refuse(107, '/') }

  #setLifetime(node: TreeNode, expiresAtMs: number): void {
    node.expiresAtMs = expiresAtMs
    if (expiresAtMs === permanent) this.#mortal.delete(node)
    else this.#mortal.add(node)
  }

  #set(path: string, request: V2Request): V2Event {
    const before = this.#tryFind(path)
    if (request.refresh && !before) this.#refuse(100, path)
    const value = request.refresh && before ? before.value : request.value ?? ''
    return this.#create(path, { ...request, value }, { unique: false, replace: true, action: 'set' })
  }

  #create(asked: string, request: V2Request, how: { readonly unique: boolean; readonly replace: boolean; readonly action: V2Action }): V2Event {
    const next = this.#index + 1
    const path = how.unique ? joinPath(asked, String(next).padStart(20, '0')) : asked
    this.#notRoot(path)
    const at = path.lastIndexOf('/')
    const name = path.slice(at + 1)
    this.#checkFolders(path.slice(0, at))
    const existing = this.#tryFind(path)
    if (existing && !how.replace) this.#refuse(105, path)
    if (existing?.children) this.#refuse(102, path)
    const prevNode = existing && describe(existing, request.timeMs)
    if (existing) this.#mortal.delete(existing)
    const folder = this.#makeFolders(path.slice(0, at), next)
    const node = new TreeNode(path, folder, next, request.dir ? 'directory' : { value: request.value ?? '' }, permanent)
    this.#setLifetime(node, request.expiresAtMs ?? permanent)
    folder.children?.set(name, node)
    const shown: V2Node = { ...(request.dir ? { key: path, dir: true } : { key: path, value: node.value }), ...lifetimeOf(node, request.timeMs), modifiedIndex: next, createdIndex: next }
    return this.#changed({ action: how.action, node: shown, ...(prevNode ? { prevNode } : {}) }, { isRefresh: request.refresh ?? false })
  }

  /** Refuses a path that leads through a file, before anything is made. */
  #checkFolders(path: string): void {
    let node: TreeNode | undefined = this.#root
    for (const name of path.split('/').filter((part) => part !== '')) {
      node = node?.children?.get(name)
      if (node && !node.children) this.#refuse(104, node.path)
    }
  }

  #makeFolders(path: string, index: number): TreeNode {
    let node = this.#root
    for (const name of path.split('/').filter((part) => part !== '')) {
      let child = node.children?.get(name)
      if (!child) {
        child = new TreeNode(joinPath(node.path, name), node, index, 'directory', permanent)
        node.children?.set(name, child)
      }
      node = child
    }
    return node
  }

  #update(path: string, request: V2Request): V2Event {
    this.#notRoot(path)
    const node = this.#find(path)
    if (node.children && (request.value ?? '') !== '') this.#refuse(102, path)
    const prevNode = describe(node, request.timeMs)
    if (!node.children && !request.refresh) node.value = request.value ?? ''
    return this.#rewrite('update', node, prevNode, request)
  }

  #compareAndSwap(path: string, request: V2Request): V2Event {
    this.#notRoot(path)
    const node = this.#find(path)
    if (node.children) this.#refuse(102, path)
    this.#compare(node, request)
    const prevNode = describe(node, request.timeMs)
    if (!request.refresh) node.value = request.value ?? ''
    return this.#rewrite('compareAndSwap', node, prevNode, request)
  }

  #rewrite(action: V2Action, node: TreeNode, prevNode: V2Node, request: V2Request): V2Event {
    node.modifiedIndex = this.#index + 1
    this.#setLifetime(node, request.expiresAtMs ?? permanent)
    const { nodes: _, ...shown } = describe(node, request.timeMs)
    return this.#changed({ action, node: shown, prevNode }, { isRefresh: request.refresh ?? false })
  }

  #compare(node: TreeNode, { prevValue = '', prevIndex = 0 }: V2Request): void {
    const value = prevValue !== '' && prevValue !== node.value ? `[${prevValue} != ${node.value}]` : ''
    const index = prevIndex !== 0 && prevIndex !== node.modifiedIndex ? `[${prevIndex} != ${node.modifiedIndex}]` : ''
    if (value || index) this.#refuse(101, [value, index].filter((text) => text !== '').join(' '))
  }

  #delete(path: string, request: V2Request): V2Event {
    this.#notRoot(path)
    const node = this.#find(path)
    if (node.children && !request.dir && !request.recursive) this.#refuse(102, path)
    if (node.children && node.children.size > 0 && !request.recursive) this.#refuse(108, path)
    return this.#remove('delete', node, request.timeMs)
  }

  #compareAndDelete(path: string, request: V2Request): V2Event {
    this.#notRoot(path)
    const node = this.#find(path)
    if (node.children) this.#refuse(102, path)
    this.#compare(node, request)
    return this.#remove('compareAndDelete', node, request.timeMs)
  }

  #remove(action: V2Action, node: TreeNode, nowMs: number): V2Event {
    const prevNode = describe(node, nowMs)
    const removed: string[] = []
    const forget = (gone: TreeNode): void => {
      this.#mortal.delete(gone)
      removed.push(gone.path)
      for (const child of gone.children?.values() ?? []) forget(child)
    }
    forget(node)
    node.parent?.children?.delete(node.name)
    const index = this.#index + 1
    return this.#changed({ action, node: { key: node.path, ...(node.children ? { dir: true } : {}), modifiedIndex: index, createdIndex: node.createdIndex }, prevNode }, { removed })
  }

  /** Removes what has expired, each with an event of its own. */
  #expire(nowMs: number): V2Event {
    const due = [...this.#mortal].filter((node) => node.expiresAtMs <= nowMs).sort((a, b) => a.expiresAtMs - b.expiresAtMs || (a.path < b.path ? -1 : 1))
    // A node may have gone with its folder meanwhile.
    for (const node of due) {
      if (!this.#mortal.has(node)) continue
      this.#remove('expire', node, nowMs)
      this.#stats.set('expireCount', (this.#stats.get('expireCount') ?? 0) + 1)
    }
    return { action: 'expire', node: {} }
  }

  #changed(event: V2Event, options: { readonly isRefresh?: boolean; readonly removed?: readonly string[] }): V2Event {
    this.#index++
    this.watchers.add(event, this.#index, options)
    return event
  }

  // ---- snapshots ----

  image(): readonly V2NodeImage[] {
    const images: V2NodeImage[] = []
    const visit = (node: TreeNode): void => {
      if (node.parent) images.push({ path: node.path, ...(node.children ? {} : { value: node.value }), createdIndex: node.createdIndex, modifiedIndex: node.modifiedIndex, expiresAtMs: node.expiresAtMs })
      for (const child of node.children?.values() ?? []) visit(child)
    }
    visit(this.#root)
    return images
  }

  restore(index: number, images: readonly V2NodeImage[]): void {
    this.#root = new TreeNode('/', undefined, 0, 'directory', permanent)
    this.#mortal.clear()
    this.#index = index
    for (const { path, value, createdIndex, modifiedIndex, expiresAtMs } of images) {
      const at = path.lastIndexOf('/')
      const parent = this.#find(path.slice(0, at))
      const node = new TreeNode(path, parent, createdIndex, value === undefined ? 'directory' : { value }, permanent, modifiedIndex)
      this.#setLifetime(node, expiresAtMs)
      parent.children?.set(path.slice(at + 1), node)
    }
  }
}

function joinPath(folder: string, name: string): string { return folder === '/' ? `/${name}` : `${folder}/${name}` }

/** One slash before each part, none at the end; `.` and `..` resolved. */
export function cleanPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') parts.pop()
    else parts.push(part)
  }
  return `/${parts.join('/')}`
}
