// make-mirror: copies the keys of one cluster to another, then every change. Upstream: etcdctl/ctlv3/command/make_mirror_command.go
import { kvService } from '../../../lib/etcd-api/generated/services.ts'
import type { PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { EtcdConnection } from '../client/etcd-connection.ts'
import { prefixEnd } from '../client/key-ranges.ts'
import { Watcher } from '../client/watcher.ts'
import { badArguments, defineCommand, ExitError, exitCodes } from '../command.ts'
import { bytesOfText } from '../go-format.ts'
import { readTls } from '../session.ts'

const everything = Uint8Array.of(0)
const pageKeys = 1000
const progressMs = 30_000

export const makeMirrorCommand = defineCommand({
  use: 'make-mirror [options] <destination>', short: 'Makes a mirror at the destination etcd cluster', group: 'utility',
  flags: {
    prefix: { type: 'string', usage: 'Key-value prefix to mirror' },
    rev: { type: 'int', usage: 'Specify the kv revision to start to mirror' },
    'max-txn-ops': { type: 'int', default: 128, usage: 'Maximum number of operations permitted in a transaction during syncing updates.' },
    'dest-prefix': { type: 'string', usage: 'destination prefix to mirror a prefix to a different prefix in the destination cluster' },
    'no-dest-prefix': { type: 'bool', usage: 'mirror key-values to the root of the destination cluster' },
    'dest-cert': { type: 'string', usage: 'Identify secure client using this TLS certificate file for the destination cluster' },
    'dest-key': { type: 'string', usage: 'Identify secure client using this TLS key file' },
    'dest-cacert': { type: 'string', usage: 'Verify certificates of TLS enabled secure servers using this CA bundle' },
    'dest-insecure-transport': { type: 'bool', default: true, usage: 'Disable transport security for client connections' },
    'dest-user': { type: 'string', usage: 'Destination username[:password] for authentication (prompt if password is not supplied)' },
    'dest-password': { type: 'string', usage: 'Destination password for authentication (if this option is used, --user option shouldn\'t include password)' },
  },
  async run(session, { args, flags }) {
    const [destination] = args
    if (destination === undefined || args.length !== 1) throw badArguments('make-mirror takes one destination argument')
    const credentials = await session.credentialsOf(flags['dest-user'], flags['dest-password'], '', 'Destination Password: ')
    const tls = readTls({ cert: flags['dest-cert'], key: flags['dest-key'], cacert: flags['dest-cacert'], insecureTransport: flags['dest-insecure-transport'], skipVerify: false })
    const to = await session.connectTo([destination], credentials, tls)
    const from = await session.connect()
    if (flags['no-dest-prefix'] && flags['dest-prefix'] !== '') throw badArguments('`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one')
    const startRevision = Math.max(0, flags.rev - 1)
    const prefix = bytesOfText(flags.prefix)
    // Only a copy from the beginning takes the source's prefix for the destination's.
    const destinationPrefix = bytesOfText(flags['dest-prefix'] !== '' || flags['no-dest-prefix'] || startRevision > 0 ? flags['dest-prefix'] : flags.prefix)
    const rename = (key: Uint8Array): Uint8Array => Buffer.concat([destinationPrefix, key.subarray(prefix.length)])
    const counter = { total: 0 }
    using _ = reportEvery(session.clock, progressMs, () => session.out(`${counter.total}\n`))
    const mirror = new Mirror({ from, to, prefix, rename, maxOperations: Math.max(1, flags['max-txn-ops']), counter, signal: session.closing })
    const revision = startRevision > 0 ? startRevision : await mirror.copyAll()
    await mirror.follow(revision + 1)
    throw new ExitError(exitCodes.error, 'etcdserver: mvcc: required revision has been compacted')
  },
})

function reportEvery(clock: Clock, periodMs: number, report: () => void): Disposable {
  let timer: Timer
  const wait = (): void => { timer = clock.setTimer(periodMs, () => { report(); wait() }, { keepAlive: false }) }
  wait()
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() }
}

interface MirrorOptions {
  readonly from: EtcdConnection
  readonly to: EtcdConnection
  readonly prefix: Uint8Array
  readonly rename: (key: Uint8Array) => Uint8Array
  readonly maxOperations: number
  readonly counter: { total: number }
  readonly signal: AbortSignal
}

class Mirror {
  readonly #from: EtcdConnection
  readonly #to: EtcdConnection
  readonly #range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }
  readonly #rename: (key: Uint8Array) => Uint8Array
  readonly #maxOperations: number
  readonly #counter: { total: number }
  readonly #signal: AbortSignal

  constructor({ from, to, prefix, rename, maxOperations, counter, signal }: MirrorOptions) {
    this.#signal = signal
    this.#from = from
    this.#to = to
    this.#range = prefix.length === 0 ? { key: everything, rangeEnd: everything } : { key: prefix, rangeEnd: prefixEnd(prefix) }
    this.#rename = rename
    this.#maxOperations = maxOperations
    this.#counter = counter
  }

  /** Copies the keys as they are now. @returns the revision of that copy. */
  async copyAll(): Promise<number> {
    let revision = 0
    let key = this.#range.key
    for (;;) {
      const request: RangeRequest = { key, rangeEnd: this.#range.rangeEnd, limit: pageKeys, revision }
      const page = await this.#from.unary<RangeResponse>(kvService, 'Range', request, this.#signal)
      if (revision === 0) revision = page.header?.revision ?? 0
      const { kvs = [] } = page
      for (const kv of kvs) {
        const put: PutRequest = { key: this.#rename(kv.key ?? new Uint8Array(0)), value: kv.value ?? new Uint8Array(0) }
        await this.#to.unary(kvService, 'Put', put, this.#signal)
        this.#counter.total++
      }
      const last = kvs.at(-1)?.key
      if (!page.more || last === undefined) return revision
      key = Buffer.concat([last, everything])
    }
  }

  /** Repeats changes from this revision on, one transaction per revision (or several, when it has too many changes), until the history is gone. */
  async follow(startRevision: number): Promise<void> {
    const watcher = new Watcher(this.#from, this.#signal)
    for await (const response of watcher.watch({ ...this.#range, startRevision })) {
      if (response.compactRevision || response.canceled) return
      let operations: RequestOp[] = []
      let lastRevision = 0
      for (const event of response.events ?? []) {
        const revision = event.kv?.modRevision ?? 0
        if (operations.length > 0 && (revision > lastRevision || operations.length === this.#maxOperations)) {
          await this.#commit(operations)
          operations = []
        }
        lastRevision = revision
        const key = this.#rename(event.kv?.key ?? new Uint8Array(0))
        operations.push(event.type === 'DELETE' ? { requestDeleteRange: { key } } : { requestPut: { key, value: event.kv?.value ?? new Uint8Array(0) } })
        this.#counter.total++
      }
      if (operations.length > 0) await this.#commit(operations)
    }
  }

  async #commit(success: readonly RequestOp[]): Promise<void> {
    await this.#to.unary<TxnResponse>(kvService, 'Txn', { success } satisfies TxnRequest, this.#signal)
  }
}
