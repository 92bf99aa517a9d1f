// kube-controller-manager: all controllers in one process, sharing one set of informers, under one leader lease.
// Upstream: kubernetes/cmd/kube-controller-manager/app
import type { Clock } from '../../lib/base/clock.ts'
import { randomUuid } from '../../lib/base/random.ts'
import type { Random } from '../../lib/base/random.ts'
import type { ApiClient, ApiObject } from '../../lib/client/api-client.ts'
import { createEventRecorder } from '../../lib/client/event-recorder.ts'
import type { EventRecorder } from '../../lib/client/event-recorder.ts'
import { createInformerFactory } from '../../lib/client/informer.ts'
import { runLeaderElection } from '../../lib/client/leader-election.ts'
import type { LeadershipOutcome } from '../../lib/client/leader-election.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { selectControllers } from './controller-catalogue.ts'
import { defaultSettings } from './controllers/shared/settings.ts'
import type { ControllerSettings } from './controllers/shared/settings.ts'

export interface ControllerManagerOptions {
  readonly client: ApiClient
  /** The client of a controller, as the service account of that name in kube-system; `client` for all when absent. Informers use `client`. */
  readonly clientFor?: (serviceAccount: string) => ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** As --controllers; `['*']`. */
  readonly controllers?: readonly string[]
  /** What differs from the defaults. */
  readonly settings?: Partial<ControllerSettings>
  /** Wait for the lease kube-system/kube-controller-manager first; false. */
  readonly leaderElection?: LeaderElectionSettings | undefined
  /** Workers by flag (`concurrent-deployment-syncs`). */
  readonly concurrency?: { readonly [flag: string]: number }
  /** Called with every object before it enters an informer's copy: tests freeze it here. */
  readonly onStore?: (object: ApiObject) => void
}

export interface LeaderElectionSettings {
  /** Unique among candidates; made up from the host name by the caller. */
  readonly identity?: string
  readonly namespace?: string
  readonly name?: string
  readonly leaseDurationMs?: number
  readonly renewDeadlineMs?: number
  readonly retryPeriodMs?: number
}

export interface ControllerManager {
  /** Canonical names of the controllers that run. */
  readonly controllers: readonly string[]
  /** Resolves when the informers have synced and the workers run; with leader election, when this one leads. */
  readonly ready: Promise<void>
  /** Resolves when everything has ended: after `signal`, or when leadership is lost. */
  readonly done: Promise<LeadershipOutcome>
}

/** Starts the controllers. Returns at once; see `ready` and `done`. @throws UnknownControllerError for a wrong selection. */
export function startControllerManager(options: ControllerManagerOptions, signal: AbortSignal): ControllerManager {
  const { client, clock, random, logger } = options
  const settings: ControllerSettings = { ...defaultSettings, ...options.settings }
  const entries = selectControllers(options.controllers ?? ['*'])
  const ready = Promise.withResolvers<void>()
  // Nobody has to listen.
  ready.promise.catch(() => {})

  const run = async (term: AbortSignal): Promise<void> => {
    const informers = createInformerFactory({ client, clock, random, logger: logger.named('informer'), ...(options.onStore ? { onStore: options.onStore } : {}) })
    const prepared = entries.flatMap((entry) => {
      const own = entry.serviceAccount === undefined ? client : options.clientFor?.(entry.serviceAccount) ?? client
      const recorder = (component: string): EventRecorder => createEventRecorder({ client: own, clock, component, logger: logger.named(entry.name), signal: term })
      const concurrency = entry.concurrencyFlag === undefined ? undefined : options.concurrency?.[entry.concurrencyFlag]
      const controller = entry.prepare(settings, {
        client: own, clock, random, informers, recorder, logger: logger.named(entry.name), ...(concurrency === undefined ? {} : { concurrency }),
      })
      return controller ? [controller] : []
    })
    informers.start(term)
    try {
      await informers.waitForSync(term)
    } catch (error) {
      if (term.aborted) return
      throw error
    }
    const running = prepared.map((controller) => controller.start(term))
    logger.info('Controllers started', { count: running.length })
    ready.resolve()
    await Promise.all(running.map((controller) => controller.done))
  }

  const election = options.leaderElection
  const work: Promise<LeadershipOutcome> = election
    ? runLeaderElection({
      client, clock, random, logger, namespace: election.namespace ?? 'kube-system', name: election.name ?? 'kube-controller-manager',
      identity: election.identity ?? `kube-controller-manager_${randomUuid(random)}`, lead: run, releaseOnCancel: true,
      leaseDurationMs: election.leaseDurationMs ?? 15_000, renewDeadlineMs: election.renewDeadlineMs ?? 10_000, retryPeriodMs: election.retryPeriodMs ?? 2_000,
    }, signal)
    : run(signal).then(() => 'ended' as const)
  const done = work.finally(() => ready.reject(signal.reason ?? new Error('the controller manager has ended')))
  done.catch((error: unknown) => logger.error('Controller manager ended', error))
  return { controllers: entries.map((entry) => entry.name), ready: ready.promise, done }
}
