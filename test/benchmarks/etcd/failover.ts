// How long a cluster of three takes no writes: when its leader is killed, and when leadership is handed over in order.
import { realClock } from '../../../src/lib/async/real-clock.ts'
import { encodeProto3 } from '../../../src/lib/base/protobuf/proto3.ts'
import { maintenanceService } from '../../../src/lib/etcd-api/generated/services.ts'
import { etcdTable } from '../../../src/lib/etcd-api/generated/table.ts'
import type { MoveLeaderRequest, StatusResponse } from '../../../src/lib/etcd-api/generated/types.ts'
import { GrpcChannel } from '../../../src/lib/net/grpc/grpc-channel.ts'
import { createGrpcClient } from '../../../src/lib/net/grpc/grpc-client.ts'
import { grpcFrame, headerBlock, RawHttp2Client } from '../raw-http2-client.ts'
import { healthy, pause, type EtcdServer } from './servers.ts'

interface Maintenance {
  status(request: object, signal: AbortSignal): Promise<StatusResponse>
  moveLeader(request: MoveLeaderRequest, signal: AbortSignal): Promise<object>
}

const everyMs = 2
const limitMs = 30_000

async function ask<T>(server: EtcdServer, question: (client: Maintenance, signal: AbortSignal) => Promise<T>): Promise<T> {
  using channel = new GrpcChannel({ target: server.url, clock: realClock })
  return await question(createGrpcClient<Maintenance>(channel, maintenanceService), AbortSignal.timeout(10_000))
}

/** The one that leads, and the others; waits until all agree. */
async function leaderOf(servers: readonly EtcdServer[]): Promise<{ readonly leader: EtcdServer; readonly others: readonly EtcdServer[]; readonly ids: ReadonlyMap<EtcdServer, bigint> }> {
  const limit = performance.now() + limitMs
  while (performance.now() < limit) {
    const statuses = await Promise.all(servers.map((server) => ask(server, (client, signal) => client.status({}, signal)).catch(() => undefined)))
    const ids = new Map(servers.flatMap((server, i) => { const id = statuses[i]?.header?.memberId; return id === undefined ? [] : [[server, id] as const] }))
    const leads = statuses[0]?.leader
    const leader = servers.find((server) => ids.get(server) === leads)
    if (leads && leader && ids.size === servers.length && statuses.every((status) => status?.leader === leads)) return { leader, others: servers.filter((server) => server !== leader), ids }
    await pause(50)
  }
  throw new Error('no leader within 30 s')
}

/** Puts to the servers every two milliseconds, whatever became of those before. */
class Writers {
  readonly #clients: RawHttp2Client[] = []
  readonly #sentMs = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  /** When each acknowledged put was sent and acknowledged. */
  readonly acknowledged: { readonly sentMs: number; readonly atMs: number }[] = []
  onAcknowledged: (() => void) | undefined

  private constructor() {
    const block = headerBlock('/etcdserverpb.KV/Put')
    const put = grpcFrame(encodeProto3(etcdTable, 'PutRequest', { key: Buffer.from('failover'), value: Buffer.alloc(100) }))
    this.#timer = setInterval(() => {
      for (const [i, client] of this.#clients.entries()) this.#sentMs.set(`${i} ${client.request(block, put, true)}`, performance.now())
    }, everyMs)
  }

  static async open(servers: readonly EtcdServer[]): Promise<Writers> {
    const writers = new Writers()
    for (const [i, server] of servers.entries()) {
      // Only what has succeeded has a message.
      writers.#clients.push(await RawHttp2Client.open(server.port, {
        data: (stream) => {
          writers.acknowledged.push({ sentMs: writers.#sentMs.get(`${i} ${stream}`) ?? 0, atMs: performance.now() })
          writers.onAcknowledged?.()
        },
      }))
    }
    return writers
  }

  /** Milliseconds from `fromMs` until a put that was sent later is acknowledged. */
  async firstAfter(fromMs: number): Promise<number> {
    const found = Promise.withResolvers<number>()
    const timeout = setTimeout(() => found.reject(new Error('no write was acknowledged within 30 s')), limitMs)
    this.onAcknowledged = () => {
      const last = this.acknowledged[this.acknowledged.length - 1]
      if (last && last.sentMs >= fromMs) found.resolve(last.atMs - fromMs)
    }
    try {
      return await found.promise
    } finally {
      clearTimeout(timeout)
    }
  }

  close(): void {
    clearInterval(this.#timer)
    for (const client of this.#clients) client.close()
  }
}

/** Kills the leader: milliseconds until one of the others has acknowledged a write. The killed one is back afterwards. */
export async function killLeader(servers: EtcdServer[]): Promise<number> {
  const { leader, others } = await leaderOf(servers)
  const writers = await Writers.open(others)
  try {
    await writers.firstAfter(performance.now())
    const killedMs = performance.now()
    void leader.stop('SIGKILL')
    return await writers.firstAfter(killedMs)
  } finally {
    writers.close()
    await leader.stop('SIGKILL')
    const again = await leader.restart()
    servers[servers.indexOf(leader)] = again
    await healthy(again)
  }
}

/** Hands leadership over: how long the call took, and the longest time without an acknowledged write around it, milliseconds. */
export async function moveLeader(servers: readonly EtcdServer[]): Promise<{ readonly callMs: number; readonly gapMs: number }> {
  const { leader, others, ids } = await leaderOf(servers)
  const target = others[0]
  const id = target && ids.get(target)
  if (!id) throw new Error('nobody to hand over to')
  const writers = await Writers.open(servers)
  try {
    await writers.firstAfter(performance.now())
    await pause(100)
    const begin = performance.now()
    await ask(leader, (client, signal) => client.moveLeader({ targetID: id }, signal))
    const callMs = performance.now() - begin
    await writers.firstAfter(performance.now())
    await pause(300)
    const times = writers.acknowledged.map((a) => a.atMs).filter((at) => at >= begin - 50)
    let gapMs = 0
    for (let i = 1; i < times.length; i++) gapMs = Math.max(gapMs, (times[i] ?? 0) - (times[i - 1] ?? 0))
    return { callMs, gapMs }
  } finally {
    writers.close()
  }
}
