// Runs one controller: handlers put keys into its queue, workers take them out, observe, sync and execute, retry with back-off, come back when the
// plan says so. A key whose last writes the local copies do not show yet waits for them.
// Upstream: kubernetes/pkg/controller/*/…_controller.go (the loop that each of them repeats)
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { ApiClient, ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { Informer, InformerFactory } from '../../../lib/client/informer-contract.ts'
import { createWorkQueue } from '../../../lib/client/work-queue.ts'
import type { WorkQueue } from '../../../lib/client/work-queue.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Controller, View, Watch } from '../controllers/shared/controller.ts'
import { VerificationError, executePlan } from './plan-execution.ts'
import { WriteTracker, resourceId } from './write-tracker.ts'

export interface ControllerWorld {
  readonly client: ApiClient
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Makes the recorder for an event source. */
  recorder(component: string): EventRecorder
  readonly concurrency?: number
}

export interface RunningController {
  readonly name: string
  readonly queue: WorkQueue
  /** Resolves when the workers have ended. */
  readonly done: Promise<void>
}

/** How often a key that waits for a lagging copy looks again, besides being woken by the copy's events. */
const lagPollMs = 1_000

/** Registers the controller's informers; `start` runs its workers once these have synced. */
export function prepareController(controller: Controller, world: ControllerWorld): { start(signal: AbortSignal): RunningController } {
  const { clock, logger, client } = world
  const queue = createWorkQueue({ clock, onOverflow: (key) => logger.warn('Queue is full, key dropped', { controller: controller.name, key }) })
  const informers = new Map<string, Informer<ApiObject>>()
  /** Keys that wait for the copy of a resource to catch up. */
  const waiting = new Map<string, Set<string>>()
  const view = viewOf(informers)
  for (const declared of controller.watches) {
    const informer = world.informers.informer(declared.resource, declared.options)
    informers.set(resourceId(declared.resource), informer)
    for (const [name, values] of Object.entries(declared.indexes ?? {})) informer.addIndex(name, values)
  }
  const handle = (declared: Watch, objects: readonly ApiObject[]): void => {
    const woken = waiting.get(resourceId(declared.resource))
    if (woken) {
      waiting.delete(resourceId(declared.resource))
      for (const key of woken) queue.add(key)
    }
    if (declared.keysOf) for (const object of objects) for (const key of declared.keysOf(object, view)) queue.add(key)
  }
  const tracker = new WriteTracker(informers)

  const work = async (key: string, memories: Map<string, unknown>, recorder: EventRecorder, signal: AbortSignal): Promise<void> => {
    const lagging = tracker.lagging(key, clock.monotonic())
    if (lagging !== undefined) {
      let keys = waiting.get(lagging)
      if (!keys) waiting.set(lagging, keys = new Set())
      keys.add(key)
      queue.addAfter(key, lagPollMs)
      return
    }
    const observed = controller.observe(key, view, { now: clock.now(), memory: memories.get(key) })
    if (observed === undefined) { memories.delete(key); queue.forget(key); return }
    const plan = controller.sync(observed)
    if (plan.memory !== undefined) memories.set(key, plan.memory)
    const { error, requeueAfterMs } = await executePlan(plan, {
      client, recorder, signal, fieldManager: 'kube-controller-manager',
      written: (action, result) => tracker.note(key, action, result, clock.monotonic()),
    })
    if (error !== undefined) {
      if (signal.aborted) return
      const usual = hasReason(error, 'Conflict', 'NotFound', 'AlreadyExists') || error instanceof VerificationError
      if (usual) logger.info('Sync will be retried', { controller: controller.name, key, err: error instanceof Error ? error.message : String(error) }, 2)
      else logger.error('Sync failed', error, { controller: controller.name, key })
      queue.addRateLimited(key)
      // Who comes back by the clock comes back by the clock, however often it fails.
      if (requeueAfterMs !== undefined) queue.addAfter(key, Math.max(requeueAfterMs, 1))
      return
    }
    queue.forget(key)
    if (requeueAfterMs !== undefined) queue.addAfter(key, Math.max(requeueAfterMs, 1))
  }

  return {
    start(signal) {
      const recorder = world.recorder(controller.component ?? controller.name)
      const memories = new Map<string, unknown>()
      // Handlers come last, so that what they ask the view for is there.
      for (const declared of controller.watches) {
        informers.get(resourceId(declared.resource))?.addHandler({
          added: (object) => handle(declared, [object]), updated: (object, old) => handle(declared, [old, object]), deleted: (object) => handle(declared, [object]),
        })
      }
      for (const key of controller.initialKeys ?? []) queue.add(key)
      signal.addEventListener('abort', () => queue.shutDown(), { once: true })
      if (signal.aborted) queue.shutDown()
      const worker = async (): Promise<void> => {
        for (let key = await queue.get(); key !== undefined; key = await queue.get()) {
          try {
            await work(key, memories, recorder, signal)
          } catch (error) {
            logger.error('Sync failed', error, { controller: controller.name, key })
            queue.addRateLimited(key)
          } finally {
            queue.done(key)
          }
        }
      }
      const workers = Array.from({ length: world.concurrency ?? controller.concurrency ?? 5 }, worker)
      return { name: controller.name, queue, done: Promise.all(workers).then(() => undefined) }
    },
  }
}

function viewOf(informers: ReadonlyMap<string, Informer<ApiObject>>): View {
  const of = <T extends ApiObject>(key: ResourceKey<T>): Informer<T> => {
    const informer = informers.get(resourceId(key))
    if (!informer) throw new Error(`the controller reads ${key.resource} without watching them`)
    return informer as unknown as Informer<T> // cast: registered under this key
  }
  return {
    get: (key, namespace, name) => of(key).get(namespace, name),
    list: (key, namespace) => of(key).list(namespace),
    byIndex: (key, index, value) => of(key).byIndex(index, value),
  }
}
