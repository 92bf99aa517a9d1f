// horizontal-pod-autoscaler-controller, the part that does: every 15 s reads each autoscaler's target and metrics, lets the pure part decide, sets the size.
// Metrics come from the API's metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io groups, which others serve.
// Upstream: kubernetes/pkg/controller/podautoscaler/horizontal.go, metrics/client.go
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { formatLabelSelector, matches, parseLabelSelector } from '../../../lib/apimachinery/label-selector.ts'
import { milliOfText } from '../../../lib/apimachinery/quantity.ts'
import type { Scale } from '../../../lib/api/generated/types/autoscaling-v1.ts'
import type { HorizontalPodAutoscaler, MetricIdentifier, MetricSpec } from '../../../lib/api/generated/types/autoscaling-v2.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { ResourceKey } from '../../../lib/client/api-client.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import { referenceTo } from '../../../lib/client/event-recorder.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import { groupOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { resourcePath } from '../../../lib/client/resource-client.ts'
import { horizontalPodAutoscalers, pods } from '../../../lib/client/resource-keys.ts'
import { createWorkQueue } from '../../../lib/client/work-queue.ts'
import { decideScaling, decideWithoutScale } from '../controllers/horizontal-pod-autoscaler.ts'
import type { MeasuredMetric } from '../controllers/horizontal-pod-autoscaler.ts'
import { noHistory, remember } from '../controllers/horizontal-pod-autoscaler/behavior.ts'
import type { ScalingHistory } from '../controllers/horizontal-pod-autoscaler/behavior.ts'
import { proposeForAverage, proposeForTotal, proposeForUtilization } from '../controllers/horizontal-pod-autoscaler/replica-calculator.ts'
import type { CalculatorSettings, PodMetric, ReplicaProposal } from '../controllers/horizontal-pod-autoscaler/replica-calculator.ts'
import { isPodReady, timeOf } from '../controllers/shared/pod-state.ts'
import { readSelector } from '../controllers/shared/selectors.ts'
import type { ControllerSettings } from '../controllers/shared/settings.ts'
import type { ControllerWorld } from './controller-runner.ts'
import { discoverResources } from './discovery.ts'
import type { DiscoveredResource } from './discovery.ts'

const workers = 5
const defaultWindowMs = 60_000
const discoveryPeriodMs = 60_000

export function prepareAutoscaler(settings: ControllerSettings, world: ControllerWorld): { start(signal: AbortSignal): { readonly done: Promise<void> } } {
  const informer = world.informers.informer(horizontalPodAutoscalers)
  world.informers.informer(pods)
  return {
    start(signal) {
      const queue = createWorkQueue({ clock: world.clock })
      const autoscaler = new Autoscaler(settings, world, world.recorder('horizontal-pod-autoscaler'), signal)
      signal.addEventListener('abort', () => queue.shutDown(), { once: true })
      // Its own status writes must not drive it: it goes by the clock.
      informer.addHandler({ added: (object) => queue.add(objectKey(object)), updated: (object, old) => { if (object.metadata.generation !== old.metadata.generation || !semanticEqual(object.spec, old.spec)) queue.add(objectKey(object)) } })
      const worker = async (): Promise<void> => {
        for (let key = await queue.get(); key !== undefined; key = await queue.get()) {
          const { namespace, name } = splitObjectKey(key)
          const object = informer.get(namespace, name)
          try {
            if (object) await autoscaler.sync(key, object)
            else autoscaler.forget(key)
          } catch (error) {
            if (!signal.aborted && !hasReason(error, 'Conflict', 'NotFound')) world.logger.error('Autoscaling failed', error, { key })
          } finally {
            queue.done(key)
            if (object) queue.addAfter(key, settings.horizontalPodAutoscalerSyncPeriodMs)
          }
        }
      }
      return { done: Promise.all(Array.from({ length: world.concurrency ?? workers }, worker)).then(() => undefined) }
    },
  }
}

class Autoscaler {
  readonly #settings: ControllerSettings
  readonly #world: ControllerWorld
  readonly #recorder: EventRecorder
  readonly #signal: AbortSignal
  #discovered: { readonly atMs: number, readonly resources: readonly DiscoveredResource[] } | undefined
  readonly #histories = new Map<string, ScalingHistory>()

  constructor(settings: ControllerSettings, world: ControllerWorld, recorder: EventRecorder, signal: AbortSignal) {
    this.#settings = settings
    this.#world = world
    this.#recorder = recorder
    this.#signal = signal
  }

  forget(key: string): void { this.#histories.delete(key) }

  async sync(key: string, autoscaler: HorizontalPodAutoscaler): Promise<void> {
    const { client, clock } = this.#world
    const now = clock.now()
    const namespace = autoscaler.metadata.namespace ?? ''
    const about = referenceTo(autoscaler, horizontalPodAutoscalers)
    const target = autoscaler.spec.scaleTargetRef
    let scale: Scale
    let path: string
    try {
      path = resourcePath(await this.#resourceOf(target.apiVersion ?? '', target.kind), namespace, target.name, 'scale')
      scale = await client.raw('GET', path, undefined, this.#signal) as unknown as Scale // cast: the answer of a scale subresource
    } catch (error) {
      if (this.#signal.aborted || !(error instanceof ApiError)) throw error
      const { status, events } = decideWithoutScale(autoscaler, error.message, now)
      for (const event of events) this.#recorder.event(about, event.type, event.reason, event.message)
      return this.#writeStatus(autoscaler, status)
    }
    const current = scale.spec.replicas ?? 0
    const selected = this.#podsOf(namespace, scale.status.selector ?? '')
    const measured: MeasuredMetric[] = []
    for (const spec of autoscaler.spec.metrics ?? []) measured.push({ spec, proposal: await this.#measure(spec, autoscaler, current, selected, scale.status.selector ?? '', now) })
    const history = this.#histories.get(key) ?? remember(noHistory, current, 0, now)
    const decision = decideScaling({ now, autoscaler, currentReplicas: current, measured, history, downscaleStabilizationMs: this.#settings.horizontalPodAutoscalerDownscaleStabilizationMs })
    if (decision.replicas !== undefined) {
      await client.raw('PUT', path, { ...scale, spec: { ...scale.spec, replicas: decision.replicas } } as unknown as JsonObject, this.#signal) // cast: API objects are JSON-shaped
    }
    this.#histories.set(key, decision.history)
    for (const event of decision.events) this.#recorder.event(about, event.type, event.reason, event.message)
    return this.#writeStatus(autoscaler, decision.status)
  }

  async #writeStatus(autoscaler: HorizontalPodAutoscaler, status: HorizontalPodAutoscaler['status']): Promise<void> {
    if (semanticEqual(status, autoscaler.status)) return
    await this.#world.client.resource(horizontalPodAutoscalers).update({ ...autoscaler, status }, this.#signal, { subresource: 'status' })
  }

  async #resourceOf(apiVersion: string, kind: string): Promise<ResourceKey> {
    const nowMs = this.#world.clock.monotonic()
    if (!this.#discovered || this.#discovered.atMs + discoveryPeriodMs < nowMs) this.#discovered = { atMs: nowMs, resources: (await discoverResources(this.#world.client, this.#signal)).resources }
    const found = this.#discovered.resources.find((resource) => resource.group === groupOf(apiVersion) && resource.kind === kind)
    if (!found) throw new ApiError({ metadata: {}, status: 'Failure', code: 404, reason: 'NotFound', message: `no matches for kind "${kind}" in group "${groupOf(apiVersion)}"` } as ConstructorParameters<typeof ApiError>[0]) // cast: as the server would answer
    return found
  }

  #podsOf(namespace: string, selector: string): readonly Pod[] {
    const parsed = parseLabelSelector(selector)
    return parsed.ok && selector !== '' ? this.#world.informers.informer(pods).list(namespace).filter((pod) => matches(parsed.selector, pod.metadata.labels)) : []
  }

  async #measure(spec: MetricSpec, autoscaler: HorizontalPodAutoscaler, current: number, selected: readonly Pod[], selector: string, now: number): Promise<ReplicaProposal> {
    const namespace = autoscaler.metadata.namespace ?? ''
    const fallback = this.#settings.horizontalPodAutoscalerTolerance
    const tolerance = (text: string | undefined): number => (text === undefined ? fallback : milliOfText(text) / 1000)
    const settings: CalculatorSettings = {
      now, toleranceUp: tolerance(autoscaler.spec.behavior?.scaleUp?.tolerance), toleranceDown: tolerance(autoscaler.spec.behavior?.scaleDown?.tolerance),
      cpuInitializationPeriodMs: this.#settings.horizontalPodAutoscalerCpuInitializationPeriodMs, initialReadinessDelayMs: this.#settings.horizontalPodAutoscalerInitialReadinessDelayMs,
    }
    const query = `labelSelector=${encodeURIComponent(selector)}`
    const ready = selected.filter(isPodReady).length
    try {
      switch (spec.type) {
        case 'Resource': case 'ContainerResource': {
          const source = spec.resource ?? spec.containerResource
          if (!source) break
          const container = spec.containerResource?.container
          const list = await this.#world.client.raw('GET', `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods?${query}`, undefined, this.#signal) as unknown as PodMetricsList // cast: metrics.k8s.io
          const metrics = usageOf(list, source.name, container)
          const { averageUtilization, averageValue } = source.target
          if (averageValue !== undefined) return proposeForAverage(current, milliOfText(averageValue), selected, metrics, source.name === 'cpu', settings)
          return proposeForUtilization(current, { resource: source.name, utilization: averageUtilization ?? 80, ...(container === undefined ? {} : { container }) }, selected, metrics, settings)
        }
        case 'Pods': {
          if (!spec.pods) break
          const list = await this.#custom(`namespaces/${namespace}/pods/*/${spec.pods.metric.name}?${query}${metricQuery(spec.pods.metric)}`)
          const metrics = new Map(list.items.map((item): [string, PodMetric] => [item.describedObject?.name ?? '', { milliValue: milliOfText(item.value), timestampMs: timeOf(item.timestamp), windowMs: (item.windowSeconds ?? 60) * 1000 }]))
          return proposeForAverage(current, milliOfText(spec.pods.target.averageValue ?? '0'), selected, metrics, false, settings)
        }
        case 'Object': {
          if (!spec.object) break
          const { describedObject, metric, target } = spec.object
          const resource = await this.#resourceOf(describedObject.apiVersion ?? '', describedObject.kind)
          const group = resource.group === '' ? resource.resource : `${resource.resource}.${resource.group}`
          const list = await this.#custom(`${resource.namespaced ? `namespaces/${namespace}/` : ''}${group}/${describedObject.name}/${metric.name}?${metricQuery(metric).slice(1)}`)
          const value = list.items.reduce((total, item) => total + milliOfText(item.value), 0)
          return proposeForTotal(current, value, milliOfText(target.averageValue ?? target.value ?? '0'), target.averageValue !== undefined, ready, settings)
        }
        case 'External': {
          if (!spec.external) break
          const { metric, target } = spec.external
          const list = await this.#world.client.raw('GET', `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${metric.name}?${metricLabels(metric)}`, undefined, this.#signal) as unknown as MetricValueList // cast: external.metrics.k8s.io
          const value = list.items.reduce((total, item) => total + milliOfText(item.value), 0)
          return proposeForTotal(current, value, milliOfText(target.averageValue ?? target.value ?? '0'), target.averageValue !== undefined, ready, settings)
        }
      }
      return { ok: false, reason: 'InvalidMetricSourceType', message: `unknown metric source type ${JSON.stringify(spec.type)}` }
    } catch (error) {
      if (this.#signal.aborted || !(error instanceof ApiError)) throw error
      return { ok: false, reason: `FailedGet${spec.type}Metric`, message: `unable to fetch metrics from ${metricsApiOf(spec.type)}: ${error.message}` }
    }
  }

  async #custom(path: string): Promise<MetricValueList> {
    return await this.#world.client.raw('GET', `/apis/custom.metrics.k8s.io/v1beta2/${path}`, undefined, this.#signal) as unknown as MetricValueList // cast: custom.metrics.k8s.io
  }
}

interface PodMetricsList {
  readonly items: readonly { readonly metadata: { readonly name: string }, readonly timestamp?: string, readonly window?: string, readonly containers?: readonly { readonly name: string, readonly usage?: { readonly [resource: string]: string } }[] }[]
}

interface MetricValueList {
  readonly items: readonly { readonly describedObject?: { readonly name?: string }, readonly timestamp?: string, readonly windowSeconds?: number, readonly value: string }[]
}

/** Usage by pod; a pod with a container that was not measured has none. */
function usageOf(list: PodMetricsList, resource: string, container: string | undefined): ReadonlyMap<string, PodMetric> {
  const metrics = new Map<string, PodMetric>()
  for (const item of list.items) {
    const values = (item.containers ?? []).filter((found) => container === undefined || found.name === container).map((found) => found.usage?.[resource])
    if (values.length === 0 || values.includes(undefined)) continue
    const seconds = /^(?:(\d+)m)?(?:([\d.]+)s)?$/.exec(item.window ?? '')
    const windowMs = seconds ? (Number(seconds[1] ?? 0) * 60 + Number(seconds[2] ?? 0)) * 1000 : defaultWindowMs
    metrics.set(item.metadata.name, { milliValue: values.reduce((total, value) => total + milliOfText(value), 0), timestampMs: timeOf(item.timestamp), windowMs })
  }
  return metrics
}

function metricsApiOf(type: string): string {
  return type === 'External' ? 'external metrics API' : type === 'Resource' || type === 'ContainerResource' ? 'resource metrics API' : 'custom metrics API'
}

function metricLabels(metric: MetricIdentifier): string { return metric.selector ? `labelSelector=${encodeURIComponent(formatLabelSelector(readSelector(metric.selector)))}` : '' }
function metricQuery(metric: MetricIdentifier): string { return metric.selector ? `&metricLabelSelector=${encodeURIComponent(formatLabelSelector(readSelector(metric.selector)))}` : '' }
