// Keeps the endpoints of default/kubernetes at the addresses of the API servers that are alive: this one renews its lease every ten seconds and
// writes down what it finds; one that has ended is gone after fifteen.
// Upstream: pkg/controlplane/reconcilers/lease.go, pkg/controlplane/controller/kubernetesservice
import { sleep } from '../../../lib/base/clock.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { MasterLeases } from '../storage/master-leases.ts'
import type { StoredValues } from '../storage/stored-values.ts'
import { publishEndpoints, type ApiServerAddress } from './kubernetes-service.ts'

const intervalMs = 10_000
/** Saying goodbye must not hold the end up. */
const goodbyeMs = 2000

export interface EndpointReconciler extends AsyncDisposable {}

export interface MasterLeaseStorage {
  /** `/registry` */
  readonly root: string
  readonly values: StoredValues
}

/** Publishes `own` at once, then goes on until disposed of. A loopback address is of no use to anybody else and isn't published. */
export async function reconcileEndpoints(server: ServerContext, { root, values }: MasterLeaseStorage, own: ApiServerAddress, signal: AbortSignal): Promise<EndpointReconciler | undefined> {
  if (own.address.startsWith('127.') || own.address === '::1') return undefined
  const leases = new MasterLeases(server.etcd, root, values)
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  const once = async (over: AbortSignal): Promise<void> => {
    await leases.renew(own.address, over)
    await publishEndpoints(server, await leases.list(over), own.port, over)
  }
  const logger = server.logger.named('endpoints')
  const attempt = async (): Promise<void> => {
    try { await once(ended) } catch (error) { if (!ended.aborted) logger.warn('The addresses of the API servers could not be brought up to date', { error: error instanceof Error ? error.message : String(error) }) }
  }
  await attempt()
  const running = (async () => {
    for (;;) {
      try { await sleep(server.clock, intervalMs, ended) } catch { return }
      await attempt()
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
      const late = new AbortController()
      using _timer = server.clock.setTimer(goodbyeMs, () => { late.abort() })
      try {
        await leases.remove(own.address, late.signal)
        const others = await leases.list(late.signal)
        // The last one leaves its address: better a dead one than none.
        if (others.length > 0) await publishEndpoints(server, others, own.port, late.signal)
      } catch { /* the lease ends by itself */ }
    },
  }
}
